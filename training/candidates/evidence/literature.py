"""Priors of a design's features and base rate from published evidence.

What is published is of ketamine. Where every course is of agents that the study adds, effects are
as uncertain as published but about 0; and where any is, no base rate is published. Fields and
categories that a study adds have the priors that it states.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from features.base.arrays import Flags, Numbers
from features.dictionary.additions import Prior
from features.dictionary.dictionary import Dictionary
from features.dictionary.field import Group
from features.dictionary.outcome import Outcome
from features.model.matrix import Feature
from features.records.columns import Columns
from training.candidates.evidence.published import (
    BASE_RATE_SPREAD,
    EARLY_SPREAD,
    EFFECTS,
    ROUTE_SPREAD,
    SEVERITY_SIZE,
    SEVERITY_SPREAD,
    SIGNS,
    TREND_SPREAD,
    UNKNOWN_BASE_RATE_SPREAD,
    UNKNOWN_SPREAD,
    Effect,
    look_up_base_rate,
)
from training.measures.logistic import logit
from training.study.design import Design

# With fewer courses, the mean and spread of a feature are those of the published cohorts.
_MIN_TO_SCALE = 20


@dataclass(frozen=True)
class Literature:
    """Prior of each feature; ``[features]`` each.

    Parameters
    ----------
    size, spread
        Log-odds per unit of the feature, and their standard deviation.
    centre, scale
        Mean and standard deviation of the feature.
    """

    size: Numbers
    spread: Numbers
    centre: Numbers
    scale: Numbers


def read_literature(design: Design) -> Literature:
    """Look up the prior of each feature of a design."""
    centre, scale = _measure_features(design)
    size, spread = np.zeros(len(scale)), np.zeros(len(scale))
    for index, feature in enumerate(design.features):
        size[index], spread[index] = _look_up(design, feature, scale[index])
    return Literature(size, spread, centre, np.where(scale > 0, scale, 1))


def _look_up(design: Design, feature: Feature, scale: float) -> tuple[float, float]:
    # Log-odds per unit and their standard deviation. Without a known scale both are 0, so the
    # feature contributes nothing.
    target, dictionary = design.target, design.columns.dictionary
    applies = not _is_of_added_agents(design)
    if feature.field == "route":
        return applies * _compare_route(target, dictionary, feature), ROUTE_SPREAD
    if (effect := _find_effect(design, feature)) is not None:
        return applies * effect.size(target.horizon.key), effect.spread / effect.unit
    if scale == 0:
        return 0.0, 0.0
    if (prior := _find_stated(dictionary, feature)) is not None:
        return 0.0, prior.spread / prior.step
    if feature.transform == "years":
        return 0.0, TREND_SPREAD
    if feature.name == target.instrument.key:
        return applies * SEVERITY_SIZE / scale, SEVERITY_SPREAD / scale
    early = dictionary.cohort_fields[feature.field].group is Group.FOLLOWUP
    return 0.0, (EARLY_SPREAD if early else UNKNOWN_SPREAD) / scale


def _find_effect(design: Design, feature: Feature) -> Effect | None:
    # A field that the study adds may bear the name of a published feature.
    if feature.field in design.columns.dictionary.added_fields:
        return None
    return EFFECTS.get(feature.name)


def list_signs(design: Design) -> tuple[int, ...]:
    """List the sign to which trees are held by each feature; 0 if to none."""
    applies = not _is_of_added_agents(design)
    return tuple(
        SIGNS.get(feature.name, 0) if applies and _find_effect(design, feature) else 0
        for feature in design.features
    )


def _find_stated(dictionary: Dictionary, feature: Feature) -> Prior | None:
    categories = dictionary.cohort_fields[feature.field].categories
    category = categories[int(feature.parameter)] if feature.transform == "level" else ""
    return dictionary.find_prior(feature.field, category)


def _is_of_added_agents(design: Design) -> bool:
    marks = _mark_added_agents(design.described.columns)
    return bool(marks.size and marks.all())


def _mark_added_agents(columns: Columns) -> Flags:
    return np.isin(columns.get_numbers("agent"), list(columns.dictionary.agent_positions))


def _compare_route(target: Outcome, dictionary: Dictionary, feature: Feature) -> float:
    route = dictionary.fields["route"].categories[int(feature.parameter)]
    condition = target.instrument.condition
    own, overall = (look_up_base_rate(target, condition, name) for name in (route, ""))
    if own is None or overall is None:
        return 0.0
    return float(np.diff(logit(np.array([overall, own])))[0])


def _measure_features(design: Design) -> tuple[Numbers, Numbers]:
    matrix = design.described.matrix
    recorded = ~np.isnan(matrix)
    counts = recorded.sum(axis=0)
    centre = design.centre
    squares = np.where(recorded, (matrix - centre) ** 2, 0).sum(axis=0)
    scale = np.sqrt(squares / np.maximum(counts, 1))
    for index in np.flatnonzero(counts < _MIN_TO_SCALE):
        centre[index], scale[index] = _find_typical(design, design.features[index])
    return centre, scale


def _find_typical(design: Design, feature: Feature) -> tuple[float, float]:
    added = design.columns.dictionary.added_fields.get(feature.field)
    if added is not None:
        return added.typical or (0.0, 0.0)
    known = EFFECTS.get(feature.name)
    return (known.mean, known.deviation) if known else (0.0, 0.0)


class BaseRatePrior(NamedTuple):
    """Prior of a clinic's base rate, in log-odds; about even odds if none is published."""

    log_odds: float
    spread: float
    is_published: bool = True


_NO_PUBLISHED_RATE = BaseRatePrior(0.0, UNKNOWN_BASE_RATE_SPREAD, is_published=False)


def expect_base_rate(design: Design) -> BaseRatePrior:
    """Average the published base rates of a design's conditions and routes, in log-odds."""
    rates = _list_base_rates(design)
    known = [rate for rate in rates if rate is not None]
    # An average over some of the courses would be the base rate of other patients.
    if len(known) < len(rates):
        return _NO_PUBLISHED_RATE
    return BaseRatePrior(float(np.mean(logit(np.array(known)))), BASE_RATE_SPREAD)


def _list_base_rates(design: Design) -> list[float | None]:
    target, design = design.target, design.described
    measured = target.instrument.condition
    if _mark_added_agents(design.columns).any():
        return [None]
    # The rates are of depression, anxiety and PTSD scales. A scale of anything else has none,
    # whatever its patients are treated for.
    if not design.size or measured is None:
        return [look_up_base_rate(target, measured)]
    conditions, routes = (
        (*design.columns.dictionary.fields[name].categories, missing)
        for name, missing in (("condition", measured), ("route", ""))
    )
    pairs = [
        (conditions[int(condition)], routes[int(route)])
        for condition, route in zip(
            *(np.nan_to_num(design.columns.get_numbers(n), nan=-1) for n in ("condition", "route")),
            strict=True,
        )
    ]
    rates = {pair: look_up_base_rate(target, *pair) for pair in set(pairs)}
    return [rates[pair] for pair in pairs]
