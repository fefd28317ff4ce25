"""A model tested in every way that its study's courses allow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from features.base.arrays import Numbers
from features.model.card import Measure
from features.model.equation import Equation
from features.model.response_model import compute_probability
from training.findings.comparison import MEASURE_SEED
from training.findings.findings import Performance, ValidationType
from training.study.design import Design
from training.study.split import derive_seed
from training.study.study import Study
from training.validation.development.evidence import Evidence, tell_nested, tell_own
from training.validation.development.optimism import correct_optimism
from training.validation.performance import Effort, Said, measure_performance
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
    def effort(self) -> Effort:
        """How intervals are made."""
        asked = self.study.validation
        return Effort(asked.resamples, asked.level, derive_seed(self.study.seed, MEASURE_SEED))

    @cached_property
    def own(self) -> Said:
        """What the model says of the courses that it learned from."""
        return tell_own(self.design, self.equation)

    @cached_property
    def nested(self) -> Said:
        """What the procedure said in cross-validation, one repeat after the other."""
        return tell_nested(self.design, self.crossed)

    @cached_property
    def averaged(self) -> Said:
        """The same, the repeats averaged: one estimate a course."""
        size, repeats = self.design.size, len(self.crossed.nested.log_odds)
        first = self.nested.select(np.arange(size * repeats) < size)
        return replace(first, log_odds=self.crossed.nested.log_odds.mean(axis=0))

    @property
    def versions(self) -> Numbers:
        """Probabilities by re-developed models, ``[versions, courses]``."""
        if self.evidence.versions is None:
            return np.empty((0, self.design.size))
        return compute_probability(self.evidence.versions.log_odds)

    @property
    def parameters(self) -> int:
        """Coefficients that the data chose between; none where everybody gets the same."""
        if self.own.ranks_nobody:
            return 0
        equation = self.equation
        return len(equation.features) + len(equation.sites) + len(equation.terms.pairs)


def list_performance(validated: Validated) -> Iterator[Performance]:
    """List performance by every way of testing, those that could not be done included."""
    evidence, effort, validation = validated.evidence, validated.effort, validated.study.validation
    apparent = describe_performance(
        "apparent", "the courses that it learned from", validated.own, effort
    )
    yield apparent
    yield correct_performance(validated, apparent.measures)
    held = {"patient": "patients", "site": "sites"}[validation.hold_out]
    yield describe_performance(
        "nested",
        f"{validation.repeats} times {validation.folds}-fold cross-validation of the whole "
        f"procedure, {held} held out",
        validated.nested,
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
    yield describe_performance(
        "temporal",
        f"the latest {100 * validation.latest:.0f} % of courses by what the earlier ones taught",
        evidence.latest,
        effort,
        "it takes courses assessed on different days, with both outcomes among early and late",
    )


def describe_performance(
    way: ValidationType,
    method: str,
    said: Said | None,
    effort: Effort,
    because: str = "",
    repeats: int = 1,
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


def correct_performance(validated: Validated, apparent: Mapping[str, Measure]) -> Performance:
    """Describe apparent performance less optimism."""
    versions, design = validated.evidence.versions, validated.design
    if versions is None:
        because = "the study asks for no bootstrap re-developments"
        return describe_performance("corrected", "bootstrap", None, validated.effort, because)
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
