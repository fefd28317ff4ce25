"""Subgroups: the numbers are those of the other measures, and small groups stay hidden."""

import numpy as np
import pytest

from features.dictionary.additions import Additions, Agent
from features.dictionary.dictionary import load_dictionary, make_dictionary
from features.model.prediction import compute_probability
from features.records.assessment import read_assessments
from training.measures.calibration_curve import estimate_ratio
from training.measures.discrimination import estimate_auc
from training.measures.logistic import logit
from training.measures.subgroups import hide_small, label_courses, tabulate_subgroups


@pytest.fixture
def tabulate(courses, predict):
    """Tabulates R's courses by label, each a patient of its own by default."""

    def make(labels, patients=None, weights=None):
        predictions = predict(courses.probability, courses.outcome, patients, weights)
        return tabulate_subgroups(predictions, {"sex": np.asarray(labels)}, 0.95)

    return make


def label(*counts):
    """Label as many courses with each name as given, in random order."""
    names = np.repeat([f"group {number}" for number in range(len(counts))], counts)
    return np.random.default_rng(1).permutation(names)


def test_rows_are_measured_on_their_courses_alone(courses, tabulate):
    labels = label(120, 80)
    for row in tabulate(labels, courses.patients, courses.weights):
        members = labels == row.name
        arguments = (
            compute_probability(logit(courses.probability))[members],
            courses.outcome[members],
            courses.weights[members],
            np.unique(courses.patients[members], return_inverse=True)[1],
        )
        assert row.courses == members.sum()
        assert row.events == courses.outcome[members].sum()
        assert row.estimate == pytest.approx(np.average(arguments[0], weights=arguments[2]))
        assert row.ratio == estimate_ratio(*arguments).make_interval(0.95, "log")
        assert row.auc == estimate_auc(*arguments).make_interval(0.95, "logit")
        assert row.note == ""


def test_small_group_is_withheld(tabulate):
    small = tabulate(label(80, 95, 25))[2]
    assert small.note == "too few"
    assert (small.estimate, small.ratio, small.auc, small.detectable) == (None,) * 4


def test_small_cells_are_hidden_with_what_reveals_them(tabulate):
    large, middle, small = tabulate(label(130, 60, 10))
    assert (small.courses, small.events, small.note) == (None, None, "too few")
    assert (middle.courses, middle.events, middle.ratio) == (None, None, None)
    assert "give away" in middle.note
    assert large.courses == 130


def test_group_of_one_class_is_hidden(courses, tabulate):
    labels = np.where(courses.outcome == 1, "yes", "no")
    assert [row.events for row in tabulate(labels)] == [None, None]


def test_single_group_of_all_patients_is_shown(tabulate):
    (row,) = tabulate(np.full(200, "all"))
    assert row.courses == 200
    assert row.detectable is None  # there is no other group to differ from


def test_cells_count_patients_and_not_courses(tabulate):
    """Sixty courses of two patients are enough courses, but too few patients."""
    labels = np.where(np.arange(200) < 60, "few", "many")
    patients = np.where(np.arange(200) < 60, np.arange(200) % 2, np.arange(200))
    patients = np.unique(patients, return_inverse=True)[1]
    assert tabulate(labels)[0].courses == 60
    assert tabulate(labels, patients=patients)[0].courses is None


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([(5, 50), (5, 50), (90, 90)], [True, True, False]),  # together ten and a hundred
        ([(4, 50), (5, 50), (90, 90)], [True, True, True]),  # together nine
        ([(9, 9)], [True]),
        ([(10, 10), (10, 10)], [False, False]),
    ],
)
def test_what_is_hidden_together_is_large_enough(people, expected):
    assert hide_small(people) == expected


def test_an_auc_needs_more_courses_than_a_ratio(tabulate):
    rows = tabulate(label(165, 35))
    assert rows[1].ratio.value is not None
    assert rows[1].auc is None
    assert rows[1].note == "too few for an AUC"


def test_unknown_labels_are_a_group_of_their_own(tabulate):
    unknown = np.array([None, "", np.nan], dtype=object)[np.arange(200) % 3]
    labels = np.where(np.arange(200) < 100, unknown, "iv").astype(object)
    assert [row.name for row in tabulate(labels)] == ["iv", "unknown"]


def test_detectable_difference_has_its_power(predict):
    """The simulated ratio between the groups is the detectable one, 400 times."""
    generator, detections, size = np.random.default_rng(2), 0, 400
    outcome = (generator.random(2 * size) < 0.4).astype(float)
    labels = np.repeat(["a", "b"], size)
    probability = np.full(2 * size, 0.4)
    predictions = predict(probability, outcome)
    factor = tabulate_subgroups(predictions, {"x": labels}, 0.95)[0].detectable
    shares = np.repeat([0.4 * factor**0.5, 0.4 / factor**0.5], size)
    for _ in range(400):
        truth = (generator.random(2 * size) < shares).astype(float)
        moved = [
            estimate_ratio(probability[labels == group], truth[labels == group]) for group in "ab"
        ]
        gap, other = (estimate.move("log") for estimate in moved)
        detections += abs(gap.value - other.value) > 1.96 * np.hypot(gap.error, other.error)
    assert 0.72 < detections / 400 < 0.88


def test_courses_are_labelled_by_band_and_category():
    rows = [
        {"patient_id": "a", "condition": "depression", "phq9": 12, "sex": "female", "age": 31},
        {"patient_id": "b", "condition": "depression", "phq9": 22, "sex": "male"},
    ]
    labels = label_courses(read_assessments(rows), load_dictionary().instruments["phq9"])
    assert labels["sex"].tolist() == ["female", "male"]
    assert labels["severity"].tolist() == ["moderate", "severe"]
    assert "age" not in labels  # recorded for one patient only: no groups
    assert "condition" not in labels


def test_without_bands_severity_is_in_thirds_of_the_range():
    instrument = load_dictionary().instruments["phq9"].model_copy(update={"bands": ()})
    rows = [
        {"patient_id": str(total), "condition": "depression", "phq9": total}
        for total in (0, 9, 10, 18, 19, 27)
    ]
    labels = label_courses(read_assessments(rows), instrument)["severity"].tolist()
    assert labels[0] == labels[1] != labels[2] == labels[3] != labels[4] == labels[5]


def test_agents_of_a_study_are_compared():
    """A treatment that is not a drug has no route, as opposed to an unrecorded one."""
    added = Additions(agents=(Agent(key="cbt", label="CBT", routes=()),))
    regimens = [("ketamine", "iv"), ("ketamine", "im"), ("cbt", None), ("ketamine", None)]
    rows = [
        {"patient_id": f"p{n}", "condition": "depression", "phq9": 17, "agent": agent}
        | {"route": route}
        for n, (agent, route) in enumerate(regimens)
    ]
    columns = read_assessments(rows, make_dictionary(added))
    labels = label_courses(columns, columns.dictionary.instruments["phq9"])
    assert {name: values.tolist() for name, values in labels.items()} == {
        "agent": ["ketamine", "ketamine", "CBT", "ketamine"],
        "route": ["iv", "im", "none", None],
    }
