"""The leakage alarm knows how precise an AUC is."""

import pytest

from features.dictionary.outcome import parse_outcome
from features.model.card import Measure
from training.findings.comparison import list_leakage_alarms

BASELINE = parse_outcome("phq9.acute.response")
UPDATE = parse_outcome("phq9.week12.response.after-week2")


@pytest.mark.parametrize(
    ("auc", "alarms"),
    [
        (Measure(value=0.9, low=0.79, high=0.96), 1),
        (Measure(value=0.9), 1),
        (Measure(value=1.0, low=1.0, high=1.0), 1),
        # 29 courses with 6 events: so high an AUC may be chance.
        (Measure(value=0.85, low=0.62, high=0.97), 0),
        (Measure(value=0.9, low=0.78, high=0.96), 0),
        (Measure(value=0.78, low=0.7, high=0.85), 0),
        (Measure(value=None), 0),
    ],
)
def test_an_alarm_needs_the_whole_interval_above_the_bound(auc, alarms):
    assert len(list_leakage_alarms(auc, BASELINE, simulated=False)) == alarms
    assert not list_leakage_alarms(auc, BASELINE, simulated=True)
    assert not list_leakage_alarms(auc, UPDATE, simulated=False)
