"""Units of work: which courses to learn from, and which to ask about."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Numbers
from training.study.design import Design, number_sites
from training.study.outer_split import MIN_CLASS_PER_FOLD, split_outer
from training.study.split import derive_seed, draw_patients
from training.study.study import Study

Rows = NDArray[np.int64]
# Places of the seeds that a run derives from the study's own; see training.validation.resample.
FOLD_SEED, BOOTSTRAP_SEED, SITE_SEED, LATEST_SEED = 1, 6, 7, 8


@dataclass(frozen=True)
class Unit:
    """One development of a procedure.

    Parameters
    ----------
    key
        Tells it from all others of the run; names its file.
    train, test
        Positions of courses; in `train` some may be there several times.
    """

    key: str
    train: Rows
    test: Rows
    seed: int


def list_folds(study: Study, design: Design) -> list[list[Unit]]:
    """List the folds of each repeat of the cross-validation."""
    return [
        [
            Unit(
                f"fold-{repeat}-{number}",
                fold.train,
                fold.test,
                derive_seed(study.seed, FOLD_SEED, repeat, number),
            )
            for number, fold in enumerate(split_outer(study, design, repeat))
        ]
        for repeat in range(study.validation.repeats)
    ]


def list_bootstraps(study: Study, design: Design, count: int) -> list[Unit]:
    """List bootstrap samples of patients, each asked about every course."""
    return [draw_bootstrap(study, design, number) for number in range(count)]


def draw_bootstrap(study: Study, design: Design, number: int) -> Unit:
    """Draw one bootstrap sample."""
    seed = derive_seed(study.seed, BOOTSTRAP_SEED, number)
    rows = draw_patients(design, np.random.default_rng(seed))
    return Unit(f"bootstrap-{number}", rows, np.arange(design.size), seed)


def list_sites(study: Study, design: Design) -> list[Unit]:
    """List the sites, each asked about by what the others teach; none for a single site.

    A patient treated at two sites teaches nothing about either. Courses without a site are only
    learned from.
    """
    sites, names = number_sites(design.columns)
    if len(names) < 2:
        return []
    held = (np.flatnonzero(sites == place) for place in range(len(names)))
    units = (
        leave_out(design, f"site-{place}", rows, derive_seed(study.seed, SITE_SEED, place))
        for place, rows in enumerate(held)
    )
    return [unit for unit in units if unit is not None]


def list_latest(study: Study, design: Design) -> list[Unit]:
    """List the latest courses, asked about by what the earlier ones teach; none without dates."""
    rows = find_latest(design, study.validation.latest)
    if not len(rows) or not has_both(design, rows):
        return []
    unit = leave_out(design, "latest", rows, derive_seed(study.seed, LATEST_SEED))
    return [] if unit is None else [unit]


def find_latest(design: Design, share: float) -> Rows:
    """Find the latest courses by the day of assessment, about so large a share of those dated.

    Courses of one day stay together. None where all are of one day.
    """
    days = design.columns.get_numbers("assessed_on")
    dated = np.flatnonzero(~np.isnan(days))
    if not len(dated) or np.ptp(days[dated]) == 0:
        return np.arange(0)
    border = np.quantile(days[dated], 1 - share, method="higher")
    late: Rows = dated[days[dated] >= max(border, np.nextafter(days[dated].min(), np.inf))]
    return late


def leave_out(design: Design, key: str, rows: Rows, seed: int) -> Unit | None:
    """Leave some courses out, and all of their patients; None where nothing is left to learn."""
    others = np.flatnonzero(~np.isin(design.patients, design.patients[rows]))
    return Unit(key, others, rows, seed) if has_both(design, others) else None


def has_both(design: Design, rows: Rows) -> bool:
    """Tell whether courses with and without the outcome are among some."""
    events = design.outcome[rows].sum()
    return bool(min(events, len(rows) - events) >= MIN_CLASS_PER_FOLD)


def count_drawn(unit: Unit, size: int) -> Numbers:
    """Count how often each course was learned from; ``[courses]``."""
    return np.bincount(unit.train, minlength=size).astype(np.float64)
