"""Boosted trees: read from UBJSON, summed and explained; the only contact with XGBoost here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError

Numbers = NDArray[np.float64]


def parse_booster(content: bytes) -> Any:
    """Read boosted trees from UBJSON.

    Raises
    ------
    ArtifactError
        If they cannot be read.
    """
    import xgboost  # a heavy import, needed by models with trees alone

    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError:
        raise ArtifactError("boosted trees cannot be read") from None
    return booster


def dump_booster(booster: Any) -> bytes:
    """Write boosted trees as UBJSON."""
    return bytes(booster.save_raw("ubj"))


def predict_margin(booster: Any, matrix: NDArray[np.float32]) -> Numbers:
    """Sum the leaves that each row falls into, as ``float64[rows]``.

    Trees read the first columns of the matrix, as many as they were grown on.
    """
    own = matrix[:, : booster.num_features()]
    margin = booster.inplace_predict(own, predict_type="margin", validate_features=False)
    return np.asarray(margin, dtype=np.float64)


def predict_contributions(booster: Any, matrix: NDArray[np.float32]) -> Numbers:
    """Split each row's margin by feature (TreeSHAP), ``float64[rows, features + 1]``, bias last."""
    import xgboost

    width = booster.num_features()
    shares = booster.predict(xgboost.DMatrix(matrix[:, :width]), pred_contribs=True)
    others = np.zeros((len(matrix), matrix.shape[1] - width))
    return np.column_stack([shares[:, :width], others, shares[:, width:]]).astype(np.float64)
