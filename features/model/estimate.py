"""The estimate: what a model says of one assessment, as JSON carries it."""

from typing import Literal

from typing_extensions import TypedDict

# How much is computed: the probability alone, with its interval, or with its factors too.
Detail = Literal["brief", "interval", "full"]

# Why no probability is given, gravest first.
REFUSED = "eligibility"
NO_BASELINE = "baseline_missing"
NO_EARLY = "early_score_missing"
NO_VALUE = "value_missing"
OUTSIDE = "outside_studied_range"
TOO_FEW = "too_little_evidence"

# Effective sample size below which no probability is given. A choice of this project.
MIN_SAMPLE_SIZE = 10.0


class IntervalPart(TypedDict):
    """An interval for the patient's own probability."""

    low: float
    high: float
    level: float
    method: str


class BaseRatePart(TypedDict):
    """Event rate of the patients studied, and their number; if ``n`` is 0, the published rate."""

    probability: float
    n: int


class AbstainedPart(TypedDict):
    """Why no probability is given, and the fields behind it."""

    reason: str
    fields: list[str]


class FactorPart(TypedDict):
    """What one field adds to the log-odds."""

    field: str
    label: str
    log_odds: float


class ModelPart(TypedDict):
    """Which model answered."""

    name: str
    version: str
    digest: str
    data: str
    card: str


class Estimate(TypedDict):
    """Probability, interval and the evidence behind it, for one assessment and one outcome.

    ``intercept`` plus the factors' log-odds is the log-odds of the probability. A model that cannot
    be split by field has no factors, and says so: all is intercept.
    """

    outcome: dict[str, str]
    probability: float | None
    interval: IntervalPart | None
    effective_sample_size: float | None
    base_rate: BaseRatePart
    abstained: AbstainedPart | None
    intercept: float | None
    factors: list[FactorPart]
    # Why the model gives no factors; None if it gives them.
    factors_reason: str | None
    imputed: list[str]
    # Totals derived from part of their items, because the others are blank.
    prorated: list[str]
    model: ModelPart
    note: str
