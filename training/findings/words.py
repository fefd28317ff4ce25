"""The report's names for what the findings call by keys, and how many digits each measure gets."""

from features.dictionary.dictionary import Dictionary
from features.model.card import ModelCard
from training.findings.findings import ValidationType

# Measure: its name, what it says in a few words, and digits after the point.
MEASURES = {
    "auc": ("AUC", "0.5 is chance, 1 is a perfect ranking", 3),
    "log_loss": ("Log loss", "lower is better", 3),
    "brier": ("Brier score", "lower is better", 3),
    "scaled_brier": ("Scaled Brier score", "0 is the base rate, 1 is perfect", 3),
    "ratio": ("Observed over expected", "should be 1", 2),
    "intercept": ("Calibration intercept", "should be 0", 2),
    "slope": ("Calibration slope", "should be 1; less is too extreme", 2),
    "ici": ("ICI, mean calibration error", "should be 0, is never quite", 3),
    "e50": ("E50, its median", "should be 0, is never quite", 3),
    "e90": ("E90, its 90th percentile", "should be 0, is never quite", 3),
    "emax": ("Emax, its maximum", "should be 0, is never quite", 3),
}
WAYS: dict[ValidationType, str] = {
    "apparent": "Apparent",
    "corrected": "Corrected for optimism",
    "nested": "Nested cross-validation",
    "sites": "New sites",
    "temporal": "Later courses",
    "external": "External cohort",
}
# Where several ways of testing saw the model, the first of these is told to clinicians: the one
# nearest to patients whom nobody has seen.
HEADLINES: tuple[ValidationType, ...] = (
    "external",
    "nested",
    "corrected",
    "sites",
    "temporal",
    "apparent",
)
TESTED_ON: dict[ValidationType, str] = {
    "apparent": "the courses that it learned from, which flatters it",
    "corrected": "the courses that it learned from, less the optimism of having seen them",
    "nested": "courses that it had not learned from",
    "sites": "sites that it had not learned from",
    "temporal": "courses later than those that it had learned from",
    "external": "a cohort that it had never seen",
}
SAMPLE_SIZES = {
    "overfitting": "little overfitting (shrinkage of 0.9 or more)",
    "apparent_fit": "apparent fit near the true one (within 0.05)",
    "base_rate": "a precise base rate (within 0.05)",
}
BASE_RATE = "base_rate"
KETAMINE = frozenset({"ketamine", "esketamine"})
CAME_TRUE = {"response": "responded", "remission": "reached remission"}


def name_key(key: str) -> str:
    """Name a key for people.

    Examples
    --------
    >>> name_key("calibration_slope")
    'Calibration slope'
    """
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def name_measure(key: str) -> str:
    """Name a measure."""
    return MEASURES[key][0] if key in MEASURES else name_key(key)


def get_digits(key: str) -> int:
    """Digits after the point of a measure."""
    return MEASURES[key][2] if key in MEASURES else 3


def name_field(name: str, dictionary: Dictionary) -> str:
    """Name a field as forms do."""
    field = dictionary.fields.get(name)
    return name_key(name) if field is None else field.label


def tell_treatment(card: ModelCard) -> str:
    """Tell with what those studied were treated; not all that is studied here is ketamine."""
    agents = [name for one in card.ranges if one.field == "agent" for name in one.categories]
    if set(agents) <= KETAMINE:
        return f"with {' or '.join(agents) or 'ketamine'}"
    return f"as those studied were ({', '.join(agents).replace('_', ' ')})"


def tell_outcome(card: ModelCard) -> str:
    """Tell in a verb what came true of those with the outcome."""
    return CAME_TRUE.get(card.outcome.criterion, "had the outcome")
