"""Evidence: a study's procedure repeated, and its performance by each type of validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.equation import Equation
from features.model.prediction import compute_probability
from training.findings.findings import Performance, ValidationType
from training.findings.format import format_folds, format_percent
from training.measures.bootstrap import IntervalSettings, make_interval_settings
from training.measures.performance import measure_performance
from training.measures.predictions import Predictions
from training.study.design import Design, number_sites
from training.study.study import Study
from training.validation.optimism import BootstrapRefits, correct_optimism, measure_refits
from training.validation.procedure import Procedure
from training.validation.redrawing import choose_redrawing
from training.validation.runs import KEEP_NOTHING, CrossValidation, Store, run_units
from training.validation.units import Unit, list_bootstraps, list_latest_courses, list_sites

# The quick profile needs no more: with hyperparameters fixed, refits hardly differ in their mean.
MAX_QUICK_BOOTSTRAPS = 50


@dataclass(frozen=True)
class Evidence:
    """Predictions of a study's courses, by type of validation.

    Parameters
    ----------
    apparent
        By the model, of the courses that it was fitted on.
    nested
        By the whole procedure in cross-validation.
    refits
        The procedure on bootstrap samples; None if the study asks for none.
    sites
        Of each site, fitted on the other sites; the groups are positions in `site_names`. None if
        there is a single site.
    temporal
        Of the latest courses, fitted on the earlier ones; None without dates.
    """

    apparent: Predictions
    nested: Predictions
    refits: BootstrapRefits | None
    sites: Predictions | None
    site_names: tuple[str, ...]
    temporal: Predictions | None
    settings: IntervalSettings

    @property
    def refit_probability(self) -> Numbers:
        """Probabilities by the bootstrap models, ``[refits, courses]``."""
        if self.refits is None:
            return np.empty((0, self.apparent.size))
        return compute_probability(self.refits.log_odds)


def gather_evidence(
    study: Study,
    design: Design,
    procedure: Procedure,
    equation: Equation,
    crossed: CrossValidation,
    store: Store = KEEP_NOTHING,
    jobs: int = 1,
) -> Evidence:
    """Repeat a procedure on bootstrap samples, without each site, and without the latest courses.

    The equation is that of the model, fitted on all courses.
    """
    one_group = np.zeros(design.size, dtype=np.int64)
    log_odds = equation.compute_log_odds(design.columns)[:, 0]
    apparent = Predictions(
        log_odds, design.outcome, design.patients, one_group, design.given_weights
    )
    site_numbers, site_names = number_sites(design.columns)
    # Base rates differ between sites: ranked together, patients would be compared across them.
    by_site = replace(apparent, groups=site_numbers)

    def predict(units: Sequence[Unit], label: str) -> Predictions | None:
        if not units:
            return None
        results = list(run_units(procedure, design, units, store, jobs, label))
        tested = by_site.select(np.concatenate([unit.test for unit in units]))
        held_out = np.concatenate([result.selected_log_odds for _, result in results])
        return replace(tested, log_odds=held_out)

    refits = None
    # The same predictions shrink the model that redraws outcomes and are corrected afterwards.
    if samples := list_bootstraps(study, design, count_bootstraps(study)):
        redrawing = choose_redrawing(study, design, apparent, crossed.nested)
        results = run_units(
            procedure, design, samples, store, jobs, "bootstrap refits of the procedure", redrawing
        )
        refits = measure_refits(design, results, redrawing)
    return Evidence(
        apparent=apparent,
        nested=crossed.nested,
        refits=refits,
        sites=predict(list_sites(study, design), "sites held out"),
        site_names=site_names,
        temporal=predict(list_latest_courses(study, design), "latest courses held out"),
        settings=make_interval_settings(study),
    )


def count_bootstraps(study: Study) -> int:
    """Return the number of bootstrap samples by a study's profile."""
    count, quick = study.validation.bootstraps, study.validation.profile == "quick"
    return min(count, MAX_QUICK_BOOTSTRAPS) if quick else count


def list_performance(study: Study, evidence: Evidence) -> Iterator[Performance]:
    """List performance by each type of validation; one that was not possible says why."""
    validation, settings = study.validation, evidence.settings
    apparent = describe_performance(
        "apparent", "the courses that it was fitted on", evidence.apparent, settings
    )
    yield apparent
    yield _correct_performance(study, evidence, apparent.measures)
    held_out = {"patient": "patients", "site": "sites"}[validation.hold_out]
    yield describe_performance(
        "nested",
        f"{format_folds(validation.folds, validation.repeats)} of the whole procedure, {held_out} "
        "held out",
        evidence.nested,
        settings,
    )
    yield describe_performance(
        "sites",
        f"each of {len(evidence.site_names)} sites, fitted on the others",
        evidence.sites,
        settings,
        "needs at least two sites, and both outcomes at the others",
    )
    yield describe_performance(
        "temporal",
        f"the latest {format_percent(validation.latest)} of courses, fitted on the earlier ones",
        evidence.temporal,
        settings,
        "needs courses assessed on different days, with both outcomes among early and late ones",
    )


def describe_performance(
    validation_type: ValidationType,
    method: str,
    predictions: Predictions | None,
    settings: IntervalSettings,
    reason: str = "",
) -> Performance:
    """Describe performance by one type of validation; without predictions, give the reason."""
    if predictions is None:
        return Performance(
            way=validation_type, method=method, courses=0, events=0, measures={}, because=reason
        )
    return Performance(
        way=validation_type,
        method=method,
        courses=predictions.size,
        events=int(predictions.outcome.sum()) // predictions.repeats,
        measures=measure_performance(predictions, settings),
    )


def _correct_performance(
    study: Study, evidence: Evidence, apparent: Mapping[str, Measure]
) -> Performance:
    refits = evidence.refits
    if refits is None:
        reason = "the study asks for no bootstrap refits"
        return describe_performance("corrected", "bootstrap", None, evidence.settings, reason)
    optimism, shrinkage = refits.optimism, refits.shrinkage
    return Performance(
        way="corrected",
        method=f"apparent minus the optimism of {len(refits.selected)} {describe_refits(study)}",
        courses=evidence.apparent.size,
        events=int(evidence.apparent.outcome.sum()),
        measures=correct_optimism(apparent, refits),
        optimism={name: value for name, value in optimism.items() if np.isfinite(value)},
        shrinkage=shrinkage if np.isfinite(shrinkage) else None,
    )


def describe_refits(study: Study) -> str:
    """Describe what bootstrap refits repeat, and with which outcomes."""
    quick, redrawn = study.validation.profile == "quick", study.validation.redraw_outcomes
    repeated = "the chosen candidate, hyperparameters fixed" if quick else "the whole procedure"
    outcomes = "redrawn from the model" if redrawn else "as recorded"
    return f"bootstrap refits of {repeated}, outcomes {outcomes}"
