"""Findings: every number of a model's report, as one JSON object.

Findings of earlier runs must load: keys and their meaning stay. Results of measures are held as the
measures return them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from features.model.card import Facts, Measure, ModelCard
from training.measures.decision import DecisionPoint
from training.measures.instability import InstabilityBand
from training.measures.sites import Pooled
from training.measures.subgroups import Subgroup
from training.study.parts import GatePart

ValidationType = Literal["apparent", "corrected", "nested", "sites", "temporal", "external"]


class Compared(Facts):
    """One candidate among the others, on held-out courses.

    ``difference`` and ``error`` are its log loss minus that of the base rate, and the standard
    error over patients; ``picked`` is the proportion of bootstrap refits that chose it.
    """

    name: str
    label: str
    chosen: bool
    measures: Mapping[str, Measure]
    difference: float
    error: float
    picked: float | None = None


class Performance(Facts):
    """Performance by one type of validation, ``way``.

    ``apparent``: on the training courses. ``corrected``: the same, minus the optimism of bootstrap
    refits. ``nested``: cross-validation of the whole procedure. ``sites``: leave-one-site-out.
    ``temporal``: the latest courses, fitted on the earlier ones. ``external``: another cohort.

    Parameters
    ----------
    measures
        By the keys of ``training.findings.words.MEASURES``; empty if this was not done.
    optimism
        Mean over bootstrap refits; only for ``corrected``.
    shrinkage
        Factor that corrects the apparent slope; only for ``corrected``.
    because
        Why this was not done; empty if it was.
    """

    way: ValidationType
    method: str
    courses: int
    events: int
    measures: Mapping[str, Measure]
    optimism: Mapping[str, float] = {}
    shrinkage: float | None = None
    because: str = ""


class Bin(Facts):
    """A bar of the histogram of estimates; small counts are stored as 0."""

    low: float
    high: float
    courses: int


class CurvePoint(Facts):
    """A point of a calibration curve: the proportion observed at an estimate."""

    estimate: float
    observed: float
    low: float
    high: float


class CalibrationFacts(Facts):
    """Calibration over all estimates, by one type of validation.

    Parameters
    ----------
    points
        Of the flexible curve; empty if there is none.
    at, versions
        Estimates at which the curves of bootstrap refits were read, and each refit's observed
        proportion on the original sample; None if a refit has no curve.
    """

    way: ValidationType
    points: tuple[CurvePoint, ...]
    histogram: tuple[Bin, ...]
    at: tuple[float, ...] = ()
    versions: tuple[tuple[float | None, ...], ...] = ()


class DecisionFacts(Facts):
    """The decision curve; ``versions`` are the net benefits of each bootstrap refit."""

    way: ValidationType
    points: tuple[DecisionPoint, ...]
    versions: tuple[tuple[float, ...], ...] = ()


class InstabilityFacts(Facts):
    """How much the estimates change with other patients, over ``versions`` bootstrap refits.

    Parameters
    ----------
    method
        What was repeated.
    level
        Of the bands' limits.
    error
        Mean over courses of the mean absolute difference between the estimate and its refits.
    threshold, flips
        Mean proportion of refits on the other side of that threshold.
    """

    versions: int
    method: str = "fitted again on resampled patients"
    level: float
    error: float | None = None
    threshold: float | None = None
    flips: float | None = None
    bands: tuple[InstabilityBand, ...] = ()


class SiteFacts(Facts):
    """One site, predicted by a model fitted on the others; small counts are hidden."""

    name: str
    courses: int | None
    events: int | None
    measures: Mapping[str, Measure] = {}
    note: str = ""


class AcrossSites(Facts):
    """Each site, and what to expect at a new one; measures are auc, ratio, intercept, slope."""

    sites: tuple[SiteFacts, ...] = ()
    pooled: Mapping[str, Pooled] = {}


class SampleSizeFacts(Facts):
    """Whether the courses are enough; see training.measures.sample_size.

    Parameters
    ----------
    parameters, effective
        Candidate parameters, and the number of unpenalised ones with the same optimism.
    auc
        From which the expected fit was derived; None if the model does not discriminate.
    courses
        Needed by each criterion; empty if the model does not discriminate.
    """

    parameters: int
    effective: float | None
    prevalence: float
    auc: float | None
    courses: Mapping[str, int]
    binding: str | None
    verdict: str


class FactorFacts(Facts):
    """How much one field moves estimates.

    ``deviation`` is the standard deviation over courses of its contribution to the log-odds, with
    the interval over the model's refits; ``recorded`` the proportion of courses that have it.
    """

    field: str
    label: str
    deviation: Measure
    recorded: float


@dataclass(frozen=True)
class BaselineGap:
    """Difference at baseline, in one field, between courses with missing and known outcome.

    The mean if missing minus that if known, in standard deviations of the ``feature`` of the field
    that differs most.
    """

    field: str
    label: str
    feature: str
    difference: float


@dataclass(frozen=True)
class Scenario:
    """One row of the sensitivity table: what follows if missing outcomes differ.

    Parameters
    ----------
    odds_ratio
        Odds of the outcome if missing, relative to the same baseline with known outcome.
    missing_rate, base_rate
        Proportion with the event among missing outcomes, and among all courses.
    predicted, intercept, slope
        Mean estimate and calibration among all courses; no slope if predictions are constant.
    """

    odds_ratio: float
    missing_rate: float
    base_rate: float
    predicted: float
    intercept: float
    slope: float | None


class Attrition(Facts):
    """What is known of missing outcomes.

    Parameters
    ----------
    courses, missing
        Courses whose outcome could have been judged, and those of them with a missing outcome.
    unmeasured
        Further courses, without a baseline total to judge a change by.
    effective, largest
        Effective number of courses and largest weight; None without weights.
    """

    courses: int
    missing: int
    unmeasured: int
    gaps: tuple[BaselineGap, ...]
    effective: float | None
    largest: float | None
    scenarios: tuple[Scenario, ...]
    assumption: str


class Criterion(Facts):
    """One criterion of the gate.

    Parameters
    ----------
    question
        In words, with the bounds.
    value
        None if it could not be measured.
    low, high
        Bounds, both inclusive; None if unbounded.
    passed
        None if the criterion does not apply.
    because
        Why it failed, was not measured or does not apply; empty if it passed.
    """

    name: str
    question: str
    value: float | None
    low: float | None
    high: float | None
    passed: bool | None
    because: str = ""


class ChampionFacts(Facts):
    """The champion at the time, on the same courses and the same resamples.

    ``difference`` and ``error`` are the log loss of the model minus that of the champion, and the
    standard error over patients.
    """

    version: str
    candidate: str
    difference: float
    error: float


class ChecklistItem(Facts):
    """An item of TRIPOD+AI: its answer, or the reason why it has none."""

    number: str
    section: str
    topic: str
    answer: str = ""
    because: str = ""


class RecalibrationFacts(Facts):
    """A proposed recalibration: the log-odds times the slope, plus the intercept.

    Parameters
    ----------
    version
        Of the recalibrated model in the registry; None if it was not registered.
    kind
        ``intercept``: the slope stays 1. ``none``: nothing is proposed; findings then hold None.
    p_any, p_slope
        Of the closed test; see training.validation.external.closed_test. The latter is None if
        predictions are constant.
    """

    intercept: float
    slope: float
    version: str | None = None
    kind: Literal["none", "intercept", "both"] = "both"
    p_any: float | None = None
    p_slope: float | None = None
    because: str = ""


class Findings(Facts):
    """All findings of one model.

    Parameters
    ----------
    purpose
        ``development``: by the study that fitted it. ``external``: on another cohort; the card is
        still that of its development.
    profile
        ``full`` or ``quick``: the latter makes few refits, with hyperparameters fixed.
    alarms
        What a reader must know before trusting any number.
    cohort
        The courses that it was tested on, in words.
    level
        Of the intervals around measures.
    base_rate
        Proportion of events, weighted if the study weights courses.
    mean_estimate
        Mean prediction, by the type of validation that calibration shows.
    recorded
        For each field offered, the proportion of courses in which it is recorded.
    """

    # Stored with every report, so that a later format can be recognised.
    format: Literal[1] = 1
    purpose: Literal["development", "external"]
    profile: Literal["full", "quick"]
    card: ModelCard
    version: str | None = None
    verdict: str
    alarms: tuple[str, ...] = ()
    cohort: str
    courses: int
    events: int
    patients: int
    simulated: bool
    level: float = 0.95
    base_rate: float | None = None
    mean_estimate: float | None = None
    candidates: tuple[Compared, ...] = ()
    performance: tuple[Performance, ...]
    calibration: CalibrationFacts | None = None
    decision: DecisionFacts | None = None
    instability: InstabilityFacts | None = None
    across_sites: AcrossSites | None = None
    subgroups: tuple[Subgroup, ...] = ()
    sample_size: SampleSizeFacts | None = None
    factors: tuple[FactorFacts, ...] = ()
    attrition: Attrition | None = None
    recorded: Mapping[str, float] = {}
    champion: ChampionFacts | None = None
    # Stored, so that a later promotion is judged by the bounds of the study itself.
    bounds: GatePart = Field(default_factory=GatePart)
    gate: tuple[Criterion, ...] = ()
    passed: bool | None = None
    recalibration: RecalibrationFacts | None = None
    limitations: tuple[str, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()

    def find_performance(self, way: ValidationType) -> Performance | None:
        """Find the performance by one type of validation; None if it was not done."""
        done = (measured for measured in self.performance if measured.measures)
        return next((measured for measured in done if measured.way == way), None)
