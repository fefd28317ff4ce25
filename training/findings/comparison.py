"""The comparison of a study's candidates, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.base.arrays import Numbers
from features.dictionary.outcome import Outcome
from features.model.card import Measure, ModelCard
from training.candidates.registry import BASE_RATE, label_candidate, make_study_candidates
from training.findings.format import format_measure
from training.measures.bootstrap import make_interval_settings
from training.measures.losses import Difference, choose_candidate, compare_losses
from training.measures.performance import COMPARED, measure_candidate
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.parts import LEAKAGE_AUC
from training.study.study import Study


@dataclass(frozen=True)
class Comparison:
    """Performance of the candidates on held-out courses; all by candidate."""

    held_out: Mapping[str, Predictions]
    measures: Mapping[str, Mapping[str, Measure]]
    # Log loss of each course, ``[courses]``.
    losses: Mapping[str, Numbers]
    # Log loss minus that of the base rate.
    to_base: Mapping[str, Difference]
    # By the one-standard-error rule; the preferred candidate if nothing could be measured.
    chosen: str
    # What reports call it.
    chosen_label: str

    @property
    def is_measured(self) -> bool:
        """Whether any outcome is known to test on."""
        return bool(self.held_out)

    @property
    def beats_base_rate(self) -> bool:
        """Whether the chosen candidate beats the base rate by more than one standard error."""
        if not self.is_measured:
            return False
        gap = self.to_base[self.chosen]
        return gap.mean < -gap.error

    @property
    def verdict(self) -> str:
        """The result, in one or two plain sentences."""
        if not self.is_measured:
            return (
                "No outcome is known yet, so no model could be fitted or tested. The base rate "
                "expected beforehand is the estimate."
            )
        gap = self.to_base[self.chosen]
        label = self.chosen_label
        # Two different findings: nothing predicts the outcome, or something does and is not chosen.
        if not any(gap.mean < -gap.error for gap in self.to_base.values()):
            return (
                "No candidate beats the base rate: the recorded fields do not predict the outcome. "
                "The base rate is the estimate."
            )
        if not self.beats_base_rate:
            return (
                f"Candidate “{label}” is chosen, since none is better by more than one standard "
                "error, but it does not beat the base rate by that much. The base rate is the "
                "estimate."
            )
        return (
            f"Candidate “{label}” beats the base rate: log loss lower by {-gap.mean:.4f} "
            f"(standard error {gap.error:.4f}) on held-out patients."
        )


def compare(design: Design, held_out: Mapping[str, Predictions]) -> Comparison:
    """Measure every candidate and choose one."""
    settings = make_interval_settings(design.study)
    measures = {name: measure_candidate(held, settings) for name, held in held_out.items()}
    losses = {name: held.compute_losses() for name, held in held_out.items()}
    # Course by course: some are hard for every candidate, which cancels in a difference.
    base, weights = losses[BASE_RATE], design.given_weights
    to_base = {
        name: compare_losses(loss, base, design.patients, weights) for name, loss in losses.items()
    }
    chosen = choose_candidate(losses, design.patients, weights)
    label = label_candidate(chosen, design.study)
    return Comparison(held_out, measures, losses, to_base, chosen, label)


def await_outcomes(study: Study) -> Comparison:
    """Choose the preferred candidate without a comparison, while no outcome is known."""
    known = make_study_candidates(study)
    names = [name for name in study.candidates if not known[name].needs_outcomes]
    unknown = dict.fromkeys(COMPARED, Measure(value=None))
    label = known[names[0]].label
    return Comparison({}, dict.fromkeys(names, unknown), {}, {}, names[0], label)


def list_leakage_alarms(auc: Measure, target: Outcome, simulated: bool) -> list[str]:
    """List an alarm if an AUC is higher than baseline alone can reach, its interval included.

    With few courses an AUC is that high by chance: then a limitation says so. Empty for simulated
    patients and for update outcomes, whose early scores predict far better.
    """
    silent = simulated or target.checkpoint is not None
    if silent or auc.value is None or auc.value <= LEAKAGE_AUC:
        return []
    if auc.low is not None and auc.low <= LEAKAGE_AUC:
        return []
    return [
        f"LEAKAGE ALARM: an AUC of {format_measure(auc, 2)} from baseline alone is above "
        f"{LEAKAGE_AUC:.2f}. Look for a column that contains the outcome before you trust it."
    ]


def list_published_alarms(card: ModelCard) -> list[str]:
    """List an alarm if a published equation was made for another outcome than it is used for."""
    published = card.published
    if published is None or published.outcome == card.outcome.id:
        return []
    return [
        f"ANOTHER OUTCOME: the published equation “{published.label}” was made for "
        f"{published.outcome}, and is used for {card.outcome.id} here. What was "
        "published about its performance does not apply: trust only what was measured here."
    ]
