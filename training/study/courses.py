"""The courses of a study: read, filtered, judged by the outcome and arranged as a design."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.base.arrays import Flags, Numbers
from features.base.errors import CohortError, Problem, StudyError
from features.dictionary.outcome import Outcome
from features.intake.account import Account
from features.intake.exports import Paths
from features.model.matrix import Feature, build_matrix, list_features
from features.records.cohort import collect_cohort, read_intake
from features.records.columns import Columns
from features.records.mapping import Mapper, read_mapping
from features.sources.tables import wrap_table
from training.study.conditions import list_exclusions
from training.study.design import UNKNOWN_SITE, Design, number_sites
from training.study.study import Study, list_early

# Months are exact enough: drift is modelled per year.
_DAYS_A_MONTH = 30
NONE_YET = 'cohort.outcomes = "none-yet"'


def load_cohort(study: Study, override: Paths | None = None) -> Columns:
    """Read the cohort of a study, whole and valid."""
    return load_intake(study, override)[0]


def load_intake(study: Study, override: Paths | None = None) -> tuple[Columns, Account | None]:
    """Read the cohort of a study, and the account of its exports; None if a reader gives it."""
    mapper = read_mapping(study.locate(study.cohort.mapping), study.dictionary)
    paths = [override] if isinstance(override, Path) else override or study.list_exports()
    options = _list_options(study)
    if study.cohort.reader is not None:
        return _read_by_reader(study, study.cohort.reader, paths, mapper), None
    if not paths:
        message = "name the cohort with --cohort, or with cohort.path in the study"
        raise StudyError([Problem("cohort", "required", message)], source=study.name)
    return read_intake(paths, mapper, **options)


def _read_by_reader(study: Study, reader: str, paths: Sequence[Path], mapper: Mapper) -> Columns:
    rules = {
        "has one path, or none": len(paths) <= 1,
        "gives one row per course: the mapping has nothing to join or derive": mapper.is_plain,
    }
    problems = [
        Problem("cohort.reader", "reader", rule) for rule, kept in rules.items() if not kept
    ]
    if problems:
        raise StudyError(problems, source=study.name)
    table = _find_reader(reader)(next(iter(paths), None))
    source = paths[0].name if paths else reader
    return collect_cohort(wrap_table(table, source), mapper, **_list_options(study))


def _list_options(study: Study) -> dict[str, Any]:
    return {
        "ignore_unknown": study.cohort.ignore_unknown,
        "incomplete": study.cohort.incomplete,
        "dictionary": study.dictionary,
    }


def load_design(study: Study, override: Paths | None = None) -> Design:
    """Read the courses that a study is about, and arrange them to learn from.

    Parameters
    ----------
    override
        Cohort to use instead of the study's own: a file, a folder, or its mapping's exports.

    Raises
    ------
    InputError
        If study or cohort break a rule, or the cohort cannot show the outcome.
    """
    return arrange_cohort(study, *load_intake(study, override))


def arrange_cohort(study: Study, cohort: Columns, account: Account | None = None) -> Design:
    """Arrange the courses of a cohort that a study is about; see :func:`load_design`."""
    design = prepare_design(study, filter_courses(study, cohort))
    _check_early_scores(study, design.columns)
    excluded = tuple(list_exclusions(study.conditions, cohort))
    return replace(design, excluded=excluded, account=account)


def _find_reader(name: str) -> Any:
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    # ValueError: an empty module name.
    except (ImportError, AttributeError, ValueError):
        message = "must be module:function, importable from here"
        raise StudyError([Problem("cohort.reader", "import", message)]) from None


def filter_courses(study: Study, columns: Columns) -> Columns:
    """Keep the courses that the study asks for."""
    met = [condition.find_met(columns) for condition in study.conditions]
    kept = np.all([np.ones(columns.size, dtype=bool), *met], axis=0)
    if not kept.any():
        message = "leaves no course of the cohort"
        raise StudyError([Problem("cohort.where", "empty", message)], source=study.name)
    return columns.select(kept)


def evaluate_outcome(study: Study, columns: Columns) -> Numbers:
    """Evaluate the study's outcome of each course, NaN if unknown.

    Raises
    ------
    CohortError
        If no course has both totals, or all that do have the same outcome. If the study says that
        no outcome is known yet: if one is, or no course has the baseline total.
    """
    outcome = study.parse_outcome()
    baseline = columns.get_numbers(outcome.instrument.key)
    known = outcome.evaluate(baseline, columns.get_numbers(outcome.followup_field))
    outcomes = known[~np.isnan(known)]
    if study.awaits_outcomes:
        problem = _check_none_known(outcome, outcomes, columns)
    else:
        problem = _check_known(outcome, outcomes, count_settled(outcome, columns))
    if problem is not None:
        raise CohortError([problem], source=study.name)
    return known


def _check_known(outcome: Outcome, outcomes: Numbers, settled: int) -> Problem | None:
    classes, aside = np.unique(outcomes), f"; {settled} {outcome.settled}" if settled else ""
    if len(classes) == 0:
        open_to_change = " that leaves something to improve" if settled else ""
        message = (
            f"no course has both {outcome.instrument.key}{open_to_change} and "
            f"{outcome.followup_field}{aside}; if there is no follow-up yet, ask for published "
            f"evidence alone: {NONE_YET}"
        )
        return Problem(outcome.id, "outcome", message)
    if len(classes) == 1:
        word = "every" if classes[0] == 1 else "no"
        message = f"{word} course has the outcome; nothing can be learned from one class{aside}"
        return Problem(outcome.id, "one_class", message)
    return None


def _check_none_known(outcome: Outcome, outcomes: Numbers, columns: Columns) -> Problem | None:
    if len(outcomes):
        message = f"{len(outcomes)} courses have the outcome; take {NONE_YET} away to learn of them"
        return Problem(outcome.id, "outcome", message)
    if not have_baseline(outcome, columns).any():
        settled = count_settled(outcome, columns)
        message = f"no course has a baseline {outcome.instrument.key} to judge the outcome by"
        message += f"; {settled} {outcome.settled}" if settled else ""
        return Problem(outcome.id, "baseline", message)
    return None


def have_baseline(outcome: Outcome, columns: Columns) -> Flags:
    """Return which courses have a baseline total that can improve; ``bool[courses]``."""
    baseline = columns.get_numbers(outcome.instrument.key)
    # With any follow-up score at all, the outcome is unknown only if the baseline is.
    known: Flags = ~np.isnan(outcome.evaluate(baseline, np.zeros(columns.size)))
    return known


def count_unmeasured(outcome: Outcome, columns: Columns) -> int:
    """Count the courses without the baseline total that the outcome needs."""
    return int(columns.find_missing(outcome.instrument.key).sum())


def count_settled(outcome: Outcome, columns: Columns) -> int:
    """Count the courses whose baseline total leaves nothing to improve."""
    recorded = ~columns.find_missing(outcome.instrument.key)
    return int((recorded & ~have_baseline(outcome, columns)).sum())


def _check_early_scores(study: Study, courses: Columns) -> None:
    # A baseline outcome has no checkpoint and passes. An update needs early scores, and none may be
    # the outcome's own reading.
    outcome, early = study.parse_outcome(), list_early(study)
    if outcome.checkpoint is None:
        return
    recorded = [name for name in early if not courses.find_missing(name).all()]
    problems = [find_same_reading(courses, name, outcome.followup_field) for name in recorded]
    if not recorded:
        message = f"no course with the outcome has a score read by {outcome.checkpoint.key}"
        problems = [Problem(outcome.id, "early_score", message)]
    if kept := [problem for problem in problems if problem is not None]:
        raise CohortError(kept, source=study.name)


def find_same_reading(courses: Columns, early: str, followup: str) -> Problem | None:
    """Find an early score that is the outcome's own under another name: horizons may overlap."""
    first, last = courses.get_numbers(early), courses.get_numbers(followup)
    both = ~np.isnan(first) & ~np.isnan(last)
    if not both.any() or (first[both] != last[both]).any():
        return None
    return Problem(early, "same_reading", f"is {followup} in every course; it must be read earlier")


