"""The champion: whether the chosen model replaces the present one."""

from features.base.arrays import Numbers
from features.model.card import ModelCard
from training.candidates.registry import BASE_RATE
from training.findings.comparison import Comparison
from training.findings.findings import ChampionFacts, Findings
from training.measures.losses import compare_losses, compute_log_loss
from training.registry.registry import RegisteredModel
from training.study.design import Design


def compare_champion(
    present: RegisteredModel | None, card: ModelCard, comparison: Comparison, design: Design
) -> ChampionFacts | None:
    """Compare the chosen candidate, by its card, with the champion on the same held-out courses.

    None if there is no champion, or no outcome to compare them by.
    """
    if present is None or not comparison.is_measured:
        return None
    gap = compare_losses(
        comparison.losses[comparison.chosen],
        _compute_present_losses(present, card, comparison, design),
        design.patients,
        design.given_weights,
    )
    return ChampionFacts(
        version=present.version,
        candidate=present.model.card.candidate,
        difference=gap.mean,
        error=gap.error,
    )


def choose_champion(
    registered: RegisteredModel,
    findings: Findings,
    present: RegisteredModel | None,
    comparison: Comparison,
    design: Design,
) -> RegisteredModel | None:
    """Choose which model clinicians see; None if the base rate has yet to be registered.

    The new one if it passes the gate. If it does not, the present champion stays as long as these
    patients support it; otherwise the base rate is the honest answer. Before any outcome is known
    that is the published base rate.
    """
    card = registered.model.card
    is_base = card.candidate == BASE_RATE
    if findings.passed and comparison.is_measured and not is_base:
        return registered
    if present is not None and _stays_champion(present, card, comparison, design):
        return present
    return registered if is_base else None


def _stays_champion(
    present: RegisteredModel, new: ModelCard, comparison: Comparison, design: Design
) -> bool:
    card, same_data = present.model.card, present.model.card.data_digest == new.data_digest
    if not comparison.is_measured:
        # Without outcomes only a published base rate gives way: its studied ranges are those of
        # the patients enrolled by then, so later ones would get no estimate.
        is_published = card.candidate == BASE_RATE and not card.population.courses
        return same_data or not is_published
    # Weights or filters of the study can change the base rate of the same cohort.
    same_base_rate = card.candidate == BASE_RATE and same_data
    if same_base_rate and card.population == new.population:
        return True
    losses = _compute_present_losses(present, new, comparison, design)
    base = comparison.losses[BASE_RATE]
    gap = compare_losses(losses, base, design.patients, design.given_weights)
    return gap.mean < -gap.error


def _compute_present_losses(
    present: RegisteredModel, new: ModelCard, comparison: Comparison, design: Design
) -> Numbers:
    card = present.model.card
    # A champion fitted on these very courses knows their outcomes: its kind's held-out losses
    # stand in for its own.
    if card.data_digest == new.data_digest and card.candidate in comparison.losses:
        return comparison.losses[card.candidate]
    model = present.model.read_with(design.columns.dictionary)
    log_odds = model.equation.compute_log_odds(design.columns)[:, 0]
    return compute_log_loss(log_odds, design.outcome)
