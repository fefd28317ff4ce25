"""Export: from a fitted classifier of scikit-learn to an ONNX file that gives the same.

Whether it does is checked each time. The converters are another project's, as are the hundred
classes that they convert, and some convert without an error to something else.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from features.base.errors import KetamineResponseError
from features.model.classifier import INPUT, OUTPUT, ExportedClassifier
from features.model.equation import Equation

# Of probabilities. Sums of a thousand trees in single precision are within a hundredth of it; a
# tree behind a scaler, whose thresholds are rounded too, can be a hundred times beyond.
MAX_DIFFERENCE = 1e-4
# What a model's file may take, and all of its versions, of which there are at least 20 more. A
# service needs five times as much memory, in each worker, and 3 s to load them.
MAX_FILE_BYTES, _MAX_BYTES, _MIN_REFITS = 5 * 2**20, 100 * 2**20, 20
# Which way a missing value goes at each node of a tree.
_MISSING_LEFT = "nodes_missing_value_tracks_true"
_TREES = (
    DecisionTreeClassifier,
    ExtraTreeClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)


class ExportError(KetamineResponseError):
    """A fitted classifier cannot be exported, or its file gives something else."""


def export_classifier(estimator: Any, matrix: NDArray[np.float32]) -> ExportedClassifier:
    """Export a fitted classifier, and check it on the matrix, ``[rows, features]``.

    It is checked with further values missing, too: any field may be, in a patient to come.

    Raises
    ------
    ExportError
        If it cannot be converted or run, or a probability differs by more than `MAX_DIFFERENCE`.
    """
    exported = ExportedClassifier(_convert(estimator, matrix.shape[1]))
    rows = np.concatenate([matrix, blank_values(matrix)])
    expected = estimator.predict_proba(rows)[:, 1]
    try:
        difference = float(np.abs(exported.predict_probability(rows) - expected).max())
    # onnxruntime's errors have no common parent, and may quote the graph.
    except Exception as error:
        raise ExportError("onnxruntime cannot run what skl2onnx made of it") from error
    # Written so that NaN is refused, too.
    if not difference <= MAX_DIFFERENCE:
        raise ExportError(
            f"exported, it gives other probabilities than scikit-learn: the largest difference is "
            f"{difference:.2g}, at most {MAX_DIFFERENCE:g} is allowed; trees need no scaler before "
            "them, and often differ behind one"
        )
    return exported


def count_affordable(equation: Equation) -> int:
    """Count the bootstrap refits that fit into the artifact of a model with this equation.

    Of an exported classifier only; others are small.
    """
    files = [len(part.content) for part in equation.classifiers if part is not None]
    return max(_MIN_REFITS, _MAX_BYTES // max(files, default=1))


def blank_values(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make one value of each row missing, another one from row to row, and all of the first."""
    blanked = matrix.copy()
    rows = np.arange(len(matrix))
    blanked[rows, rows % matrix.shape[1]] = np.nan
    blanked[:1] = np.nan
    return blanked


def _convert(estimator: Any, width: int) -> bytes:
    import skl2onnx  # optional, needed for candidates of a user's own alone
    from skl2onnx.common.data_types import FloatTensorType

    try:
        model = skl2onnx.convert_sklearn(
            estimator,
            initial_types=[(INPUT, FloatTensorType([None, width]))],
            custom_conversion_functions=dict.fromkeys(_TREES, _convert_trees),
        )
        _keep_probabilities(model.graph)
    except Exception as error:
        raise ExportError("skl2onnx cannot convert it") from error
    return bytes(model.SerializeToString())


def _keep_probabilities(graph: Any) -> None:
    # skl2onnx makes a list of dictionaries of them. It can be told not to, but then takes ten times
    # as long over a forest.
    from onnx import TensorProto, helper

    (listing,) = (node for node in graph.node if node.op_type == "ZipMap")
    graph.node.remove(listing)
    if listing.input[0] != OUTPUT:
        graph.node.append(helper.make_node("Identity", list(listing.input), [OUTPUT]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 2]))


def _convert_trees(scope: Any, operator: Any, container: Any) -> None:
    # skl2onnx 1.20 sends missing values right at every node of scikit-learn's trees, without an
    # error, and fails on those of histogram boosting. Gone when its own conversion agrees without
    # this, which tests/training/candidates/test_export.py shows.
    from skl2onnx.common._registration import get_converter

    add_node: Callable[..., Any] = container.add_node
    directions = _list_directions(operator.raw_operator)

    def add_with_directions(*arguments: Any, **attributes: Any) -> Any:
        if _MISSING_LEFT in attributes:
            attributes[_MISSING_LEFT] = directions
            # Optional, of no use to onnxruntime, and a tenth of the file.
            attributes.pop("nodes_hitrates", None)
        return add_node(*arguments, **attributes)

    container.add_node = add_with_directions
    try:
        get_converter(operator.type)(scope, operator, container)
    finally:
        del container.add_node


def _list_directions(model: Any) -> list[int]:
    # 1 if a missing value goes left, for each node of each tree in turn.
    if isinstance(model, HistGradientBoostingClassifier):
        nodes = (tree.nodes for tree in chain.from_iterable(model._predictors))
        left = [part["missing_go_to_left"] * (part["is_leaf"] == 0) for part in nodes]
    else:
        trees = (tree.tree_ for tree in getattr(model, "estimators_", [model]))
        left = [tree.missing_go_to_left * (tree.children_left >= 0) for tree in trees]
    return [int(number) for number in np.concatenate(left)]
