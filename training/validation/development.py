"""The findings of a study: everything that its report says of the model that it chose."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.contract import ModelCard
from features.equation import Equation
from features.response_model import compute_probability
from training.attrition import ASSUMPTION, Attrition
from training.candidates import CANDIDATES
from training.comparison import MEASURE_SEED, Comparison, find_warnings
from training.design import Design
from training.findings import (
    AttritionFacts,
    ChampionFacts,
    Compared,
    Findings,
    GapFacts,
    Performance,
    ScenarioFacts,
    Way,
)
from training.split import derive_seed
from training.study import Study
from training.validation.across_sites import measure_across_sites
from training.validation.description import (
    describe_calibration,
    describe_decisions,
    describe_factors,
    describe_instability,
    describe_sample_size,
    describe_subgroups,
    share_recorded,
)
from training.validation.evidence import Evidence
from training.validation.limitations import list_limitations
from training.validation.optimism import correct_optimism
from training.validation.performance import (
    MEASURES,
    Effort,
    Said,
    compute_performance,
    flatten_repeats,
    measure_performance,
)
from training.validation.runs import CrossValidation

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Development:
    """What is known of a study's chosen model.

    Parameters
    ----------
    crossed, evidence
        None where nobody's outcome is known, and so nothing could be tested.
    """

    study: Study
    design: Design
    card: ModelCard
    equation: Equation
    comparison: Comparison
    attrition: Attrition
    crossed: CrossValidation | None
    evidence: Evidence | None
    champion: ChampionFacts | None

    @property
    def effort(self) -> Effort:
        """How intervals are made."""
        asked = self.study.validation
        return Effort(asked.resamples, asked.level, derive_seed(self.study.seed, MEASURE_SEED))

    @property
    def own(self) -> Said:
        """What the model says of the courses that it learned from."""
        design = self.design
        return Said(
            self.equation.compute_log_odds(design.columns)[:, 0],
            design.outcome,
            design.patients,
            np.zeros(design.size, dtype=np.int64),
            design.given_weights,
        )

    @property
    def versions(self) -> Numbers:
        """Probabilities by re-developed models, ``[versions, courses]``."""
        if self.evidence is None or self.evidence.versions is None:
            return np.empty((0, self.design.size))
        return compute_probability(self.evidence.versions.log_odds)


def find_development(known: Development) -> Findings:
    """Find all that can be said of a study's chosen model; the gate is not asked yet."""
    design, card = known.design, known.card
    found = Findings(
        purpose="development",
        profile=known.study.validation.profile,
        card=card,
        verdict=known.comparison.verdict,
        cohort=describe_cohort(design),
        courses=design.size,
        events=design.events,
        patients=len(np.unique(design.patients)),
        simulated=card.simulated,
        alarms=tuple(list_alarms(known)),
        level=known.study.validation.level,
        bounds=known.study.gate,
        candidates=tuple(list_compared(known)),
        performance=(),
        attrition=copy_attrition(known.attrition),
        recorded=share_recorded(design.described.columns, known.study.list_fields()),
        champion=known.champion,
    )
    if known.crossed is not None and known.evidence is not None:
        found = found.model_copy(update=test_model(known, known.crossed, known.evidence))
    return found.model_copy(update={"limitations": tuple(list_limitations(found))})


def list_alarms(known: Development) -> list[str]:
    """List what must be known before any number is believed.

    The leakage alarm knows what baseline alone can reach; an early score may say far more.
    """
    updated = known.study.parse_outcome().checkpoint is not None
    if updated or known.crossed is None:
        return []
    return find_warnings(known.comparison, known.card.simulated)


def describe_cohort(design: Design) -> str:
    """Say whom the model was developed on."""
    people = len(np.unique(design.described.patients))
    return f"{design.described.size} courses of {people} patients, the study's own"


def list_compared(known: Development) -> Iterator[Compared]:
    """List how the candidates did, in the study's order of preference."""
    comparison = known.comparison
    versions = None if known.evidence is None else known.evidence.versions
    for name, gap in comparison.to_base.items():
        picked = None
        if versions is not None and known.study.validation.profile == "full":
            picked = versions.picked.count(name) / len(versions.picked)
        yield Compared(
            name=name,
            label=CANDIDATES[name].label,
            chosen=name == comparison.chosen,
            measures=comparison.measures[name],
            difference=gap.mean,
            error=gap.error,
            picked=picked,
        )


