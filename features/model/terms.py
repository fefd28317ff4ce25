"""Terms: the numbers that make up the log-odds, for a model and its re-developments."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from features.base.errors import ArtifactError

TERMS_FILE = "terms.npz"
# What log-odds are straight lines of, before they are calibrated; one number or row a version.
LINEAR = ("intercept", "present", "missing", "sites", "trees", "products")


@dataclass(frozen=True)
class Terms:
    """What makes up the log-odds, for a model and its re-developments.

    Parameters
    ----------
    intercept
        ``[versions]``; the model itself first.
    present, missing
        ``[versions, features]``: per unit of a recorded value, and for a missing one.
    sites
        ``[versions, sites + 1]``: effect of each known site, and last of a site never seen: 0 for
        the model, and as spread over sites as the sites known for its re-developments. Without
        known sites ``[versions, 0]``.
    trees
        ``[versions]``: weight of the boosted trees.
    centre, scale
        ``[features]``: value from which a feature's contribution is counted, and the unit in which
        products count it.
    pairs
        ``int64[products, 2]``: features whose product counts; a feature with itself for its square.
    products
        ``[versions, products]``: per unit of each product.
    calibration
        ``[versions, 3]``: what is done to the sum of all that, see
        :mod:`features.model.calibration`.
    """

    intercept: Numbers
    present: Numbers
    missing: Numbers
    sites: Numbers
    trees: Numbers
    centre: Numbers
    scale: Numbers
    pairs: NDArray[np.int64]
    products: Numbers
    calibration: Numbers

    def check(self, features: int, sites: int) -> None:
        """Refuse arrays whose shapes do not belong together.

        Raises
        ------
        ArtifactError
            If they do not, or hold anything but finite numbers.
        """
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
            raise ArtifactError(f"{TERMS_FILE}: calibration must not turn the order round")


def stack_terms(versions: Sequence[Terms]) -> Terms:
    """Join a model's terms with those of its re-developments.

    Products are counted from the same centres in the same units, or there are none.
    """
    names = (*LINEAR, "calibration")
    joined = {name: np.concatenate([getattr(v, name) for v in versions]) for name in names}
    return replace(versions[0], **joined)


def dump_terms(terms: Terms) -> bytes:
    """Write terms as an uncompressed ``.npz``."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **vars(terms))
    return buffer.getvalue()


def parse_terms(content: bytes) -> Terms:
    """Read terms back.

    Raises
    ------
    ArtifactError
        If the content is anything but those arrays.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name].astype(np.float64) for name in arrays.files}
            return Terms(**found | {"pairs": found["pairs"].astype(np.int64)})
    except (KeyError, ValueError, TypeError, OSError, EOFError):
        raise ArtifactError(f"{TERMS_FILE} cannot be read") from None
