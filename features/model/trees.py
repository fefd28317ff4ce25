"""Boosted trees: read from UBJSON, summed and explained; the only contact with XGBoost here."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import ArtifactError


def parse_booster(content: bytes) -> Any:
    """Read boosted trees from UBJSON, or raise `ArtifactError`."""
    import xgboost  # a heavy import, needed by models with trees alone

    # One thread: the workers of a service share the cores among them.
    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError:
        raise ArtifactError("boosted trees cannot be read") from None
    return booster


def dump_booster(booster: Any) -> bytes:
    """Write boosted trees as UBJSON."""
    # Not pickle, which runs code on reading.
    return bytes(booster.save_raw("ubj"))


def predict_margin(booster: Any, matrix: NDArray[np.float32]) -> Numbers:
    """Sum the leaves that each row falls into, as ``float64[rows]``.

    Trees read the first columns of the matrix, as many as they were grown on.
    """
    own = matrix[:, : booster.num_features()]
    margin = booster.inplace_predict(own, predict_type="margin", validate_features=False)
    return np.asarray(margin, dtype=np.float64)


def join_boosters(boosters: Sequence[Any]) -> Any:
    """Join boosters that were grown on the same columns into one that gives all their margins.

    Fast path of calling each: one call costs little more than the trees themselves. Each keeps its
    trees in their order, as the trees of one class, so its sum is the same to the last bit.
    """
    # Fast path of predict_margin on each; equal by tests/features/model/test_response_model.py.
    joined, *others = (json.loads(bytes(booster.save_raw("json"))) for booster in boosters)
    learner = joined["learner"]
    models = [booster["learner"]["gradient_booster"]["model"] for booster in (joined, *others)]
    trees = [(tree, index) for index, model in enumerate(models) for tree in model["trees"]]
    merged = models[0]
    merged["trees"] = [{**tree, "id": number} for number, (tree, _) in enumerate(trees)]
    merged["tree_info"] = [index for _, index in trees]
    merged["iteration_indptr"] = [0, len(trees)]
    merged["gbtree_model_param"]["num_trees"] = str(len(trees))
    count = str(len(boosters))
    learner["objective"] = {
        "name": "multi:softprob",
        "softmax_multiclass_param": {"num_class": count},
    }
    learner["learner_model_param"] |= {"num_class": count}
    return parse_booster(json.dumps(joined).encode())


def predict_margins(joined: Any, matrix: NDArray[np.float32], count: int) -> Numbers:
    """Sum the leaves of each of joined boosters, as ``float64[rows, boosters]``."""
    start = np.zeros((len(matrix), count), dtype=np.float32)
    own = matrix[:, : joined.num_features()]
    margins = joined.inplace_predict(
        own, predict_type="margin", validate_features=False, base_margin=start
    )
    return np.asarray(margins, dtype=np.float64).reshape(len(matrix), count)


def predict_contributions(booster: Any, matrix: NDArray[np.float32]) -> Numbers:
    """Split each row's margin by feature (TreeSHAP), ``float64[rows, features + 1]``, bias last."""
    import xgboost

    width = booster.num_features()
    shares = booster.predict(xgboost.DMatrix(matrix[:, :width]), pred_contribs=True)
    shares = shares.reshape(len(matrix), width + 1)  # without rows it has but one dimension
    others = np.zeros((len(matrix), matrix.shape[1] - width))
    return np.column_stack([shares[:, :width], others, shares[:, width:]]).astype(np.float64)
