"""What validation found of a model: every number of its report, as one JSON object."""

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
    """How one candidate did against the others, on courses it had not learned from.

    Parameters
    ----------
    difference, error
        Log loss less that of the base rate, and its standard error over patients.
    picked
        Share of the re-developments that chose it; None where there were none.
    """

    name: str
    label: str
    chosen: bool
    measures: Mapping[str, Measure]
    difference: float
    error: float
    picked: float | None = None


class Performance(Facts):
    """Performance as one way of testing saw it.

    Parameters
    ----------
    way
        ``apparent``: on the courses learned from. ``corrected``: that less the optimism of
        bootstrap re-developments. ``nested``: cross-validation of the whole procedure. ``sites``:
        each site by what the others taught. ``temporal``: the latest courses by the earlier ones.
        ``external``: a cohort that the model never saw.
    method
        In words, with the numbers of folds, re-developments, sites.
    courses, events
        Tested on; 0 where this was not done.
    measures
        ``auc log_loss brier scaled_brier ratio intercept slope ici e50 e90 emax``; empty where this
        was not done.
    optimism
        Mean over the re-developments; only for ``corrected``.
    shrinkage
        By which the apparent slope is multiplied to correct it; only for ``corrected``.
    because
        Why this was not done; empty where it was.
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
    """A bar of the histogram of estimates; few courses are shown as none."""

    low: float
    high: float
    courses: int


class CurvePoint(Facts):
    """A point of a calibration curve: the share observed among those given an estimate."""

    estimate: float
    observed: float
    low: float
    high: float


class CalibrationFacts(Facts):
    """Calibration over all estimates.

    Parameters
    ----------
    way
        The way of testing behind it.
    points
        Of the flexible curve; empty where there is none.
    at, versions
        Where the curves of re-developed models were read, and each one's share observed on the
        courses at hand; None where a version has no curve.
    """

    way: ValidationType
    points: tuple[CurvePoint, ...]
    histogram: tuple[Bin, ...]
    at: tuple[float, ...] = ()
    versions: tuple[tuple[float | None, ...], ...] = ()


class DecisionFacts(Facts):
    """The decision curve.

    Parameters
    ----------
    versions
        Net benefit of each re-developed model at the points' thresholds.
    """

    way: ValidationType
    points: tuple[DecisionPoint, ...]
    versions: tuple[tuple[float, ...], ...] = ()


class InstabilityFacts(Facts):
    """How far the estimates would have been others, had other patients come.

    Parameters
    ----------
    versions
        Number of re-developments; 0 where there were none, and all else is empty.
    method
        What they are.
    level
        Of the bands' limits.
    error
        Mean over courses of the mean absolute difference between estimate and versions.
    threshold, flips
        Mean share of versions on the other side of that threshold.
    """

    versions: int
    method: str = "developed again on resampled patients"
    level: float
    error: float | None = None
    threshold: float | None = None
    flips: float | None = None
    bands: tuple[InstabilityBand, ...] = ()


class SiteFacts(Facts):
    """One site tested by what the others taught; counts are hidden where they are small."""

    name: str
    courses: int | None
    events: int | None
    measures: Mapping[str, Measure] = {}
    note: str = ""


class AcrossSites(Facts):
    """Each site, and what to expect at the next one; measures are auc, ratio, intercept, slope."""

    sites: tuple[SiteFacts, ...] = ()
    pooled: Mapping[str, Pooled] = {}


class SampleSizeFacts(Facts):
    """Whether the courses are enough; see training.measures.sample_size.

    Parameters
    ----------
    parameters
        Coefficients that the data may choose between.
    effective
        As many unpenalised ones would have overfitted as much; None where it was not measured.
    auc
        From which the expected fit was derived; None where the model ranks nobody.
    courses
        Needed by each criterion; empty where the model ranks nobody.
    verdict
        In words.
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

    Parameters
    ----------
    deviation
        Standard deviation over courses of what it adds to the log-odds, with the interval over
        the model's versions.
    recorded
        Share of courses in which the field is recorded.
    """

    field: str
    label: str
    deviation: Measure
    recorded: float


@dataclass(frozen=True)
class BaselineGap:
    """Difference at baseline, in one field, between courses with missing and known outcome.

    Parameters
    ----------
    feature
        The feature of the field that differs most.
    difference
        Mean with missing outcome minus mean with known outcome, in standard deviations.
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
    predicted
        Mean estimate over all courses.
    intercept
        Calibration intercept among all courses.
    slope
        Calibration slope; None for a constant prediction.
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
    name
        Such as ``calibration_slope``.
    question
        In words, with the bounds.
    value
        What it was; None where it could not be measured.
    low, high
        Bounds, both inclusive; None for none.
    passed
        None where the criterion does not apply.
    because
        Why it failed, was not measured or does not apply; empty where it passed.
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

    Parameters
    ----------
    difference, error
        Log loss of the model less that of the champion, and its standard error over patients.
    """

    version: str
    candidate: str
    difference: float
    error: float


class ChecklistItem(Facts):
    """An item of TRIPOD+AI: its answer, or why it has none."""

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
        Under which the recalibrated model was registered; None where it was not.
    kind
        ``intercept``: the slope stays 1.
    p_any, p_slope
        Of the closed test; see training.validation.external.closed_test. The latter is None for a
        model that ranks nobody.
    because
        Why it is proposed, in words.
    """

    intercept: float
    slope: float
    version: str | None = None
    kind: Literal["intercept", "both"] = "both"
    p_any: float | None = None
    p_slope: float | None = None
    because: str = ""


class Findings(Facts):
    """What validation found of one model.

    Parameters
    ----------
    purpose
        ``development``: of the study that fitted it. ``external``: on a cohort it never saw.
    profile
        ``full`` or ``quick``: the latter re-develops with choices held, and rarely.
    card
        The model's facts. For ``external``, those of its development.
    version
        In the registry; None before it is registered.
    verdict
        In one to three plain sentences.
    alarms
        What must be known before any number is believed.
    cohort
        In words: whom it was tested on.
    level
        Of the intervals around measures.
    base_rate
        Share of the courses with the outcome, weighted if the study weights; None where it was not
        computed.
    mean_estimate
        Mean of what the model says of the courses, by the way of testing that calibration shows.
    recorded
        For each field offered, the share of courses in which it is recorded.
    bounds
        What the study asks before a model may become champion; `gate` is what came of it.
    """

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
    bounds: GatePart = Field(default_factory=GatePart)
    gate: tuple[Criterion, ...] = ()
    passed: bool | None = None
    recalibration: RecalibrationFacts | None = None
    limitations: tuple[str, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()

    def find_performance(self, way: ValidationType) -> Performance | None:
        """Find what one way of testing saw; None where it was not done."""
        found = [one for one in self.performance if one.way == way and one.measures]
        return found[0] if found else None
