"""Exported classifiers: ONNX files run by onnxruntime, which no other module imports.

Training exports them from scikit-learn; nothing of scikit-learn is needed to run one. All that an
equation knows of it is the probability that it gives for a row of the matrix.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import ArtifactError, UnavailableError

# Names of the graph's input, float32[rows, features], and of its output, float32[rows, classes].
INPUT, OUTPUT = "matrix", "probabilities"
# A forest's probability can be 0 or 1, whose log-odds are infinite. Few cohorts could tell a rate
# this far out from one further out: it is half a course in 500.
PROBABILITY_LIMIT = 0.001
NEEDS_RUNTIME = (
    "this model was exported from scikit-learn and needs onnxruntime: "
    "`python -m pip install onnxruntime`"
)
UNSPLIT = (
    "this model was exported from scikit-learn as a whole, so its log-odds cannot be split by field"
)
# onnxruntime prints fatal errors alone; others are raised, and explained here.
_FATAL = 4


@dataclass(frozen=True)
class ExportedClassifier:
    """A classifier as an ONNX file; `content` is the file."""

    content: bytes

    @cached_property
    def session(self) -> Any:
        """The session that runs it, made once; threads may share it.

        Raises
        ------
        UnavailableError
            If onnxruntime is not installed.
        ArtifactError
            If the content is not a classifier.
        """
        try:
            import onnxruntime  # an optional package, needed by these models alone
        except ModuleNotFoundError:
            raise UnavailableError(NEEDS_RUNTIME) from None
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        # The workers of a service share the cores; sums over threads have other last digits.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        # A pool of memory of its own for each of dozens of small graphs would never be used.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = _FATAL
        try:
            session = onnxruntime.InferenceSession(
                self.content, options, providers=["CPUExecutionProvider"]
            )
            names = {end.name for end in (*session.get_inputs(), *session.get_outputs())}
        # onnxruntime raises classes of its own for each kind of damage, without a common parent.
        except Exception:
            raise ArtifactError("an exported classifier cannot be read") from None
        if not {INPUT, OUTPUT} <= names:
            raise ArtifactError(f"an exported classifier must turn {INPUT} into {OUTPUT}")
        return session

    # A session cannot go to another process; it is made again there.
    def __getstate__(self) -> dict[str, bytes]:
        return {"content": self.content}

    def predict_probability(self, matrix: NDArray[np.float32]) -> Numbers:
        """Predict the probability of the event, ``float64[rows]``, from 0 to 1 inclusive."""
        if not len(matrix):
            return np.empty(0)  # many graphs cannot be run without rows
        (probabilities,) = self.session.run([OUTPUT], {INPUT: matrix})
        return np.asarray(probabilities[:, 1], dtype=np.float64)

    def predict_margin(self, matrix: NDArray[np.float32]) -> Numbers:
        """Predict log-odds before calibration, ``float64[rows]``; see :func:`bound_log_odds`."""
        return bound_log_odds(self.predict_probability(matrix))


def bound_log_odds(probability: Numbers) -> Numbers:
    """Turn probabilities into log-odds, those beyond `PROBABILITY_LIMIT` into those of the limit.

    Examples
    --------
    >>> bound_log_odds(np.array([0.0, 0.25, 1.0])).round(3)
    array([-6.907, -1.099,  6.907])
    """
    bounded = np.clip(probability, PROBABILITY_LIMIT, 1 - PROBABILITY_LIMIT)
    return np.log(bounded) - np.log1p(-bounded)
