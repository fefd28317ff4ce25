"""The folds of a study's comparison: patients held out, or whole sites.

Every fold must be informative: at least two events and two non-events.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.base.errors import Problem, StudyError
from training.study.design import UNKNOWN_SITE, Design, number_sites
from training.study.split import Fold, Rows, derive_seed, split_stratified
from training.study.study import Study

# An AUC of a fold has a standard error only with two patients of either class.
MIN_CLASS_PER_FOLD = 2
# A deal of few large sites may leave a fold without events; another shuffle may not.
_SHUFFLES = 20


def split_outer(study: Study, design: Design, repeat: int) -> list[Fold]:
    """Split for one repeat of the comparison.

    Raises
    ------
    StudyError
        If a fold would hold fewer than two events, or fewer than two non-events.
    """
    units = number_units(study, design)
    count = study.validation.folds
    smaller_class = min(design.events, design.size - design.events)
    if smaller_class >= MIN_CLASS_PER_FOLD * count and len(np.unique(units)) >= count:
        for shuffle in range(_SHUFFLES):
            seed = derive_seed(study.seed, repeat, shuffle)
            folds = list(split_stratified(design.outcome, units, count, seed))
            if all(_is_informative(design, fold) for fold in folds):
                return folds
    raise StudyError([_describe_shortage(count, smaller_class)], source=study.name)


def number_units(study: Study, design: Design) -> Rows:
    """Give a number to what must stay together, ``[courses]``.

    Patients; or, if sites are held out, sites, joined if a patient was treated at both.
    """
    if study.validation.hold_out == "patient":
        return design.patients
    sites, names = number_sites(design.columns)
    if len(names) < 2 or (sites == UNKNOWN_SITE).any():
        message = "holding out sites needs the site of every course, and at least two sites"
        raise StudyError([Problem("validation.hold_out", "site", message)], source=study.name)
    return join_groups(design.patients, sites)


def join_groups(first: Rows, second: Rows) -> Rows:
    """Give a number to each connected part of two groupings, ``[courses]``.

    Examples
    --------
    >>> join_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    # Both groupings are nodes of one graph, and each course links its two.
    width = int(first.max()) + 1
    nodes = width + int(second.max()) + 1
    links = coo_array((np.ones(len(first)), (first, second + width)), shape=(nodes, nodes))
    parts = connected_components(links, directed=False)[1][first]
    return np.unique(parts, return_inverse=True)[1].astype(np.int64)


def _is_informative(design: Design, fold: Fold) -> bool:
    events = design.outcome[fold.test].sum()
    return bool(min(events, len(fold.test) - events) >= MIN_CLASS_PER_FOLD)


def _describe_shortage(folds: int, smaller_class: int) -> Problem:
    allowed = smaller_class // MIN_CLASS_PER_FOLD
    advice = f"at most {allowed}" if allowed >= 2 else "none are possible: collect more outcomes"
    message = (
        f"{folds} folds need {MIN_CLASS_PER_FOLD} events and {MIN_CLASS_PER_FOLD} non-events each; "
        f"the smaller class has {smaller_class} ({advice})"
    )
    return Problem("validation.folds", "events", message)
