"""Published figures that the simulated patients are calibrated to; ``published.toml`` has them."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from features.base.arrays import Numbers

_FIGURES: Mapping[str, Any] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text("utf-8"), parse_float=float
)

LATENTS: tuple[str, ...] = tuple(_FIGURES["latents"])
CONDITIONS: tuple[tuple[str, float], ...] = tuple(map(tuple, _FIGURES["conditions"]))
INTAKE_LOWS: Mapping[tuple[str, int], float] = MappingProxyType(
    {(key, condition): low for key, condition, low in _FIGURES["intake_lows"]}
)
ITEM_MISSING: float = _FIGURES["item_missing"]
MADRS_ESKETAMINE_ACUTE: float = _FIGURES["madrs_esketamine_acute"]
SHARES: Mapping[str, float] = MappingProxyType(_FIGURES["shares"])
TOTALS: Mapping[str, list[list[float]]] = MappingProxyType(_FIGURES["totals"])
MISSING: Mapping[str, float] = MappingProxyType(_FIGURES["missing"])
TARGETS: Mapping[tuple[str, str], tuple[float, ...]] = MappingProxyType(
    {
        (condition, horizon): tuple(shares)
        for condition, horizons in _FIGURES["targets"].items()
        for horizon, shares in horizons.items()
    }
)
SPREADS: Mapping[str, float] = MappingProxyType(_FIGURES["spreads"])
EFFECT_SIZES: Mapping[str, list[float]] = MappingProxyType(_FIGURES["effects"])


def make_correlations() -> Numbers:
    """Make the correlation matrix of the latent variables."""
    matrix = np.eye(len(LATENTS))
    for first, second, value in _FIGURES["correlations"]:
        row, column = LATENTS.index(first), LATENTS.index(second)
        matrix[row, column] = matrix[column, row] = value
    return matrix
