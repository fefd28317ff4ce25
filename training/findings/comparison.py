"""The comparison of a study's candidates, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.base.arrays import Numbers
from features.dictionary.outcome import Outcome
from features.model.card import Measure
from training.candidates import CANDIDATES, WITHOUT_OUTCOMES
from training.measures.losses import Difference, choose_candidate, compare_losses
from training.measures.performance import COMPARED, IntervalSettings, measure_candidate
from training.measures.predictions import Predictions
from training.study.design import Design
from training.study.parts import LEAKAGE_AUC
from training.study.split import derive_seed
from training.study.study import Study

MEASURE_SEED = 3
BASE_RATE = "base_rate"


@dataclass(frozen=True)
class Comparison:
    """How the candidates did on courses they had not learned from.

    Parameters
    ----------
    measures
        For each candidate, each measure with its interval.
    losses
        For each candidate, ``[courses]``.
    to_base
        For each candidate, its difference in log loss to the base rate.
    chosen
        The one that the rule of one standard error chose; where nothing could be measured, the
        preferred one.
    """

    held_out: Mapping[str, Predictions]
    measures: Mapping[str, Mapping[str, Measure]]
    losses: Mapping[str, Numbers]
    to_base: Mapping[str, Difference]
    chosen: str

    @property
    def is_measured(self) -> bool:
        """Whether any course had an outcome to be tested on."""
        return bool(self.held_out)

    @property
    def beats_base_rate(self) -> bool:
        """Whether the chosen candidate is better than the base rate beyond one standard error."""
        if not self.is_measured:
            return False
        gap = self.to_base[self.chosen]
        return gap.mean < -gap.error

    @property
    def verdict(self) -> str:
        """What was found, in one or two plain sentences."""
        if not self.is_measured:
            return (
                "Nobody's outcome is known yet: nothing was learned and nothing could be measured. "
                "The base rate expected beforehand is the estimate."
            )
        gap = self.to_base[self.chosen]
        label = CANDIDATES[self.chosen].label
        if not any(gap.mean < -gap.error for gap in self.to_base.values()):
            return (
                "No candidate beats the base rate: what was recorded does not tell who will "
                "respond. The base rate is the estimate."
            )
        if not self.beats_base_rate:
            return (
                f"The {label} is chosen, as nothing is better than it beyond one standard error; "
                "yet it does not beat the base rate by as much. The base rate is the estimate."
            )
        return (
            f"The {label} beats the base rate: log loss lower by {-gap.mean:.4f} "
            f"(standard error {gap.error:.4f}) on patients it had not seen."
        )


def compare(study: Study, design: Design, held_out: Mapping[str, Predictions]) -> Comparison:
    """Measure every candidate and choose one."""
    asked, seed = study.validation, derive_seed(study.seed, MEASURE_SEED)
    settings = IntervalSettings(asked.resamples, asked.level, seed)
    measures = {name: measure_candidate(said, settings) for name, said in held_out.items()}
    losses = {name: said.compute_losses() for name, said in held_out.items()}
    base, weights = losses[BASE_RATE], design.given_weights
    to_base = {
        name: compare_losses(loss, base, design.patients, weights) for name, loss in losses.items()
    }
    chosen = choose_candidate(losses, design.patients, weights)
    return Comparison(held_out, measures, losses, to_base, chosen)


def await_outcomes(study: Study) -> Comparison:
    """Compare nothing, where nobody's outcome is known yet; the preferred candidate is chosen."""
    names = [name for name in study.candidates if name in WITHOUT_OUTCOMES]
    unknown = dict.fromkeys(COMPARED, Measure(value=None))
    return Comparison({}, dict.fromkeys(names, unknown), {}, {}, names[0])


def find_leakage(auc: float | None, target: Outcome, simulated: bool) -> list[str]:
    """Raise the alarm where real baselines rank better than any can.

    It knows what baseline alone can reach; an early score may say far more.
    """
    silent = simulated or target.checkpoint is not None
    if silent or auc is None or auc <= LEAKAGE_AUC:
        return []
    return [
        f"LEAKAGE ALARM: an AUC of {auc:.2f} from baseline alone is above {LEAKAGE_AUC:.2f}. "
        "Look for a column that knows the outcome before believing it."
    ]
