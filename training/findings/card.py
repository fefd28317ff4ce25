"""The facts of the model card, from a run."""

import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from features import __version__
from features.base.versions import name_xgboost
from features.dictionary.field import Kind
from features.model.card import (
    NOTE,
    PUBLISHED_NOTE,
    UNPUBLISHED_NOTE,
    IntervalFacts,
    ModelCard,
    OutcomeFacts,
    Population,
    PublishedFacts,
    StudiedRange,
)
from features.model.classifier import UNSPLIT
from features.model.equation import Equation
from features.model.prediction import compute_probability
from features.records.cohort import digest_cohort
from training.candidates.base import Candidate
from training.candidates.evidence.literature import expect_base_rate
from training.findings.comparison import Comparison
from training.findings.format import format_folds, format_percent
from training.study.courses import count_settled, count_unmeasured
from training.study.design import Design, is_simulated
from training.study.parts import ESTIMATE_LEVEL
from training.study.study import list_early

# Always checked, even if the equation does not read them: they define the patients studied.
_POPULATION_FIELDS = ("condition", "age", "agent", "route")
# Libraries on which the numbers depend.
_RECORDED_VERSIONS = ("numpy", "scikit-learn", "mlflow", "optuna")
_EXPORT_VERSIONS = ("onnx", "onnxruntime", "skl2onnx")


def make_card(
    design: Design, comparison: Comparison, candidate: Candidate, equation: Equation
) -> ModelCard:
    """Make the card of one candidate fitted on the whole design."""
    study, outcome, held = design.study, design.target, design.study.validation
    unit = {"patient": "patients", "site": "sites"}[held.hold_out]
    published = candidate.cite(equation)
    return ModelCard(
        name=outcome.id,
        outcome=OutcomeFacts(**outcome.describe()),
        candidate=candidate.name,
        data="simulated" if is_simulated(design.courses) else "real",
        study=study.name,
        question=study.question,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=study.seed,
        population=count_population(design),
        features=equation.features,
        sites=equation.sites,
        ranges=tuple(_list_ranges(design, equation)),
        interval=_describe_interval(candidate, design, equation),
        performance=comparison.measures,
        validation=(
            f"{format_folds(held.folds, held.repeats)}, {unit} held out"
            if comparison.is_measured
            else "none: no outcome is known yet"
        ),
        verdict=comparison.verdict,
        data_digest=digest_cohort(design.courses),
        versions=_list_software(equation),
        note=write_note(design, published),
        factors_reason=None if equation.splits else UNSPLIT,
        published=published,
        required=candidate.required,
        instruments=study.dictionary.added.instruments,
        added_fields=study.dictionary.added.fields,
        added_agents=study.dictionary.added.agents,
        added_conditions=study.dictionary.added.conditions,
    )


def write_note(design: Design, published: PublishedFacts | None = None) -> str:
    """Describe what an estimate is and, if it was not fitted here, what it is based on."""
    note = NOTE
    if not design.size:
        known = expect_base_rate(design).is_published
        note += f"; {PUBLISHED_NOTE if known else UNPUBLISHED_NOTE}"
    if published is not None:
        note += f"; by a published equation ({published.label})"
        if published.outcome != design.target.id:
            note += f", which was made for another outcome ({published.outcome})"
    return note


def count_population(design: Design) -> Population:
    """Count the courses and patients that the model was developed on."""
    weights = design.given_weights
    weighted = None if weights is None else float(np.average(design.outcome, weights=weights))
    return Population(
        courses=design.size,
        events=design.events,
        patients=len(np.unique(design.patients)),
        sites=design.columns.count_texts("site"),
        without_outcome=design.courses.size - design.size,
        unmeasured=count_unmeasured(design.target, design.courses),
        settled=count_settled(design.target, design.courses),
        weighted_rate=weighted,
        published_rate=_look_up_published_rate(design),
    )


def _look_up_published_rate(design: Design) -> float | None:
    if design.size or not (prior := expect_base_rate(design)).is_published:
        return None
    return float(compute_probability(np.array(prior.log_odds)))


def _describe_interval(candidate: Candidate, design: Design, equation: Equation) -> IntervalFacts:
    # The first version is the model itself.
    count, level = len(equation.terms.intercept) - 1, format_percent(ESTIMATE_LEVEL)
    method = f"middle {level} of {count} {candidate.describe_interval(design.size)}"
    return IntervalFacts(level=ESTIMATE_LEVEL, method=method, redevelopments=count)


def _list_ranges(design: Design, equation: Equation) -> Iterator[StudiedRange]:
    study, instrument = design.study, design.target.instrument.key
    # An update abstains without an early score, so its card names those that were studied.
    wanted = {*equation.fields, *_POPULATION_FIELDS, instrument, *list_early(study)}
    columns = design.described.columns
    for name in columns.list_recorded():
        field = study.dictionary.fields.get(name)
        if field is not None and name in wanted:
            values = columns.get_numbers(name)
            if field.kind is Kind.CATEGORY:
                seen = np.unique(values[~np.isnan(values)]).astype(int)
                categories = tuple(field.categories[index] for index in seen)
                yield StudiedRange(field=name, categories=categories)
            elif field.numeric:
                low, high = field.round_outward(float(np.nanmin(values)), float(np.nanmax(values)))
                yield StudiedRange(field=name, low=low, high=high)


def _list_software(equation: Equation) -> dict[str, str]:
    exported = () if equation.splits else _EXPORT_VERSIONS
    names = (*_RECORDED_VERSIONS, name_xgboost(), *exported)
    own = {"ketamine-response": __version__, "python": platform.python_version()}
    return own | {name: version(name) for name in names}
