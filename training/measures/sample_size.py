"""How many courses a model needs, by its number of parameters.

Riley et al. (Stat Med 2019; BMJ 2020) for a binary outcome, as in `pmsampsize`: little
overfitting, an apparent fit that is near the true one, and a precise base rate.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

# As Riley et al. advise: expected shrinkage of at least 0.9; apparent minus true Nagelkerke R2, and
# half the interval of the base rate, of at most 0.05.
_SHRINKAGE = 0.9
_OPTIMISM = 0.05
_MARGIN = 0.05
# As published, not 1.959964.
_REACH = 1.96
# Nodes of the quadrature: with twice as many R2 is the same to 1e-9, up to an AUC of 0.99.
_NODES = 80

_OVERFITTING, _FIT, BASE_RATE = "overfitting", "apparent_fit", "base_rate"


@dataclass(frozen=True)
class _SampleSize:
    # Parameters are those that the data may choose between, those left out in the end included; r2
    # is the Cox-Snell R2 expected; courses are those needed, by criterion.
    parameters: int
    prevalence: float
    r2: float
    courses: dict[str, int]

    @property
    def binding(self) -> str:
        return max(self.courses, key=lambda criterion: self.courses[criterion])

    @property
    def required(self) -> int:
        return self.courses[self.binding]

    @property
    def events(self) -> int:
        return int(np.ceil(self.required * self.prevalence))

    def judge(self, courses: int) -> str:
        """Describe whether the courses are enough, and if not, by which criterion.

        >>> print(compute_sample_size(24, 0.174, r2=0.288).judge(300))
        300 courses are too few: 662 are needed (apparent_fit), 116 with the outcome. 300 would do \
for at most 10 parameters.
        """
        if courses >= self.required:
            return f"{courses} courses are enough: {self.required} are needed ({self.binding})."
        most = count_parameters(courses, self.prevalence, self.r2)
        could = f"{courses} would do for at most {most} parameters."
        if not most:
            could = "They would not do for a single parameter."
        return (
            f"{courses} courses are too few: {self.required} are needed ({self.binding}), "
            f"{self.events} with the outcome. {could}"
        )


def compute_sample_size(parameters: int, prevalence: float, r2: float) -> _SampleSize:
    """Compute how many courses are needed.

    Parameters
    ----------
    r2
        The expected Cox-Snell R2; see :func:`derive_r2`.

    Raises
    ------
    ValueError
        Naming the argument and what is allowed.
    """
    if parameters < 1 or not 0 < prevalence < 1:
        raise ValueError("parameters must be 1 or more, prevalence between 0 and 1")
    if not 0 < r2 < _compute_highest_r2(prevalence):
        raise ValueError("r2 must be above 0 and below what the prevalence allows")
    courses = {
        _OVERFITTING: parameters * _count_for(_SHRINKAGE, r2),
        _FIT: parameters * _count_for(_find_shrinkage(r2, prevalence), r2),
        BASE_RATE: count_for_base_rate(prevalence, _MARGIN),
    }
    whole = {criterion: int(np.ceil(needed)) for criterion, needed in courses.items()}
    return _SampleSize(parameters, prevalence, r2, whole)


def count_for_base_rate(prevalence: float, margin: float) -> int:
    """Count the courses from which the base rate is known to within a margin, with 95% confidence.

    >>> count_for_base_rate(0.5, 0.05), count_for_base_rate(0.5, 0.1)
    (385, 97)
    """
    return int(np.ceil((_REACH / margin) ** 2 * prevalence * (1 - prevalence)))


def count_parameters(courses: int, prevalence: float, r2: float) -> int:
    """Count the parameters that the courses are enough for; 0 if not even for the base rate.

    >>> count_parameters(662, 0.174, 0.288), count_parameters(661, 0.174, 0.288)
    (24, 23)
    """
    if courses < compute_sample_size(1, prevalence, r2).courses[BASE_RATE]:
        return 0
    strictest = max(_SHRINKAGE, _find_shrinkage(r2, prevalence))
    return int(courses / _count_for(strictest, r2))


def _compute_highest_r2(prevalence: float) -> float:
    entropy = special.entr(prevalence) + special.entr(1 - prevalence)
    return float(-np.expm1(-2 * entropy))


def derive_r2(auc: float, prevalence: float) -> float:
    """Derive the Cox-Snell R2 from the AUC (Riley, Van Calster and Collins, Stat Med 2021).

    Log-odds are taken as normal with one spread among events and among non-events.
    The paper draws a million of them; here the expectation is computed by quadrature.
    """
    if not 0.5 < auc < 1:
        raise ValueError("auc must be above 0.5 and below 1")
    # Two normals of unit variance this far apart have that AUC; the log-odds follow by Bayes' rule.
    apart = np.sqrt(2) * special.ndtri(auc)
    nodes, shares = np.polynomial.hermite_e.hermegauss(_NODES)
    shares = shares / shares.sum()
    intercept = special.logit(prevalence) - apart**2 / 2
    with_outcome = shares @ special.log_expit(intercept + apart * (nodes + apart))
    without = shares @ special.log_expit(-(intercept + apart * nodes))
    entropy = special.entr(prevalence) + special.entr(1 - prevalence)
    likelihood = prevalence * with_outcome + (1 - prevalence) * without
    return float(-np.expm1(-2 * (likelihood + entropy)))


def _find_shrinkage(r2: float, prevalence: float) -> float:
    # The shrinkage at which the apparent R2 exceeds the true one by no more than is allowed.
    return r2 / (r2 + _OPTIMISM * _compute_highest_r2(prevalence))


def _count_for(shrinkage: float, r2: float) -> float:
    if r2 >= shrinkage:
        return 0.0
    return float(1 / ((shrinkage - 1) * np.log1p(-r2 / shrinkage)))
