"""Units of work: which courses to fit on, and which to predict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from features.base.arrays import Indices
from training.study.design import Design, number_sites
from training.study.seeds import BOOTSTRAP_SEED, FOLD_SEED, LATEST_SEED, SITE_SEED, derive_seed
from training.study.split import draw_patients, has_both_classes, split_outer


@dataclass(frozen=True)
class Unit:
    """One run of a procedure; `train` and `test` are positions of courses.

    Its key is unique within a study, and names the file of its result.
    """

    key: str
    train: Indices
    test: Indices
    seed: int


def list_folds(design: Design) -> list[list[Unit]]:
    """List the folds of each repeat of the cross-validation."""
    repeats = design.study.validation.repeats
    return [list(_list_repeat(design, number)) for number in range(repeats)]


def _list_repeat(design: Design, repeat: int) -> Iterator[Unit]:
    for number, fold in enumerate(split_outer(design, repeat)):
        seed = derive_seed(design.study.seed, FOLD_SEED, repeat, number)
        yield Unit(f"fold-{repeat}-{number}", fold.train, fold.test, seed)


def list_bootstraps(design: Design, count: int) -> list[Unit]:
    """List bootstrap samples of patients; each predicts every course of the original sample."""
    return [draw_bootstrap(design, number) for number in range(count)]


def draw_bootstrap(design: Design, number: int) -> Unit:
    """Draw one bootstrap sample."""
    seed = derive_seed(design.study.seed, BOOTSTRAP_SEED, number)
    rows = draw_patients(design, np.random.default_rng(seed))
    return Unit(f"bootstrap-{number}", rows, np.arange(design.size), seed)


def list_sites(design: Design) -> list[Unit]:
    """List one unit per site, fitted on the other sites; empty for a single site.

    A patient treated at two sites is in neither site's training courses. Courses without a site
    are only trained on.
    """
    sites, names = number_sites(design.columns)
    if len(names) < 2:
        return []
    # By number, not name: a site's name may not be fit for a file's name.
    seed = design.study.seed
    held_out = [
        (f"site-{site}", np.flatnonzero(sites == site), derive_seed(seed, SITE_SEED, site))
        for site in range(len(names))
    ]
    return list(_leave_out(design, held_out))


def list_latest_courses(design: Design) -> list[Unit]:
    """List one unit for the latest courses, fitted on the earlier ones; empty without dates."""
    rows = select_latest_courses(design, design.study.validation.latest)
    if not has_both_classes(design, rows):
        return []
    return list(_leave_out(design, [("latest", rows, derive_seed(design.study.seed, LATEST_SEED))]))


def select_latest_courses(design: Design, share: float) -> Indices:
    """Return the latest courses by day of assessment, about the given share of those dated.

    Courses of one day stay together. Empty if all are of one day.
    """
    days = design.columns.get_numbers("assessed_on")
    dated = np.flatnonzero(~np.isnan(days))
    if not len(dated) or np.ptp(days[dated]) == 0:
        return np.arange(0)
    border = np.quantile(days[dated], 1 - share, method="higher")
    # The first day is always among the earlier ones, so that there is something to fit on.
    after_first = np.nextafter(days[dated].min(), np.inf)
    late: Indices = dated[days[dated] >= max(border, after_first)]
    return late


def _leave_out(design: Design, held_out: Iterable[tuple[str, Indices, int]]) -> Iterator[Unit]:
    # A patient's other courses are excluded too: a model trained on them would know the
    # patient. Skipped if one class is left.
    for key, rows, seed in held_out:
        others = np.flatnonzero(~np.isin(design.patients, design.patients[rows]))
        if has_both_classes(design, others):
            yield Unit(key, others, rows, seed)
