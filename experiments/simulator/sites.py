"""Sites: where patients are treated; the same for every cohort of a world."""

from dataclasses import dataclass

from features.base.arrays import Flags, Indices, Numbers


@dataclass(frozen=True)
class Sites:
    """The sites of a world."""

    names: tuple[str, ...]
    weights: Numbers  # ``[sites]``: share of all patients
    # effects, slopes: ``[sites]``: log-odds added to the base rate, and factor on the strength of
    # effects
    effects: Numbers
    slopes: Numbers
    skipped: dict[str, Flags]  # For each field, ``bool[sites]``: the form does not ask
    # For each instrument, ``bool[sites]``: items are recorded, and no total
    items: dict[str, Flags]
    routes: Indices  # ``[sites]``: index of the main route
    habits: Numbers  # ``[sites]``: how readily patients miss visits, in standard deviations
    new: bool = False  # Whether these are sites that no model was trained on
