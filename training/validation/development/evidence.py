"""Evidence: what repeated developments of a study's procedure said, way by way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.model.equation import Equation
from training.candidates.base import Candidate, Fit
from training.measures.predictions import Predictions
from training.study.design import Design, number_sites
from training.study.study import Study
from training.validation.development.optimism import Redeveloped, gather_versions
from training.validation.procedure import HeldRedevelopment, Procedure, Redevelopment
from training.validation.redrawing import Redrawing, find_redrawing, shrink_log_odds
from training.validation.runs import CrossValidation, run_units
from training.validation.store import Store
from training.validation.units import Unit, list_bootstraps, list_latest, list_sites

# What the quick profile takes of them: choices held, each costs a single fit.
MOST_HELD = 50


@dataclass(frozen=True)
class Evidence:
    """What repeated developments said.

    Parameters
    ----------
    versions
        Of bootstrap samples; None where none were asked for.
    sites
        Of each site by the others, the groups being positions in `names`; None for one site.
    latest
        Of the latest courses by the earlier ones; None without dates.
    """

    versions: Redeveloped | None
    sites: Predictions | None
    names: tuple[str, ...]
    latest: Predictions | None


def choose_procedure(
    study: Study, candidates: Mapping[str, Candidate], name: str, fit: Fit
) -> Procedure:
    """Choose what is repeated: the whole procedure, or the one fit with its choices held."""
    if study.validation.profile == "quick":
        return HeldRedevelopment(candidates[name], fit.settings)
    return Redevelopment({name: candidates[name] for name in study.candidates})


def choose_redrawing(
    study: Study, design: Design, equation: Equation, crossed: CrossValidation
) -> Redrawing | None:
    """Choose what outcomes in bootstrap samples are drawn from; None for those recorded.

    Parameters
    ----------
    equation
        Of the model, developed on the whole design.
    """
    if not study.validation.redraw_outcomes:
        return None
    log_odds = shrink_log_odds(predict_apparent(design, equation), crossed.nested)
    return find_redrawing(design, log_odds)


def count_bootstraps(study: Study) -> int:
    """Count the bootstrap samples of a study's profile."""
    asked = study.validation.bootstraps
    return min(asked, MOST_HELD) if study.validation.profile == "quick" else asked


def gather_evidence(
    study: Study,
    design: Design,
    procedure: Procedure,
    redrawing: Redrawing | None,
    store: Store,
    jobs: int,
) -> Evidence:
    """Repeat a procedure on bootstrap samples, without each site, and without the latest.

    Parameters
    ----------
    redrawing
        Of outcomes in bootstrap samples; None for those recorded.
    """
    bootstraps = list_bootstraps(study, design, count_bootstraps(study))
    sites, latest = list_sites(study, design), list_latest(study, design)

    def run(units: Sequence[Unit], label: str) -> Predictions | None:
        if not units:
            return None
        found = list(run_units(procedure, design, units, store, jobs, label))
        log_odds = np.concatenate([answer.selected_log_odds for _, answer in found])
        return gather_predictions(design, np.concatenate([unit.test for unit in units]), log_odds)

    versions = None
    if bootstraps:
        label = "bootstrap re-developments"
        found = run_units(procedure, design, bootstraps, store, jobs, label, redrawing)
        versions = gather_versions(design, found, redrawing)
    return Evidence(
        versions=versions,
        sites=run(sites, "sites held out"),
        names=number_sites(design.columns)[1],
        latest=run(latest, "latest courses held out"),
    )


def predict_apparent(design: Design, equation: Equation) -> Predictions:
    """Predict the courses that a model learned from."""
    return Predictions(
        equation.compute_log_odds(design.columns)[:, 0],
        design.outcome,
        design.patients,
        np.zeros(design.size, dtype=np.int64),
        design.given_weights,
    )


def gather_predictions(design: Design, rows: np.ndarray, log_odds: np.ndarray) -> Predictions:
    """Gather predictions of some courses with their outcomes, grouped by site."""
    return Predictions(
        log_odds,
        design.outcome[rows],
        np.unique(design.patients[rows], return_inverse=True)[1],
        number_sites(design.columns)[0][rows],
        None if design.given_weights is None else design.given_weights[rows],
    )
