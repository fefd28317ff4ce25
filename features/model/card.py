"""The card that travels with a model: what it was developed on, how it did, what it promises."""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from features.dictionary.additions import AddedField, Additions, Agent, Condition
from features.dictionary.dictionary import Dictionary, make_dictionary
from features.dictionary.instrument import Instrument
from features.dictionary.outcome import Outcome, parse_outcome
from features.model.matrix import Feature

NOTE = "prognosis if treated, not treatment benefit"
PUBLISHED_NOTE = "from published evidence alone: no outcome is known here yet"
UNPUBLISHED_NOTE = "no rate is published and no outcome is known here yet: a guess"
SIMULATED_NOTE = "SIMULATED DATA: learned from simulated patients, not for care"

# What a base rate is taken to be if there is neither an outcome nor a published rate: even odds.
UNKNOWN_BASE_RATE = 0.5

_KETAMINE = frozenset({"ketamine", "esketamine"})

DataOrigin = Literal["real", "simulated"]


class Facts(BaseModel):
    """Base of everything on a card: frozen, no extra keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OutcomeFacts(Facts):
    """What is predicted."""

    id: str
    instrument: str
    horizon: str
    criterion: str
    definition: str


class Population(Facts):
    """The patients whom the model was developed on."""

    # Treatment courses with a known outcome.
    courses: int
    events: int
    patients: int
    sites: int
    # Courses excluded because their outcome is not known; and of those, because they have no
    # baseline total, and because theirs leaves nothing to improve.
    without_outcome: int
    unmeasured: int = 0
    settled: int = 0
    # Event rate with courses weighted for missing outcomes; None if all are equally weighted.
    weighted_rate: float | None = None
    # Published response or remission rate; None if some outcome is known, or no rate published.
    published_rate: float | None = None

    @property
    def base_rate(self) -> float:
        """Event rate of the courses: weighted if the study did; without any, published or even."""
        for rate in (self.published_rate, self.weighted_rate):
            if rate is not None:
                return rate
        return self.events / self.courses if self.courses else UNKNOWN_BASE_RATE


class StudiedRange(Facts):
    """The values of a field that were studied; outside them the model abstains.

    Ends are rounded outward to the field's step, so that they are not a patient's exact value.
    """

    field: str
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()


class Measure(Facts):
    """A measure of performance with its interval; None if it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class IntervalFacts(Facts):
    """How an estimate's interval was made."""

    level: float
    method: str
    redevelopments: int


class Recalibrated(Facts):
    """A cohort on which a model was recalibrated after its development."""

    # New log-odds are the slope times the old ones, plus the intercept.
    intercept: float
    slope: float
    courses: int
    events: int
    patients: int
    data_digest: str


class PublishedFacts(Facts):
    """The published equation that a model is, and how it was updated."""

    label: str
    # DOI or citation.
    source: str
    # What it was made to predict: an outcome of ours, or the paper's own words.
    outcome: str
    # The patients it was developed on; empty if the file does not say.
    population: str
    # As the study states it: "as-published", "intercept", "logistic" or "closed-test".
    update: str
    # The published log-odds times the slope, plus the intercept, are the model's.
    intercept: float
    slope: float
    # What is published of it: "covariance", "standard errors" or "unknown".
    uncertainty: str
    # SHA-256 of what was read of its file.
    digest: str


class ModelCard(Facts):
    """Facts that travel with the model."""

    format: Literal[1] = 1
    name: str
    outcome: OutcomeFacts
    candidate: str
    data: DataOrigin
    study: str
    question: str
    created: str
    seed: int
    population: Population
    # Columns of the matrix, in order.
    features: tuple[Feature, ...]
    # Those whose own effect the model knows.
    sites: tuple[str, ...] = ()
    ranges: tuple[StudiedRange, ...]
    interval: IntervalFacts
    # Cross-validated measures of every candidate.
    performance: Mapping[str, Mapping[str, Measure]]
    validation: str
    verdict: str
    # SHA-256 of the canonical content of the cohort.
    data_digest: str
    versions: Mapping[str, str]
    note: str = NOTE
    # Why the model's log-odds are not split by field; None if they are.
    factors_reason: str | None = None
    # The latest last.
    recalibrated: tuple[Recalibrated, ...] = ()
    # Of a model that was not fitted here.
    published: PublishedFacts | None = None
    # Fields without which the model gives no estimate.
    required: tuple[str, ...] = ()
    # Those that its study added to the built-in ones.
    instruments: tuple[Instrument, ...] = ()
    added_fields: tuple[AddedField, ...] = ()
    added_agents: tuple[Agent, ...] = ()
    added_conditions: tuple[Condition, ...] = ()
    # SHA-256 of each file next to the card.
    files: Mapping[str, str] = Field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether the model was trained on simulated patients."""
        return self.data == "simulated"

    @cached_property
    def dictionary(self) -> Dictionary:
        """The fields and instruments that the model knows."""
        return make_dictionary(
            Additions(
                instruments=self.instruments,
                fields=self.added_fields,
                agents=self.added_agents,
                conditions=self.added_conditions,
            )
        )

    def parse_outcome(self) -> Outcome:
        """Return the outcome, by the model's own dictionary."""
        return parse_outcome(self.outcome.id, self.dictionary)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Conditions that were studied."""
        return self.list_studied("condition")

    def list_studied(self, name: str) -> tuple[str, ...]:
        """List the categories of a field that were studied; none if it was not recorded."""
        return next((r.categories for r in self.ranges if r.field == name), ())

    def label_studied(self, name: str) -> list[str]:
        """List the same for people, added ones by their labels."""
        return [self.dictionary.label_category(category) for category in self.list_studied(name)]

    @property
    def is_of_ketamine(self) -> bool:
        """Whether no other treatment was studied; true if the agent was not recorded."""
        return _KETAMINE.issuperset(self.list_studied("agent"))
