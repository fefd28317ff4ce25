"""The parts of a study: typed, frozen, each with its defaults and what they may be."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# Of the intervals around measures, and of the interval around one patient's probability.
MEASURE_LEVEL, ESTIMATE_LEVEL = 0.95, 0.8
# Odds of response of patients with missing outcome against those with a known one and the same
# baseline, one row of the sensitivity table each: from no difference to a third of the odds.
# Assumed; 2.2 turns a true 45% into 58% of those followed up.
ODDS_RATIOS = (1.0, 0.75, 0.5, 1 / 2.2, 0.33)
# Baseline models of depression treatment reach about 0.65 on patients from elsewhere.
LEAKAGE_AUC = 0.78


def _check_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError("the first bound must be below the second")
    return bounds


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Probability = Annotated[float, Field(gt=0, lt=1)]
Bounds = Annotated[tuple[_Positive, _Positive], AfterValidator(_check_order)]
# How a published equation may be updated; see training/candidates/published/candidate.py.
Update = Literal["as-published", "intercept", "logistic", "closed-test"]
Thresholds = Annotated[tuple[_Probability, _Probability], AfterValidator(_check_order)]


class Part(BaseModel):
    """Base of every part of a study: frozen, nothing extra."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CohortPart(Part):
    """Where the patients come from; paths are relative to the study's folder.

    Parameters
    ----------
    path
        A file, a folder, or the several exports that the mapping joins.
    reader
        ``module:function`` that turns the path into an Arrow table, for trials that are not one
        table already.
    where
        Courses to keep, by field; see :mod:`training.study.conditions`.
    instruments, dictionary
        Files that add instruments alone, or instruments, fields, agents and conditions.
    incomplete
        Whether courses without any baseline total are left aside and counted, instead of refused.
    outcomes
        ``none-yet`` if no outcome is known, so that estimates come from published evidence alone.
    """

    path: str | tuple[str, ...] | None = None
    reader: str | None = None
    mapping: str | None = None
    instruments: str | None = None
    dictionary: str | None = None
    where: Mapping[str, bool | float | str | tuple[str, ...]] = Field(default_factory=dict)
    ignore_unknown: bool = False
    incomplete: bool = False
    outcomes: Literal["known", "none-yet"] = "known"


class FeaturePart(Part):
    """Which fields may be used: by default all but the site, early scores of an update included."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()


class ValidationPart(Part):
    """How candidates are compared.

    Parameters
    ----------
    hold_out
        What stays together in a fold: a patient with all courses, or a site with all patients.
    resamples
        Bootstrap samples behind the intervals of measures.
    profile
        ``full`` repeats the whole procedure, choice, tuning and calibration included, for the
        report; ``quick`` fits the chosen candidate again, what it chose held, and less often.
    bootstraps
        Bootstrap samples on which the procedure is repeated.
    redraw_outcomes
        Whether outcomes in those samples are redrawn from the model; else they are those
        recorded, as R's ``rms::validate`` has them.
    latest
        Share of courses, the latest, that is held out for the temporal validation.
    """

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    repeats: Annotated[int, Field(ge=1, le=200)] = 4
    hold_out: Literal["patient", "site"] = "patient"
    resamples: Annotated[int, Field(ge=100, le=10_000)] = 1000
    profile: Literal["full", "quick"] = "full"
    bootstraps: Annotated[int, Field(ge=0, le=2000)] = 200
    redraw_outcomes: bool = True
    latest: Annotated[float, Field(gt=0, lt=1)] = 0.25


class TuningPart(Part):
    """How the settings of boosted trees are found.

    Each fit tries as many, in every fold and again at the end: up to two, the two fixed ones alone;
    more are suggested by Optuna.
    """

    trials: Annotated[int, Field(ge=0, le=500)] = 0


class UncertaintyPart(Part):
    """How many bootstrap refits make an estimate's interval; trees take a quarter of them."""

    redevelopments: Annotated[int, Field(ge=20, le=2000)] = 200


class AttritionPart(Part):
    """Whether courses count by the inverse of how likely their outcome was to be reported."""

    weights: bool = False


class PublishedPart(Part):
    """A published equation that the candidates include; its form is in docs/reference/equations.md.

    Parameters
    ----------
    file
        The equation (TOML), relative to the study's folder.
    updates
        Forms of it that are compared, a candidate each; if empty, as published (if its intercept
        is) and what the closed test asks for.
    content
        What the file holds; filled in as the study is read.
    """

    file: str
    updates: tuple[Update, ...] = ()
    content: Mapping[str, Any] = Field(default_factory=dict)


class GatePart(Part):
    """What validation must have found of a model before it may become champion.

    Every bound is assumed; the reasons are in docs/explanation/gate.md.

    Parameters
    ----------
    standard_errors
        By how many of its own standard errors the log loss must be below that of the base rate.
    calibration_slope
        Bounds of the slope; of the optimism-corrected one if there is one.
    calibration_ratio, subgroup_ratio
        Bounds of observed over expected; a subgroup fails if its interval lies beyond them.
    net_benefit_margin
        How far net benefit may be below the better of treating all and none, between `thresholds`.
    instability
        Highest mean absolute difference between an estimate and those of bootstrap refits.
    redevelopments
        Minimum number of bootstrap refits of the whole procedure.
    base_rate_margin
        How precisely the courses must give the base rate: half the width of its 95% interval.
    fewest_events
        Minimum number of courses of the smaller outcome class.
    highest_auc
        Above it a column is taken to contain the outcome; not for update outcomes.
    """

    standard_errors: Annotated[float, Field(ge=0, le=5)] = 1.0
    calibration_slope: Bounds = (0.7, 1.5)
    calibration_ratio: Bounds = (0.8, 1.25)
    thresholds: Thresholds = (0.2, 0.6)
    net_benefit_margin: Annotated[float, Field(ge=0, le=0.2)] = 0.02
    instability: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    redevelopments: Annotated[int, Field(ge=0, le=2000)] = 20
    base_rate_margin: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    fewest_events: Annotated[int, Field(ge=1)] = 20
    subgroup_ratio: Bounds = (0.67, 1.5)
    highest_auc: Annotated[float, Field(gt=0.5, le=1)] = LEAKAGE_AUC
