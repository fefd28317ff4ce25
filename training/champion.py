"""The champion: whether the chosen model takes the place of the present one."""

from features.base.arrays import Numbers
from features.model.response_model import CHALLENGER_ALIAS
from features.records.cohort import digest_cohort
from training.candidates.registry import BASE_RATE
from training.findings.card import describe_population
from training.findings.findings import ChampionFacts, Findings
from training.measures.losses import compare_losses, compute_log_loss
from training.registry.history import Event
from training.registry.registry import RegisteredModel, Registry
from training.work import Work


def choose_champion(
    registry: Registry,
    work: Work,
    registered: RegisteredModel,
    present: RegisteredModel | None,
    head: Event | None,
    findings: Findings,
) -> RegisteredModel:
    """Let the gate decide which model clinicians see, and name it.

    The chosen one if it passes. If not, the present champion stays as long as these patients bear
    it out. Else it is the base rate: what an honest answer then is. So it is before anybody's
    outcome is known; it is then the published one.

    Parameters
    ----------
    head
        The last change of the champion when the findings were judged: whoever made another since
        came first.
    """
    name = registered.model.card.name
    registry.name_version(name, CHALLENGER_ALIAS, registered.version)
    is_base = registered.model.card.candidate == BASE_RATE
    passed = bool(findings.passed) and not is_base and work.comparison.is_measured
    if present is not None and not passed and keeps_place(work, present):
        return present
    winner = registered if passed or is_base else registry.register(work.develop(BASE_RATE)[0])
    history, reason = registry.open_history(name), findings.verdict
    gate = tuple(one.model_dump(mode="json") for one in findings.gate)
    history.record(history.follow(head, winner.version, "promotion", work.user, reason, gate))
    return winner


def keeps_place(work: Work, present: RegisteredModel) -> bool:
    """Tell whether the present champion stays: these patients bear it out, or it is the same."""
    if not work.comparison.is_measured:
        return not is_outdated(work, present)
    card = present.model.card
    same = card.candidate == BASE_RATE and card.data_digest == digest_cohort(work.cohort)
    # The same courses can be counted otherwise: other weights, another filter.
    same &= card.population == describe_population(work.cohort, work.design)
    return same or holds(work, present)


def is_outdated(work: Work, present: RegisteredModel) -> bool:
    """Tell whether the present champion is the published base rate, for fewer patients enrolled.

    Only that gives way without any outcome: its studied ranges are those of fewer patients.
    """
    card = present.model.card
    published = card.candidate == BASE_RATE and not card.population.courses
    return published and card.data_digest != digest_cohort(work.cohort)


def compare_champion(work: Work, present: RegisteredModel | None) -> ChampionFacts | None:
    """Compare the chosen candidate with the present champion, on the same held-out courses."""
    if present is None or not work.comparison.is_measured:
        return None
    gap = compare_losses(
        work.comparison.losses[work.comparison.chosen],
        judge_present(work, present),
        work.design.patients,
        work.design.given_weights,
    )
    return ChampionFacts(
        version=present.version,
        candidate=present.model.card.candidate,
        difference=gap.mean,
        error=gap.error,
    )


def holds(work: Work, present: RegisteredModel) -> bool:
    """Tell whether the present champion beats the base rate by more than a standard error."""
    base, design = work.comparison.losses[BASE_RATE], work.design
    losses = judge_present(work, present)
    gap = compare_losses(losses, base, design.patients, design.given_weights)
    return gap.mean < -gap.error


def judge_present(work: Work, present: RegisteredModel) -> Numbers:
    """Compute the present champion's loss of each course.

    A champion developed on these very courses knows their outcomes. It is then judged by its kind's
    held-out losses instead.
    """
    card = present.model.card
    if card.data_digest == digest_cohort(work.cohort) and card.candidate in work.comparison.losses:
        return work.comparison.losses[card.candidate]
    log_odds = present.model.equation.compute_log_odds(work.design.columns)[:, 0]
    return compute_log_loss(log_odds, work.design.outcome)
