"""Patterns: rows that are alike are described once."""

from collections.abc import Callable
from typing import Any, TypeVar

from numpy.typing import NDArray

Described = TypeVar("Described")


def describe_alike(codes: NDArray[Any], describe: Callable[[bytes], Described]) -> list[Described]:
    """Describe rows by codes of one byte each; rows alike share one description.

    Parameters
    ----------
    codes
        ``bool`` or ``int8``, ``[codes, rows]``.
    describe
        Gets a row's codes, as bytes.

    Examples
    --------
    >>> import numpy as np
    >>> describe_alike(np.array([[True, False, True], [False, False, False]]), list)
    [[1, 0], [0, 0], [1, 0]]
    """
    width, rows = codes.shape
    content = codes.T.tobytes()
    patterns = [content[row * width : (row + 1) * width] for row in range(rows)]
    described = {pattern: describe(pattern) for pattern in set(patterns)}
    return [described[pattern] for pattern in patterns]
