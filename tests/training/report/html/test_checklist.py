"""Every TRIPOD+AI item has an answer from the run, or a reason for its absence."""

import re

import pytest

from training.findings.checklist import answer_checklist

# How many parts each of the 27 items has, from memory: 52 in all.
PARTS = {
    **dict.fromkeys(range(1, 28), 1),
    **{3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3},
}


def find_item(findings, number):
    return next(item for item in answer_checklist(findings) if item.number == number)


def test_all_items_are_there_in_order(full):
    expected = [
        f"{number}{'abcdefg'[part] if parts > 1 else ''}"
        for number, parts in PARTS.items()
        for part in range(parts)
    ]
    assert [item.number for item in answer_checklist(full)] == expected
    assert len(expected) == 52


def test_each_item_has_an_answer_or_a_reason(findings):
    for item in answer_checklist(findings):
        assert bool(item.answer) != bool(item.because), item.number


def test_what_only_authors_know_is_not_answered(findings):
    for number in ("3c", "5b", "8b", "8c", "9c", "17", "18a", "18b", "18c", "18d", "18e", "19"):
        assert find_item(findings, number).answer == ""


def test_parts_not_done_are_not_answered(full):
    parts = {"10": "sample_size", "12d": "across_sites", "14": "subgroups", "23b": "across_sites"}
    for number, part in parts.items():
        assert find_item(full, number).answer
        empty = () if part == "subgroups" else None
        assert not find_item(full.model_copy(update={part: empty}), number).answer


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("3b", "Patients with depression or anxiety"),
        ("6c", "route: iv, im, intranasal"),
        ("10", "fewer than the 3,617"),
        ("11", "413 of 1600 courses have a missing outcome. Courses are weighted for this; a"),
        ("12a", "apparent, corrected for optimism, nested cross-validation, new sites"),
        ("13", "The base rate is 47.3%."),
        ("14", "by age, sex, condition"),
        ("15", "an interval (level: 80%)"),
        ("18f", "Seed 20260101"),
        ("20a", "1187 courses of 1104 patients tested, 561 of them events."),
        ("23a", "Nested cross-validation: AUC 0.647, Calibration slope 0.97, O/E ratio 1.02."),
        ("23b", "AUC: between-site SD 0.11, I² 22%. O/E ratio: "),
        ("26", "Patients are simulated."),
    ],
)
def test_answers_come_from_the_findings(full, number, answer):
    assert answer in find_item(full, number).answer


def test_external_validation_answers_updating_and_differences(full, make_findings):
    external = make_findings("external")
    for number in ("12g", "16"):
        assert find_item(full, number).because
        assert find_item(external, number).answer
    assert (
        "Development: 561 events in 1187 courses. This cohort: 77 in 203."
        in find_item(external, "16").answer
    )
    assert "slope 0.932, intercept -0.292" in find_item(external, "24").answer


def test_no_answer_names_a_patient(findings):
    for item in answer_checklist(findings):
        assert not re.search(r"patient_id|p\d{3,}", item.answer)
