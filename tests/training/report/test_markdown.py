"""The Markdown report, and that every report shows the measures that validation computes."""

import re

import numpy as np
import pytest

from features.model.card import Measure
from training.findings.gate import judge
from training.findings.words import MEASURES
from training.measures.bootstrap import IntervalSettings
from training.measures.performance import measure_performance
from training.measures.predictions import Predictions
from training.report.layout import write_table
from training.report.page import render_report, write_report
from training.report.tables import tabulate_performance
from training.study.parts import GatePart


@pytest.fixture
def study_findings(make_findings):
    draft = make_findings(card={"data": "simulated"}, ways={"corrected": {}, "nested": {}})
    return draft.model_copy(update={"gate": judge(draft, GatePart()), "alarms": ("Look at this.",)})


def test_every_measure_of_validation_has_a_label():
    """In the order of the table, which the reports follow."""
    generator = np.random.default_rng(1)
    log_odds = generator.normal(size=200)
    outcome = (generator.random(200) < 1 / (1 + np.exp(-log_odds))).astype(float)
    predictions = Predictions(log_odds, outcome, np.arange(200), np.zeros(200, int))
    assert set(measure_performance(predictions, IntervalSettings(20, 0.95, 1))) == set(MEASURES)


def test_new_measure_appears_in_every_report(study_findings):
    """Even before it has a label."""
    performance = study_findings.performance[0]
    measures = {**performance.measures, "nagelkerke_r2": Measure(value=0.1234)}
    changed = performance.model_copy(update={"measures": measures})
    findings = study_findings.model_copy(update={"performance": (changed,)})
    assert "| Nagelkerke r2 | 0.123 " in re.sub(" +", " ", write_report(findings))
    assert "Nagelkerke r2" in render_report(findings)


def test_report_starts_with_notes_and_verdict(study_findings):
    lines = [line for line in write_report(study_findings).splitlines() if line]
    assert "SIMULATED DATA" in lines[1]
    assert lines[2:4] == ["**Look at this.**", f"**{study_findings.verdict}**"]


def test_types_of_validation_are_columns(study_findings):
    table = write_table(tabulate_performance(study_findings.performance))
    heading = [cell.strip() for cell in table.splitlines()[0].split("|")[1:-1]]
    assert heading == ["Measure", "Corrected for optimism", "Nested cross-validation"]
    assert "| Calibration slope     | 1.00 " in table


def test_undone_validations_have_a_reason(study_findings):
    undone = study_findings.performance[0].model_copy(
        update={"way": "temporal", "measures": {}, "because": "no dates"}
    )
    performance = (*study_findings.performance, undone)
    report = write_report(study_findings.model_copy(update={"performance": performance}))
    assert "- Later courses: not done (no dates)" in report


def test_gate_is_in_the_report(study_findings):
    assert "Every criterion that applies is met." in write_report(study_findings)