def test_model(
    known: Development, crossed: CrossValidation, evidence: Evidence
) -> dict[str, object]:
    """Find what testing says: performance by every way, and what the figures draw."""
    design, effort = known.design, known.effort
    level = effort.level
    nested = flatten_repeats(crossed.nested, design.outcome, design.patients, design.given_weights)
    performance = tuple(list_performance(known, nested, evidence))
    corrected = next(one for one in performance if one.way == "corrected")
    probability, versions = known.own.probability, known.versions
    repeats = len(crossed.nested.log_odds)
    low, high = known.study.gate.thresholds
    auc = (corrected.measures or performance[2].measures)["auc"].value
    return {
        "performance": performance,
        "calibration": describe_calibration(nested, "nested", effort, versions, design.outcome),
        "decision": describe_decisions(nested, "nested", effort, versions, design.outcome),
        "instability": describe_instability(probability, versions, level, (low + high) / 2),
        "across_sites": None
        if evidence.sites is None
        else measure_across_sites(evidence.sites, evidence.names, level),
        "subgroups": describe_subgroups(
            average_repeats(nested, repeats),
            design.columns,
            known.study.parse_outcome().instrument,
            level,
        ),
        "sample_size": describe_sample_size(
            design.size,
            float(np.average(design.outcome, weights=design.weights)),
            count_parameters(known.equation, known.own),
            auc,
            corrected.optimism.get("log_loss"),
        ),
        "factors": describe_factors(known.equation, design.columns, known.study.uncertainty.level),
    }


def average_repeats(said: Said, repeats: int) -> Said:
    """Average what the repeats of a cross-validation said of each course."""
    size = len(said.outcome) // repeats
    mean = said.log_odds.reshape(repeats, size).mean(axis=0)
    return replace(said.select(np.arange(len(said.outcome)) < size), log_odds=mean)


def count_parameters(equation: Equation, own: Said) -> int:
    """Count coefficients that the data chose between; none where everybody gets the same."""
    if own.ranks_nobody:
        return 0
    return len(equation.features) + len(equation.sites) + len(equation.terms.pairs)


def list_performance(known: Development, nested: Said, evidence: Evidence) -> Iterator[Performance]:
    """List performance by every way of testing, those that could not be done included."""
    effort = known.effort
    validation, own = known.study.validation, known.own
    yield describe_performance("apparent", "the courses that it learned from", own, effort)
    yield correct_performance(known, evidence)
    held = {"patient": "patients", "site": "sites"}[validation.hold_out]
    yield describe_performance(
        "nested",
        f"{validation.repeats} times {validation.folds}-fold cross-validation of the whole "
        f"procedure, {held} held out",
        nested,
        effort,
        repeats=validation.repeats,
    )
    yield describe_performance(
        "sites",
        f"each of {len(evidence.names)} sites by what the others taught",
        evidence.sites,
        effort,
        "it takes two sites at least, and the others must have both outcomes",
    )
    share = f"{100 * validation.latest:.0f} %"
    latest = evidence.latest
    if latest is not None:
        latest = replace(latest, groups=np.zeros(len(latest.outcome), dtype=np.int64))
    yield describe_performance(
        "temporal",
        f"the latest {share} of courses by what the earlier ones taught",
        latest,
        effort,
        "it takes courses assessed on different days, with both outcomes among early and late",
    )


def describe_performance(
    way: Way, method: str, said: Said | None, effort: Effort, because: str = "", repeats: int = 1
) -> Performance:
    """Describe performance by one way of testing.

    Parameters
    ----------
    because
        Why it was not done, where it was not.
    repeats
        How often each course is there.
    """
    if said is None:
        return Performance(
            way=way, method=method, courses=0, events=0, measures={}, because=because
        )
    return Performance(
        way=way,
        method=method,
        courses=len(said.outcome) // repeats,
        events=int(said.outcome.sum()) // repeats,
        measures=measure_performance(said, effort),
    )


def correct_performance(known: Development, evidence: Evidence) -> Performance:
    """Describe apparent performance less optimism."""
    design, versions = known.design, evidence.versions
    if versions is None:
        because = "the study asks for no bootstrap re-developments"
        return describe_performance("corrected", "bootstrap", None, known.effort, because)
    whole = "the whole procedure"
    if known.study.validation.profile == "quick":
        whole = "the chosen candidate alone, its choices held"
    apparent = compute_performance(known.own.log_odds, design.outcome, design.weights[None, :])[0]
    optimism = dict(zip(MEASURES, versions.optimism.tolist(), strict=True))
    return Performance(
        way="corrected",
        method=f"apparent less the optimism of {len(versions.picked)} bootstrap re-developments "
        f"of {whole}",
        courses=design.size,
        events=design.events,
        measures=correct_optimism(apparent, versions, known.effort.level),
        optimism={name: value for name, value in optimism.items() if np.isfinite(value)},
    )


def copy_attrition(found: Attrition) -> AttritionFacts:
    """Copy what is known of missing outcomes."""
    plain = asdict(found)
    plain["gaps"] = tuple(GapFacts(**gap) for gap in plain["gaps"])
    plain["scenarios"] = tuple(ScenarioFacts(**row) for row in plain["scenarios"])
    return AttritionFacts(**plain, assumption=ASSUMPTION)
