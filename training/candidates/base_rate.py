"""The base rate: the same probability for everyone, and the bar for everything else."""

from dataclasses import replace

from features.equation import Equation
from training.candidates.base import Fit, Settings, make_constant
from training.design import Design


class BaseRate:
    """Gives everyone the share that had the outcome; uses no field at all."""

    name = "base_rate"
    label = "base rate"

    def fit(self, design: Design, seed: int) -> Fit:
        """Count."""
        return Fit(self.refit(design, {}, seed), {})

    def refit(self, design: Design, settings: Settings, seed: int) -> Equation:
        """Count again."""
        blank = replace(design, features=(), matrix=design.matrix[:, :0], site_names=())
        return make_constant(blank)
