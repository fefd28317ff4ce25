"""Products: pairs of features, each counted from its centre in its own unit."""

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers

MOST_UNITS = 3.0


def count_units(matrix: NDArray[np.float32], centre: Numbers, scale: Numbers) -> Numbers:
    """Count features from their centres in their scales, as products take them.

    At most three either way: a product of two rare values would say more than anybody knows.

    Examples
    --------
    >>> count_units(np.array([[17.0, 90.0]]), np.array([12.0, 28.0]), np.array([5.0, 6.0]))
    array([[1., 3.]])
    """
    return limit_units((matrix - centre) / scale)


def limit_units(units: Numbers) -> Numbers:
    """Limit units, in place, to what products take."""
    np.maximum(units, -MOST_UNITS, out=units)
    return np.minimum(units, MOST_UNITS, out=units)


def multiply_pairs(units: Numbers, pairs: NDArray[np.int64]) -> Numbers:
    """Multiply pairs of features in their units, as ``[rows, products]``; 0 where one is missing.

    Examples
    --------
    >>> multiply_pairs(np.array([[3.0, 2.0], [3.0, np.nan]]), np.array([[0, 1], [0, 0]]))
    array([[6., 8.],
           [0., 8.]])
    """
    first, second = pairs.T
    products: Numbers = units.take(first, axis=1)
    products *= units.take(second, axis=1)
    products -= first == second
    products[np.isnan(products)] = 0
    return products
