"""What a clinician is told: how good the model is, in plain words."""

from dataclasses import dataclass

from markupsafe import Markup

from training.findings.findings import CurvePoint, Findings, Performance
from training.findings.words import BASE_RATE, HEADLINES, TESTED_ON, tell_outcome
from training.report.html.numbers import (
    show_count,
    show_frequency,
    show_measure,
    show_number,
    show_points,
    show_share,
)

# Where along the curve: near its lower end, in the middle, near its upper end.
PLACES = (0.1, 0.5, 0.9)
# Standard errors beyond which a difference is not put down to chance.
BEYOND_CHANCE = 2


@dataclass(frozen=True)
class Summary:
    """Sentences for a clinician; a list is empty where there is nothing to say.

    Parameters
    ----------
    average
        What it says on average, and what came true.
    told
        For some estimates, how many of those told so had the outcome.
    worth
        Whether it beats the base rate, whether it ranks, how sure its estimates are.
    """

    average: tuple[Markup, ...]
    told: tuple[Markup, ...]
    worth: tuple[Markup, ...]


def summarise(findings: Findings) -> Summary:
    """Summarise the findings in plain sentences."""
    worth = (compare_with_base(findings), rank(findings), compare_with_champion(findings))
    return Summary(
        average=tuple(summarise_average(findings)),
        told=tuple(summarise_curve(findings)),
        worth=(*(one for one in worth if one), *summarise_width(findings)),
    )


def find_headline(findings: Findings) -> Performance | None:
    """Find the way of testing that is nearest to patients whom nobody has seen."""
    done = (findings.find_performance(way) for way in HEADLINES)
    return next((one for one in done if one is not None), None)


def summarise_average(findings: Findings) -> list[Markup]:
    """Tell how many had the outcome, and what the model says on average."""
    verb = tell_outcome(findings.card)
    counts = [show_count(findings.events), show_count(findings.courses)]
    told = [Markup("Of {1} courses tested, {0} {2}.").format(*counts, verb)]
    if not findings.courses:
        told = [Markup("Nobody's outcome is known here yet: nothing could be tested.")]
    if findings.base_rate is not None:
        text = "The base rate is {}."
        if findings.card.population.published_rate is not None:
            text = "The published base rate is {}."
        if findings.attrition is not None and findings.attrition.effective is not None:
            text = "Weighted for those whose outcome is missing, the base rate is {}."
        told.append(Markup(text).format(show_share(findings.base_rate)))
    if findings.mean_estimate is not None:
        mean = show_share(findings.mean_estimate)
        told.append(Markup("The model says {} on average.").format(mean))
    return told


def summarise_curve(findings: Findings) -> list[Markup]:
    """Tell what came of those who were told a low, a middling and a high estimate."""
    facts, verb = findings.calibration, tell_outcome(findings.card)
    points = facts.points if facts else ()
    return [
        Markup("Of those told {}, about {} {} ({} to {}).").format(
            show_share(point.estimate),
            show_frequency(point.observed),
            verb,
            show_share(point.low),
            show_share(point.high),
        )
        for point in choose_points(points)
    ]


def choose_points(points: tuple[CurvePoint, ...]) -> list[CurvePoint]:
    """Choose points near both ends of the curve and in its middle."""
    places = dict.fromkeys(round(place * (len(points) - 1)) for place in PLACES)
    return [points[place] for place in places] if points else []


def compare_with_base(findings: Findings) -> Markup | None:
    """Tell whether the model beats giving everybody the base rate."""
    if findings.card.candidate == BASE_RATE:
        return Markup("It gives everybody the base rate: nothing recorded told better who is who.")
    chosen = next((one for one in findings.candidates if one.chosen), None)
    if chosen is None:
        return compare_by_score(findings)
    if chosen.difference >= 0:
        text = "It is no better than giving everybody the base rate"
    elif -chosen.difference > BEYOND_CHANCE * chosen.error:
        text = "It is better than giving everybody the base rate, beyond chance"
    else:
        text = "It is better than giving everybody the base rate, but chance alone could do that"
    return Markup("{}: its log loss differs by {} ± {} (less is better).").format(
        text, show_number(chosen.difference, 4, signed=True), show_number(chosen.error, 4)
    )


def compare_by_score(findings: Findings) -> Markup | None:
    """Tell it by the scaled Brier score, where no candidates were compared."""
    headline = find_headline(findings)
    score = headline.measures.get("scaled_brier") if headline else None
    if score is None or score.value is None:
        return None
    if score.value <= 0:
        text = "It is no better than giving everybody the base rate"
    elif score.low is not None and score.low > 0:
        text = "It is better than giving everybody the base rate, beyond chance"
    else:
        text = "It is better than giving everybody the base rate, but chance alone could do that"
    return Markup("{}: its scaled Brier score is {}.").format(text, show_measure(score))


def rank(findings: Findings) -> Markup:
    """Tell how well it ranks."""
    headline = find_headline(findings)
    if headline is None:
        return Markup("Nobody can say yet: nothing was tested.")
    auc = headline.measures.get("auc")
    if auc is None or auc.value is None:
        return Markup("It ranks nobody: everybody gets the same, or nearly the same, estimate.")
    return Markup(
        "Of pairs of patients of whom one {} and the other did not, about {} were ranked rightly, "
        "tested on {}; by tossing a coin it would be half of them."
    ).format(tell_outcome(findings.card), show_frequency(auc.value), TESTED_ON[headline.way])


def compare_with_champion(findings: Findings) -> Markup | None:
    """Tell whether it beats the champion."""
    champion = findings.champion
    if champion is None:
        return None
    sides = {True: "better than", False: "no better than"}
    return Markup(
        "It is {} the present champion, <code>{}</code> version <code>{}</code>: its log loss "
        "differs by {} ± {}."
    ).format(
        sides[champion.difference < 0],
        champion.candidate,
        champion.version,
        show_number(champion.difference, 4, signed=True),
        show_number(champion.error, 4),
    )


def summarise_width(findings: Findings) -> list[Markup]:
    """Tell how unsure a single estimate is."""
    interval, facts = findings.card.interval, findings.instability
    told = [
        Markup("Every estimate comes with an {} interval: {}.").format(
            show_share(interval.level), interval.method
        )
    ]
    if facts is not None and facts.error is not None:
        told.append(
            Markup(
                "Had other patients been studied, an estimate would on average have been {} higher "
                "or lower."
            ).format(show_points(facts.error))
        )
    return told
