"""Terms: the numbers that make up the log-odds, for a model and its re-developments."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import ArtifactError

Numbers = NDArray[np.float64]
TERMS_FILE = "terms.npz"


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
        ``[versions, sites]``: effect of each known site; an unknown site has none.
    trees
        ``[versions]``: weight of the boosted trees.
    centre
        ``[features]``: value from which a feature's contribution is counted.
    """

    intercept: Numbers
    present: Numbers
    missing: Numbers
    sites: Numbers
    trees: Numbers
    centre: Numbers

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
            "sites": (versions, sites),
            "trees": (versions,),
            "centre": (features,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ArtifactError(f"{TERMS_FILE}: {name} must hold finite numbers {shape}")


def stack_terms(versions: Sequence[Terms]) -> Terms:
    """Join a model's terms with those of its re-developments; the model's centre counts."""
    names = ("intercept", "present", "missing", "sites", "trees")
    joined = {name: np.concatenate([getattr(v, name) for v in versions]) for name in names}
    return Terms(**joined, centre=versions[0].centre)


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
            return Terms(**{name: arrays[name].astype(np.float64) for name in arrays.files})
    except (ValueError, TypeError, OSError, EOFError):
        raise ArtifactError(f"{TERMS_FILE} cannot be read") from None
