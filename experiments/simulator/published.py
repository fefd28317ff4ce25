"""Published figures that the simulated patients are calibrated to.

Those marked P are chosen, not from evidence.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from features.base.arrays import Numbers

# One latent normal variable each; a field is a monotone function of its own latent.
LATENTS = (
    *("age", "female", "bmi", "systolic", "diastolic"),
    *("phq9", "gad7", "pcl5", "madrs"),
    *("failed_antidepressants", "episode_months", "benzodiazepine_mg", "ace_score", "expectancy"),
    *("failed_ect", "alcohol_use_disorder", "heavy_drinking", "family_alcohol_use_disorder"),
    *("ptsd_comorbid", "anxiety_comorbid", "bipolar", "personality_disorder"),
    *("chronic_pain", "suicide_attempt"),
)
_CORRELATIONS: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("phq9", "gad7"): 0.65,
        ("phq9", "pcl5"): 0.55,
        ("gad7", "pcl5"): 0.55,
        ("ace_score", "pcl5"): 0.35,
        ("failed_antidepressants", "episode_months"): 0.30,
        ("age", "failed_antidepressants"): 0.20,
        # P from here on
        ("phq9", "madrs"): 0.60,
        ("systolic", "diastolic"): 0.60,
        ("age", "systolic"): 0.30,
        ("gad7", "anxiety_comorbid"): 0.40,
        ("pcl5", "ptsd_comorbid"): 0.45,
        ("alcohol_use_disorder", "heavy_drinking"): 0.50,
        ("failed_antidepressants", "failed_ect"): 0.30,
    }
)

# Shares of true-or-false fields; the last three are P.
SHARES: Mapping[str, float] = MappingProxyType(
    {
        "female": 0.58,
        "ptsd_comorbid": 0.26,
        "anxiety_comorbid": 0.55,
        "bipolar": 0.09,
        "alcohol_use_disorder": 0.23,
        "suicide_attempt": 0.37,
        "family_alcohol_use_disorder": 0.33,
        "failed_ect": 0.10,
        "heavy_drinking": 0.15,
        "chronic_pain": 0.25,
        "personality_disorder": 0.10,
    }
)

# Mean and standard deviation of totals in depression, anxiety and PTSD; PHQ-9, GAD-7 and MADRS
# outside their own condition are P.
TOTALS: Mapping[str, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        "phq9": ((17, 5), (12, 5.5), (14, 5.5)),
        "gad7": ((12.8, 5.7), (14.5, 4.5), (13.5, 5)),
        "pcl5": ((22, 14), (22, 14), (54, 12)),
        "madrs": ((32, 6.5), (20, 8), (22, 8)),
    }
)
# Lowest total with which a clinic takes a patient on for that condition. P.
INTAKE_LOWS: Mapping[tuple[str, int], float] = MappingProxyType(
    {("phq9", 0): 5, ("gad7", 1): 5, ("pcl5", 2): 20, ("madrs", 0): 12}
)
CONDITIONS = (("depression", 0.65), ("anxiety", 0.20), ("ptsd", 0.15))

# Missing at baseline, as a share of all patients.
MISSING: Mapping[str, float] = MappingProxyType(
    {
        "sex": 0.01,
        "bmi": 0.15,
        "systolic": 0.05,
        "diastolic": 0.05,
        "phq9": 0.03,
        "gad7": 0.20,
        "pcl5": 0.50,
        "madrs": 0.70,
        "failed_antidepressants": 0.20,
        "episode_months": 0.30,
        "benzodiazepine_mg": 0.10,
        "ace_score": 0.50,
        "expectancy": 0.60,
        "failed_ect": 0.20,
        "alcohol_use_disorder": 0.20,
        "heavy_drinking": 0.40,
        "family_alcohol_use_disorder": 0.50,
        "ptsd_comorbid": 0.20,
        "anxiety_comorbid": 0.10,
        "bipolar": 0.10,
        "personality_disorder": 0.40,
        "chronic_pain": 0.40,
        "suicide_attempt": 0.75,
    }
)
ITEM_MISSING = 0.01

# Share that responds, by condition, horizon and route in the order above.
TARGETS: Mapping[tuple[str, str], tuple[float, ...]] = MappingProxyType(
    {
        ("depression", "day1"): (0.45, 0.18, 0.30, 0.30, 0.30, 0.30),
        ("depression", "acute"): (0.45, 0.48, 0.35, 0.50, 0.30, 0.35),
        ("depression", "week12"): (0.20, 0.50, 0.18, 0.22, 0.15, 0.18),
        ("anxiety", "day1"): (0.35,) * 6,
        ("anxiety", "acute"): (0.48, 0.48, 0.48, 0.55, 0.48, 0.48),
        ("anxiety", "week12"): (0.22,) * 6,
        ("ptsd", "day1"): (0.35,) * 6,
        ("ptsd", "acute"): (0.55,) * 6,
        ("ptsd", "week12"): (0.20,) * 6,
    }
)
MADRS_ESKETAMINE_ACUTE = 0.57

# Scale from latent improvement to the fraction by which a total falls.
SPREADS: Mapping[str, float] = MappingProxyType(
    {"phq9": 0.20, "madrs": 0.20, "gad7": 0.14, "pcl5": 0.14}
)


def make_correlations() -> Numbers:
    """Build the correlation matrix of the latent variables."""
    matrix = np.eye(len(LATENTS))
    for (first, second), value in _CORRELATIONS.items():
        row, column = LATENTS.index(first), LATENTS.index(second)
        matrix[row, column] = matrix[column, row] = value
    return matrix
