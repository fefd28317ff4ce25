"""Curves: nonlinear transforms of one field, as published equations state them."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.base.arrays import Numbers

_Scale = Annotated[float, Field(gt=0)]


class Curve(BaseModel):
    """What a feature computes of ``z = (value - offset) / scale``, kept within `low` and `high`.

    Without knots ``z ** power * log(z) ** logs``. With knots the nonlinear term of a restricted
    cubic spline (Harrell, Regression Modeling Strategies, 2015, 2.4.5), for a knot ``t`` and the
    last two, ``u`` and ``v``, where ``+`` is the positive part::

        ((z-t)+ ** 3 - (z-u)+ ** 3 * (v-t) / (v-u) + (z-v)+ ** 3 * (u-t) / (v-u)) / norm
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offset: float = 0.0
    scale: _Scale = 1.0
    low: float | None = None
    high: float | None = None
    power: float = 1.0
    logs: Annotated[int, Field(ge=0)] = 0
    knots: tuple[float, float, float] | None = None
    norm: _Scale = 1.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest `z`, infinite if unbounded."""
        low = -np.inf if self.low is None else self.low
        return low, np.inf if self.high is None else self.high


class CurvePlan:
    """Some curves of one kind, prepared to be computed at once, in place."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._power = _stack([curve.power for curve in curves])
        logged = [curve for curve in curves if curve.logs]
        self._logged = np.array([curve.logs > 0 for curve in curves])
        self._logs = _stack([curve.logs for curve in logged])
        splines = [curve for curve in curves if curve.knots is not None]
        self._splined = np.array([curve.knots is not None for curve in curves])
        first, last, end = np.array([curve.knots for curve in splines]).reshape(-1, 3).T
        self._knots = np.array([first, last, end])[:, :, None]
        share = (end - first) / (end - last)
        # The cubes cancel beyond the last knot, where the curve is a straight line.
        weights = np.array([np.ones_like(share), -share, share - 1])
        self._weights = weights[:, :, None] / _stack([curve.norm for curve in splines])

    def compute(self, values: Numbers) -> None:
        """Replace each ``z``, ``[curves, rows]``, by its curve's value."""
        logged, splined = values[self._logged], values[self._splined]
        np.power(values, self._power, out=values)
        values[self._logged] *= np.log(logged) ** self._logs
        cubes = np.maximum(splined - self._knots, 0.0) ** 3
        values[self._splined] = (cubes * self._weights).sum(axis=0)


# `[numbers, 1]`
def _stack(numbers: Sequence[float]) -> NDArray[np.float64]:
    return np.array(numbers, dtype=np.float64).reshape(-1, 1)
