"""Terms: coefficients of the log-odds, for a model and its bootstrap refits or posterior draws."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import ArtifactError

TERMS_FILE = "terms.npz"
# Products count features at most this far from their centres, in their scales: the product of two
# rare values would claim more than the data show.
MAX_UNITS = 3.0
# What log-odds are linear in before calibration; one number or row per version.
LINEAR = ("intercept", "present", "missing", "sites", "trees", "products")


@dataclass(frozen=True)
class Terms:
    """Coefficients of the log-odds, for each version: the model, then its re-developments.

    :meth:`check` has the shapes.
    """

    intercept: Numbers
    # Per unit of a recorded value, and for a missing one.
    present: Numbers
    missing: Numbers
    # Effect of each known site, and last of a new site: 0 for the model, drawn from the
    # between-site distribution for re-developments.
    sites: Numbers
    # Weight of the boosted trees.
    trees: Numbers
    # From where a feature's contribution is counted, and the unit in which products count it.
    centre: Numbers
    scale: Numbers
    # Features multiplied; a feature with itself is its square.
    pairs: NDArray[np.int64]
    products: Numbers
    # See features/model/calibration.py.
    calibration: Numbers

    def check(self, features: int, sites: int) -> None:
        """Raise `ArtifactError` unless all shapes fit each other and all numbers are finite."""
        versions = len(self.intercept)
        shapes = {
            "intercept": (versions,),
            "present": (versions, features),
            "missing": (versions, features),
            "sites": (versions, sites + 1 if sites else 0),
            "trees": (versions,),
            "centre": (features,),
            "scale": (features,),
            "pairs": (len(self.pairs), 2),
            "products": (versions, len(self.pairs)),
            "calibration": (versions, 3),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ArtifactError(f"{TERMS_FILE}: {name} must hold finite numbers {shape}")
        if len(self.pairs) and not (self.pairs.min() >= 0 and self.pairs.max() < features):
            raise ArtifactError(f"{TERMS_FILE}: pairs must name features")
        if not (self.scale > 0).all():
            raise ArtifactError(f"{TERMS_FILE}: scale must be above 0")
        if not (self.calibration[:, 1:] >= 0).all():
            raise ArtifactError(f"{TERMS_FILE}: calibration must not reverse the order")


def stack_terms(versions: Sequence[Terms]) -> Terms:
    """Join a model's terms with those of its re-developments, which share its centres and pairs."""
    names = (*LINEAR, "calibration")
    joined = {name: np.concatenate([getattr(v, name) for v in versions]) for name in names}
    return replace(versions[0], **joined)


def dump_terms(terms: Terms) -> bytes:
    """Write terms as an uncompressed ``.npz``."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **vars(terms))
    return buffer.getvalue()


def parse_terms(content: bytes) -> Terms:
    """Read terms back; raise `ArtifactError` if the content is anything but those arrays."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            contents = {name: arrays[name].astype(np.float64) for name in arrays.files}
            return Terms(**contents | {"pairs": contents["pairs"].astype(np.int64)})
    except (KeyError, ValueError, TypeError, OSError, EOFError):
        raise ArtifactError(f"{TERMS_FILE} cannot be read") from None


def count_units(matrix: NDArray[np.float32], centre: Numbers, scale: Numbers) -> Numbers:
    """Standardise features as products take them, within `MAX_UNITS` either way."""
    return limit_units((matrix - centre) / scale)


def limit_units(units: Numbers) -> Numbers:
    """Limit standardised features in place to `MAX_UNITS` either way."""
    np.maximum(units, -MAX_UNITS, out=units)
    return np.minimum(units, MAX_UNITS, out=units)


def multiply_pairs(units: Numbers, pairs: NDArray[np.int64]) -> Numbers:
    """Multiply pairs of standardised features, ``[rows, products]``; 0 if either is missing.

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
