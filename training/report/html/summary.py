"""The page for clinicians: how good the model is, in plain sentences."""

from dataclasses import dataclass

from markupsafe import Markup

from training.candidates.registry import BASE_RATE
from training.findings.findings import Findings, Performance, ValidationType
from training.findings.words import TESTED_ON, describe_event
from training.report.html.numbers import (
    show_count,
    show_frequency,
    show_measure,
    show_number,
    show_percent,
    show_points,
)

# Clinicians read the first of these that was done: the one closest to new patients.
_PREFERRED: tuple[ValidationType, ...] = (
    "external",
    "nested",
    "corrected",
    "sites",
    "temporal",
    "apparent",
)
# Positions along the calibration curve: near its lower end, in the middle, near its upper end.
_POSITIONS = (0.1, 0.5, 0.9)
# Differences of more standard errors are not attributed to sampling error.
_CLEAR_ERRORS = 2
_WORSE = "It is no better than the base rate"
_UNCLEAR = "It is better than the base rate, but sampling error alone could explain that"
_BETTER = "It is better than the base rate, by more than sampling error explains"


@dataclass(frozen=True)
class PlainSummary:
    """Sentences for a clinician; empty if there is nothing to say.

    Parameters
    ----------
    average
        Mean estimate and base rate.
    frequencies
        For some estimates, how many patients with such an estimate had the event.
    value
        Whether it beats the base rate, whether it discriminates, how uncertain estimates are.
    """

    average: tuple[Markup, ...]
    frequencies: tuple[Markup, ...]
    value: tuple[Markup, ...]


def summarise_findings(findings: Findings) -> PlainSummary:
    """Summarise the findings in plain sentences."""
    comparisons = (
        _compare_with_base(findings),
        _describe_discrimination(findings),
        _compare_with_champion(findings),
    )
    return PlainSummary(
        average=tuple(_describe_average(findings)),
        frequencies=tuple(_list_frequencies(findings)),
        value=(*(text for text in comparisons if text), *_describe_uncertainty(findings)),
    )


def _find_preferred(findings: Findings) -> Performance | None:
    done = (findings.find_performance(validation_type) for validation_type in _PREFERRED)
    return next((performance for performance in done if performance is not None), None)


def _describe_average(findings: Findings) -> list[Markup]:
    sentences = [Markup("No outcome is known here yet, so nothing could be tested.")]
    if findings.courses:
        counts = show_count(findings.events), show_count(findings.courses)
        text = Markup("In {} of {} courses tested, the patient {}.")
        sentences = [text.format(*counts, describe_event(findings.card))]
    if findings.base_rate is not None:
        text = Markup("The base rate is {}.")
        if findings.card.population.published_rate is not None:
            text = Markup("The published base rate is {}.")
        if findings.attrition is not None and findings.attrition.effective is not None:
            text = Markup("Weighted for missing outcomes, the base rate is {}.")
        sentences.append(text.format(show_percent(findings.base_rate)))
    if findings.mean_estimate is not None:
        mean = show_percent(findings.mean_estimate)
        sentences.append(Markup("The average estimate is {}.").format(mean))
    return sentences


def _list_frequencies(findings: Findings) -> list[Markup]:
    points = findings.calibration.points if findings.calibration else ()
    if not points:
        return []
    indices = dict.fromkeys(round(position * (len(points) - 1)) for position in _POSITIONS)
    return [
        Markup("Of patients given an estimate of {}, about {} {} ({} to {}).").format(
            show_percent(point.estimate),
            show_frequency(point.observed),
            describe_event(findings.card),
            show_percent(point.low),
            show_percent(point.high),
        )
        for point in (points[index] for index in indices)
    ]


def _compare_with_base(findings: Findings) -> Markup | None:
    if findings.card.candidate == BASE_RATE:
        return Markup("Every patient gets the base rate: no recorded field predicts better.")
    chosen = next((candidate for candidate in findings.candidates if candidate.chosen), None)
    if chosen is None:
        return _compare_by_score(findings)
    clear = -chosen.difference > _CLEAR_ERRORS * chosen.error
    text = _WORSE if chosen.difference >= 0 else _BETTER if clear else _UNCLEAR
    difference = show_number(chosen.difference, 4, signed=True)
    return Markup("{}: its log loss differs by {} (standard error {}; lower is better).").format(
        text, difference, show_number(chosen.error, 4)
    )


def _compare_by_score(findings: Findings) -> Markup | None:
    performance = _find_preferred(findings)
    score = performance.measures.get("scaled_brier") if performance else None
    if score is None or score.value is None:
        return None
    clear = score.low is not None and score.low > 0
    text = _WORSE if score.value <= 0 else _BETTER if clear else _UNCLEAR
    return Markup("{}: its scaled Brier score is {}.").format(text, show_measure(score))


def _describe_discrimination(findings: Findings) -> Markup:
    performance = _find_preferred(findings)
    if performance is None:
        return Markup("Its performance is unknown: nothing was tested.")
    auc = performance.measures.get("auc")
    if auc is None or auc.value is None:
        return Markup("It does not discriminate: all patients get the same, or nearly the same, "
                      "estimate.")  # fmt: skip
    return Markup(
        "In about {} pairs of a patient who {} and one who did not, the former had the higher "
        "estimate (tested on {}; chance would give 50)."
    ).format(show_frequency(auc.value), describe_event(findings.card), TESTED_ON[performance.way])


def _compare_with_champion(findings: Findings) -> Markup | None:
    champion = findings.champion
    if champion is None:
        return None
    side = "better than" if champion.difference < 0 else "no better than"
    return Markup(
        "It is {} the current champion, <code>{}</code> version <code>{}</code>: its log loss "
        "differs by {} (standard error {})."
    ).format(
        side,
        champion.candidate,
        champion.version,
        show_number(champion.difference, 4, signed=True),
        show_number(champion.error, 4),
    )


def _describe_uncertainty(findings: Findings) -> list[Markup]:
    interval, instability = findings.card.interval, findings.instability
    text = Markup("Every estimate has an {} interval: {}.")
    sentences = [text.format(show_percent(interval.level), interval.method)]
    if instability is not None and instability.error is not None:
        text = Markup(
            "Had other patients been studied, an estimate would on average have been {} higher or "
            "lower."
        )
        sentences.append(text.format(show_points(instability.error)))
    return sentences