def prepare_design(study: Study, courses: Columns) -> Design:
    """Turn the courses with a known outcome into arrays; none of them if no outcome is known yet.

    Parameters
    ----------
    courses
        Valid, and those that the study asks for.

    Raises
    ------
    CohortError
        As :func:`evaluate_outcome` does.
    """
    outcome = evaluate_outcome(study, courses)
    eligible, known = have_baseline(study.parse_outcome(), courses), ~np.isnan(outcome)
    enrolled = _arrange_courses(study, courses, eligible, outcome)
    if study.awaits_outcomes:
        design = enrolled.select(np.arange(0))
    else:
        design = _arrange_courses(study, courses, known, outcome)
    return replace(design, enrolled=enrolled)


def _arrange_courses(study: Study, courses: Columns, kept: Flags, outcome: Numbers) -> Design:
    target, columns = study.parse_outcome(), courses.select(kept)
    features, matrix = _compute_features(study, columns)
    sites, site_names = number_sites(columns)
    if "site" not in study.list_fields():
        sites, site_names = np.full_like(sites, UNKNOWN_SITE), ()
    return Design(
        study=study,
        courses=courses,
        columns=columns,
        features=features,
        matrix=matrix,
        outcome=outcome[kept],
        improvement=target.measure(
            columns.get_numbers(target.instrument.key), columns.get_numbers(target.followup_field)
        ),
        patients=np.unique(columns.get_texts("patient_id").astype(str), return_inverse=True)[1],
        sites=sites,
        site_names=site_names,
        target=target,
    )


def _compute_features(
    study: Study, columns: Columns
) -> tuple[tuple[Feature, ...], NDArray[np.float32]]:
    fields = study.list_fields()
    trend = _make_trend(columns) if "assessed_on" in fields else ()
    offered = (*list_features(fields, study.dictionary), *trend)
    matrix = build_matrix(columns, offered)
    recorded = [values[~np.isnan(values)] for values in matrix.T]
    # A constant feature has nothing to tell.
    varying = [index for index, values in enumerate(recorded) if len(values) and np.ptp(values) > 0]
    return tuple(offered[index] for index in varying), np.ascontiguousarray(matrix[:, varying])


def _make_trend(columns: Columns) -> tuple[Feature, ...]:
    # Base rates drift. Time is counted back from the month after the last course, so that
    # later patients get the latest base rate.
    days = columns.get_numbers("assessed_on")
    if np.isnan(days).all():
        return ()
    last = (np.nanmax(days) // _DAYS_A_MONTH + 1) * _DAYS_A_MONTH
    return (Feature(name="trend", field="assessed_on", transform="years", parameter=float(last)),)
