"""A model tested in every way that its study's courses allow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.equation import Equation
from features.model.prediction import compute_probability
from training.findings.comparison import MEASURE_SEED
from training.findings.findings import Performance, ValidationType
from training.measures.performance import IntervalSettings, measure_performance
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.split import derive_seed
from training.study.study import Study
from training.validation.development.evidence import Evidence, predict_apparent
from training.validation.development.optimism import correct_optimism
from training.validation.runs import CrossValidation


@dataclass(frozen=True)
class Validated:
    """A model, and what repeated developments of its procedure said.

    Parameters
    ----------
    equation
        Of the model, developed on the whole design.
    """

    study: Study
    design: Design
    equation: Equation
    crossed: CrossValidation
    evidence: Evidence

    @property
    def settings(self) -> IntervalSettings:
        """How intervals are made."""
        asked, seed = self.study.validation, derive_seed(self.study.seed, MEASURE_SEED)
        return IntervalSettings(asked.resamples, asked.level, seed)

    @cached_property
    def own(self) -> Predictions:
        """Apparent predictions: of the courses that the model learned from."""
        return predict_apparent(self.design, self.equation)

    @property
    def nested(self) -> Predictions:
        """Held-out predictions by the whole procedure, one repeat after the other."""
        return self.crossed.nested

    @cached_property
    def averaged(self) -> Predictions:
        """The same, averaged over repeats: one prediction per course."""
        return self.nested.average_repeats()

    @property
    def versions(self) -> Numbers:
        """Probabilities by re-developed models, ``[versions, courses]``."""
        if self.evidence.versions is None:
            return np.empty((0, self.design.size))
        return compute_probability(self.evidence.versions.log_odds)

    @property
    def parameters(self) -> int:
        """Coefficients that the data chose between; none where everybody gets the same."""
        if self.own.is_constant:
            return 0
        equation = self.equation
        return len(equation.features) + len(equation.sites) + len(equation.terms.pairs)


def list_performance(validated: Validated) -> Iterator[Performance]:
    """List performance by every way of testing, those that could not be done included."""
    evidence, settings, validation = (
        validated.evidence,
        validated.settings,
        validated.study.validation,
    )
    apparent = describe_performance(
        "apparent", "the courses that it learned from", validated.own, settings
    )
    yield apparent
    yield correct_performance(validated, apparent.measures)
    held = {"patient": "patients", "site": "sites"}[validation.hold_out]
    yield describe_performance(
        "nested",
        f"{validation.repeats} times {validation.folds}-fold cross-validation of the whole "
        f"procedure, {held} held out",
        validated.nested,
        settings,
    )
    yield describe_performance(
        "sites",
        f"each of {len(evidence.names)} sites by what the others taught",
        evidence.sites,
        settings,
        "it takes two sites at least, and the others must have both outcomes",
    )
    yield describe_performance(
        "temporal",
        f"the latest {100 * validation.latest:.0f} % of courses by what the earlier ones taught",
        evidence.latest,
        settings,
        "it takes courses assessed on different days, with both outcomes among early and late",
    )


def describe_performance(
    way: ValidationType,
    method: str,
    predictions: Predictions | None,
    settings: IntervalSettings,
    because: str = "",
) -> Performance:
    """Describe performance by one way of testing.

    Parameters
    ----------
    because
        Why it was not done, if it was not.
    """
    if predictions is None:
        return Performance(
            way=way, method=method, courses=0, events=0, measures={}, because=because
        )
    return Performance(
        way=way,
        method=method,
        courses=predictions.size,
        events=int(predictions.outcome.sum()) // predictions.repeats,
        measures=measure_performance(predictions, settings),
    )


def correct_performance(validated: Validated, apparent: Mapping[str, Measure]) -> Performance:
    """Describe apparent performance less optimism."""
    versions, design = validated.evidence.versions, validated.design
    if versions is None:
        because = "the study asks for no bootstrap re-developments"
        return describe_performance("corrected", "bootstrap", None, validated.settings, because)
    return Performance(
        way="corrected",
        method=f"apparent less the optimism of {len(versions.picked)} "
        f"{describe_bootstrap(validated.study)}",
        courses=design.size,
        events=design.events,
        measures=correct_optimism(apparent, versions),
        optimism={name: one for name, one in versions.optimism.items() if np.isfinite(one)},
        shrinkage=versions.shrinkage if np.isfinite(versions.shrinkage) else None,
    )


def describe_bootstrap(study: Study) -> str:
    """Say what was repeated, and on what."""
    quick, redrawn = study.validation.profile == "quick", study.validation.redraw_outcomes
    whole = "the chosen candidate alone, its choices held" if quick else "the whole procedure"
    outcomes = "drawn anew from the model" if redrawn else "as recorded"
    return f"bootstrap re-developments of {whole}, outcomes {outcomes}"
