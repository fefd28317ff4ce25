"""Limitations follow from the findings."""

import pytest
from cards import make_card

from features.model.card import Measure
from training.validation.limitations import list_limitations

UPDATE = "phq9.week12.response.after-week2"


@pytest.fixture
def describe(make_findings):
    """Describe the limitations of findings with this AUC of the chosen candidate."""

    def describe(auc=None, card=None, **changes):
        findings = make_findings(card=card, **changes)
        (chosen,) = (candidate for candidate in findings.candidates if candidate.chosen)
        if auc is not None:
            chosen = chosen.model_copy(update={"measures": {"auc": auc}})
        return " ".join(list_limitations(findings.model_copy(update={"candidates": (chosen,)})))

    return describe


def test_a_high_auc_that_may_be_chance_is_described(describe):
    wide, narrow = Measure(value=0.85, low=0.62, high=0.97), Measure(value=0.9, low=0.8, high=1)
    assert "0.85 (0.62 to 0.97) is higher than baseline alone" in describe(wide)
    assert "it may be chance" in describe(wide)
    assert "may be chance" not in describe(narrow), "that is an alarm"
    assert "may be chance" not in describe(wide, make_card(outcome=UPDATE))
    assert "may be chance" not in describe(wide, simulated=True)


def test_prorated_totals_are_counted(describe):
    assert "pro-rated" not in describe()
    assert "Courses whose PHQ-9 total is pro-rated" in describe(prorated={"phq9": 7})
    assert "mean of the others: 7." in describe(prorated={"phq9": 7})
