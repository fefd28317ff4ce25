"""Findings: every number of a model's report, as one JSON object.

Findings of earlier runs must load: keys and their meaning stay. Results of measures are held as the
measures return them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from features.model.card import Facts, Measure, ModelCard
from training.measures.closed_test import RecalibrationFacts
from training.measures.decision import DecisionPoint
from training.measures.instability import InstabilityBand
from training.measures.sites import Pooled
from training.measures.subgroups import Subgroup
from training.study.conditions import Exclusion
from training.study.parts import GatePart

ValidationType = Literal["apparent", "corrected", "nested", "sites", "temporal", "external"]


class Compared(Facts):
    """One candidate among the others, on held-out courses."""

    name: str
    label: str
    chosen: bool
    measures: Mapping[str, Measure]
    # Log loss minus that of the base rate, and its standard error over patients.
    difference: float
    error: float
    # Proportion of bootstrap refits that chose it; None without refits.
    picked: float | None = None
    # Citation of a published equation; empty for what was fitted here.
    source: str = ""


class Performance(Facts):
    """Performance by one type of validation, ``way``.

    ``apparent``: on the training courses. ``corrected``: the same, minus the optimism of bootstrap
    refits. ``nested``: cross-validation of the whole procedure. ``sites``: leave-one-site-out.
    ``temporal``: the latest courses, fitted on the earlier ones. ``external``: another cohort.
    """

    way: ValidationType
    method: str
    # Tested on; 0 if this was not done.
    courses: int
    events: int
    # By the keys of training.findings.words.MEASURES; empty if this was not done.
    measures: Mapping[str, Measure]
    # Mean over bootstrap refits, and the factor that corrects the slope; only for ``corrected``.
    optimism: Mapping[str, float] = {}
    shrinkage: float | None = None
    # Why this was not done; empty if it was.
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
    """Calibration over all estimates, by one type of validation."""

    way: ValidationType
    # Of the flexible curve; empty if there is none.
    points: tuple[CurvePoint, ...]
    histogram: tuple[Bin, ...]
    # Estimates at which the curves of bootstrap refits were read, and each refit's observed
    # proportion on the original sample; None if a refit has no curve.
    at: tuple[float, ...] = ()
    versions: tuple[tuple[float | None, ...], ...] = ()


class DecisionFacts(Facts):
    """The decision curve, by one type of validation."""

    way: ValidationType
    points: tuple[DecisionPoint, ...]
    # Net benefit of each bootstrap refit at the points' thresholds.
    versions: tuple[tuple[float, ...], ...] = ()


class InstabilityFacts(Facts):
    """How much the estimates change with other patients."""

    # Number of bootstrap refits; if 0, all else is empty.
    versions: int
    # What was repeated.
    method: str = "fitted again on resampled patients"
    # Of the bands' limits.
    level: float
    # Mean over courses of the mean absolute difference between the estimate and its refits.
    error: float | None = None
    # Mean proportion of refits on the other side of that threshold.
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
    """Whether the courses are enough; see training.measures.sample_size."""

    # Candidate parameters, and the number of unpenalised ones with the same optimism.
    parameters: int
    effective: float | None
    prevalence: float
    # From which the expected fit was derived; None if the model does not discriminate.
    auc: float | None
    # Needed by each criterion; empty if the model does not discriminate.
    courses: Mapping[str, int]
    binding: str | None
    verdict: str


class FactorFacts(Facts):
    """How much one field moves estimates."""

    field: str
    label: str
    # Standard deviation over courses of its contribution to the log-odds, with the interval over
    # the model's refits.
    deviation: Measure
    # Proportion of courses in which the field is recorded.
    recorded: float


@dataclass(frozen=True)
class BaselineGap:
    """Difference at baseline, in one field, between courses with missing and known outcome."""

    field: str
    label: str
    # The feature of the field that differs most.
    feature: str
    # Mean with missing outcome minus mean with known outcome, in standard deviations.
    difference: float


@dataclass(frozen=True)
class Scenario:
    """One row of the sensitivity table: what follows if missing outcomes differ."""

    # Odds of the outcome if missing, relative to the same baseline with known outcome.
    odds_ratio: float
    # Proportion with the event among missing outcomes, and among all courses.
    missing_rate: float
    base_rate: float
    # Mean estimate and calibration among all courses; no slope if predictions are constant.
    predicted: float
    intercept: float
    slope: float | None


class Attrition(Facts):
    """What is known of missing outcomes."""

    # Courses whose outcome could have been judged, and those of them with a missing outcome.
    courses: int
    missing: int
    # Further courses, without a baseline total to judge a change by, and with one that leaves
    # nothing to improve: 0 for response, one in remission for remission.
    unmeasured: int
    settled: int = 0
    gaps: tuple[BaselineGap, ...]
    # Effective number of courses and largest weight; None without weights.
    effective: float | None
    largest: float | None
    scenarios: tuple[Scenario, ...]
    assumption: str


class TableFlow(Facts):
    """The rows of one of the tables that a cohort was made of; `used` and those excluded add up."""

    table: str
    read: int
    used: int
    excluded: tuple[Exclusion, ...] = ()


class Flow(Facts):
    """From the courses read to those analysed, as in a flow diagram of TRIPOD+AI.

    ``analysed`` and all that were excluded add up to ``read``; each course counts for the first
    reason that applies.
    """

    # Of a cohort that was made of a clinic's exports; empty if it was one table already.
    tables: tuple[TableFlow, ...] = ()
    # Patients left aside with all their courses, which are then not among those read.
    patients_excluded: tuple[Exclusion, ...] = ()
    read: int
    excluded: tuple[Exclusion, ...]
    analysed: int
    # Both None if no outcome is known yet.
    events: int | None
    non_events: int | None
    patients: int
    # None if no site is recorded.
    sites: int | None


class Criterion(Facts):
    """One criterion of the gate."""

    name: str
    # In words, with the bounds.
    question: str
    # None if it could not be measured.
    value: float | None
    # Bounds, both inclusive; None if unbounded.
    low: float | None
    high: float | None
    # None if the criterion does not apply.
    passed: bool | None
    # Why it failed, was not measured or does not apply; empty if it passed.
    because: str = ""


class ChampionFacts(Facts):
    """The champion at the time, on the same courses and the same resamples."""

    version: str
    candidate: str
    # Log loss of the model minus that of the champion, and its standard error over patients.
    difference: float
    error: float


class ChecklistItem(Facts):
    """An item of TRIPOD+AI: its answer, or the reason why it has none."""

    number: str
    section: str
    topic: str
    answer: str = ""
    because: str = ""


class Findings(Facts):
    """All findings of one model."""

    # Stored with every report, so that a later format can be recognised.
    format: Literal[1] = 1
    # By the study that fitted it, or on another cohort; the card is that of its development.
    purpose: Literal["development", "external"]
    # ``quick`` makes few refits, with hyperparameters fixed.
    profile: Literal["full", "quick"]
    card: ModelCard
    # In the registry; None before it is registered.
    version: str | None = None
    verdict: str
    # What a reader must know before trusting any number.
    alarms: tuple[str, ...] = ()
    # The courses that it was tested on, in words.
    cohort: str
    courses: int
    events: int
    patients: int
    simulated: bool
    # Of the intervals around measures.
    level: float = 0.95
    # Proportion of events, weighted if the study weights courses; None if not computed.
    base_rate: float | None = None
    # Mean prediction, by the type of validation that calibration shows.
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
    flow: Flow | None = None
    # For each field offered, the proportion of courses in which it is recorded.
    recorded: Mapping[str, float] = {}
    # For each instrument, the courses whose baseline total is pro-rated from part of its items.
    prorated: Mapping[str, int] = {}
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
