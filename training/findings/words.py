"""Labels of the reports: one table each for measures and types of validation.

Markdown, HTML, model card and checklist iterate over these tables: a measure that validation
computes appears in all of them, and its row here names it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from features.dictionary.dictionary import Dictionary
from features.model.card import ModelCard, PublishedFacts
from training.findings.findings import Performance, ValidationType


class MeasureLabel(NamedTuple):
    """How reports show a measure.

    ``hint`` says in a few words what its values mean; ``digits`` follow the decimal point.
    """

    name: str
    hint: str = ""
    digits: int = 3


# In the order of the reports.
MEASURES: Mapping[str, MeasureLabel] = {
    "auc": MeasureLabel("AUC", "0.5 is chance, 1 is perfect discrimination"),
    "log_loss": MeasureLabel("Log loss", "lower is better"),
    "brier": MeasureLabel("Brier score", "lower is better"),
    "scaled_brier": MeasureLabel("Scaled Brier score", "0 is the base rate, 1 is perfect"),
    "ratio": MeasureLabel("O/E ratio", "observed over expected events; 1 is perfect", 2),
    "intercept": MeasureLabel("Calibration intercept", "0 is perfect", 2),
    "slope": MeasureLabel("Calibration slope", "1 is perfect; below 1, too extreme", 2),
    "ici": MeasureLabel("ICI", "mean distance of estimates from the curve; 0 is perfect"),
    "e50": MeasureLabel("E50", "median of that distance"),
    "e90": MeasureLabel("E90", "90th percentile of that distance"),
    "emax": MeasureLabel("Emax", "maximum of that distance"),
}
VALIDATION_TYPES: Mapping[ValidationType, str] = {
    "apparent": "Apparent",
    "corrected": "Corrected for optimism",
    "nested": "Nested cross-validation",
    "sites": "New sites",
    "temporal": "Later courses",
    "external": "External cohort",
}
TESTED_ON: Mapping[ValidationType, str] = {
    "apparent": "the courses it was trained on, which is optimistic",
    "corrected": "the courses it was trained on, corrected for optimism",
    "nested": "courses held out in cross-validation",
    "sites": "courses at sites held out in turn",
    "temporal": "courses later than those it was trained on",
    "external": "an external cohort",
}
SAMPLE_SIZES = {
    "overfitting": "little overfitting (shrinkage factor at least 0.9)",
    "apparent_fit": "apparent fit close to the true fit (within 0.05)",
    "base_rate": "a precise base rate (within 0.05)",
}
_EVENT_VERBS = {"response": "responded", "remission": "reached remission"}


def name_key(key: str) -> str:
    """Turn a key into words.

    Examples
    --------
    >>> name_key("calibration_slope")
    'Calibration slope'
    """
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def label_measure(key: str) -> MeasureLabel:
    """Return a measure's label; its key in words if the table does not have it."""
    return MEASURES.get(key, MeasureLabel(name_key(key)))


def list_measures(performance: Iterable[Performance]) -> list[str]:
    """List the measures that any type of validation has, in the order of the table."""
    present = dict.fromkeys(key for validation in performance for key in validation.measures)
    known = [key for key in MEASURES if key in present]
    # A measure without a row of the table is still shown, after all others.
    return [*known, *(key for key in present if key not in MEASURES)]


def name_field(name: str, dictionary: Dictionary) -> str:
    """Name a field as forms do."""
    field = dictionary.fields.get(name)
    return name_key(name) if field is None else field.label


def describe_treatment(card: ModelCard) -> str:
    """Describe the treatment of the patients studied; not every study is of ketamine.

    Returns
    -------
    str
        Such as ``with ketamine``, to follow the word *treated*.
    """
    agents = card.label_studied("agent")
    if card.is_of_ketamine:
        return f"with {' or '.join(agents) or 'ketamine'}"
    return f"as those studied were ({', '.join(agents)})"


def describe_update(published: PublishedFacts) -> str:
    """Describe how a published equation was updated, and how sure its coefficients are."""
    done = "Used as published."
    if (published.intercept, published.slope) != (0, 1):
        stretched = f"times {published.slope:.3f}, " if published.slope != 1 else ""
        done = f"Recalibrated: its log-odds {stretched}plus {published.intercept:.3f}."
    known = "The uncertainty of its coefficients is not published, and no interval includes it."
    if published.uncertainty != "unknown":
        known = f"Intervals include its published {published.uncertainty}."
    return f"{done} {known}"


def describe_event(card: ModelCard) -> str:
    """Describe in a verb what patients with the event did."""
    return _EVENT_VERBS.get(card.outcome.criterion, "had the event")
