"""Sample sizes against published examples, R's arithmetic and the paper's own simulation."""

import pytest

from training.measures.sample_size import compute_sample_size, count_parameters, derive_r2

# pmsampsize's own examples, with the results in its tests (Python 0.1.0, read in its repository
# and run next to this code).
PUBLISHED = [
    ({"r2": 0.288}, (623, 662, 221)),
    ({"auc": 0.89}, (615, 660, 221)),
    ({"r2": 0.55}, (255, 532, 221)),
]


def expect(prevalence, r2=None, auc=None):
    """Return the expected fit, or derive it from the AUC."""
    return derive_r2(auc, prevalence) if r2 is None else r2


@pytest.mark.parametrize(("known", "expected"), PUBLISHED, ids=str)
def test_sizes_agree_with_published_examples(known, expected):
    sample_size = compute_sample_size(24, 0.174, expect(0.174, **known))
    assert tuple(sample_size.courses.values()) == expected
    assert sample_size.required == max(expected)
    assert sample_size.binding == "apparent_fit"


def test_sizes_agree_with_r(truth):
    for row in truth["sizes"]:
        sample_size = compute_sample_size(row["parameters"], row["prevalence"], r2=row["r2"])
        assert sample_size.courses == {name: row[name] for name in sample_size.courses}


def test_r2_from_auc_agrees_with_the_papers_simulation(truth):
    """Within four standard errors of the simulation; the paper itself draws once."""
    for row in truth["simulated_r2"]:
        r2 = derive_r2(row["auc"], row["prevalence"])
        assert abs(r2 - row["r2"]) < 4 * row["error"]


@pytest.mark.parametrize(
    ("auc", "prevalence", "expected"), [(0.70, 0.5, 2081), (0.65, 0.5, 3756), (0.70, 0.3, 2459)]
)
def test_thirty_parameters_need_what_the_docs_say(auc, prevalence, expected):
    assert compute_sample_size(30, prevalence, derive_r2(auc, prevalence)).required == expected


def test_binding_criterion_depends_on_the_model():
    assert compute_sample_size(30, 0.5, derive_r2(0.7, 0.5)).binding == "overfitting"
    assert compute_sample_size(2, 0.5, r2=0.3).binding == "base_rate"


def test_verdict_names_the_criterion_and_size_needed():
    needed = compute_sample_size(30, 0.5, derive_r2(0.7, 0.5))
    assert needed.judge(needed.required).startswith(f"{needed.required} courses are enough")
    assert "too few" in needed.judge(needed.required - 1)
    assert "at most 5 parameters" in needed.judge(400)
    assert "not do for a single parameter" in needed.judge(100)


def test_allowed_parameters_are_consistent_with_the_size():
    for courses in (385, 800, 2081):
        r2 = derive_r2(0.7, 0.5)
        most = count_parameters(courses, 0.5, r2)
        assert compute_sample_size(most, 0.5, r2).required <= courses
        assert compute_sample_size(most + 1, 0.5, r2).required > courses


@pytest.mark.parametrize(
    ("parameters", "prevalence", "known", "message"),
    [
        (0, 0.3, {"r2": 0.1}, "parameters"),
        (3, 1.0, {"r2": 0.1}, "prevalence"),
        (3, 0.3, {"auc": 0.5}, "auc"),
        (3, 0.3, {"r2": 0.8}, "r2"),
    ],
)
def test_what_cannot_be_is_refused_by_name(parameters, prevalence, known, message):
    with pytest.raises(ValueError, match=message):
        compute_sample_size(parameters, prevalence, expect(prevalence, **known))
