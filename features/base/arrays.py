"""Types of arrays, declared once. Shapes are stated where they are used, as ``[rows, fields]``."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
Texts = NDArray[np.object_]

Described = TypeVar("Described")


def describe_equal_rows(
    codes: NDArray[Any], describe: Callable[[bytes], Described]
) -> list[Described]:
    """Describe rows by codes of one byte each; equal rows are described once.

    Parameters
    ----------
    codes
        ``bool`` or ``int8``, ``[codes, rows]``.
    describe
        Gets a row's codes, as bytes.

    Examples
    --------
    >>> describe_equal_rows(np.array([[True, False, True], [False, False, False]]), list)
    [[1, 0], [0, 0], [1, 0]]
    """
    width, rows = codes.shape
    content = codes.T.tobytes()
    patterns = [content[row * width : (row + 1) * width] for row in range(rows)]
    described = {pattern: describe(pattern) for pattern in set(patterns)}
    return [described[pattern] for pattern in patterns]
