"""A command never destroys what it reads, nor one of its outputs by another."""

import os

import pytest

from features.base.errors import InputError
from features.base.outputs import check_outputs


@pytest.fixture
def cohort(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text("mine")
    return path


def list_rules(outputs, inputs=()):
    """What is refused, as pairs of name and rule."""
    try:
        check_outputs(outputs, inputs)
    except InputError as error:
        return [(problem.field, problem.rule) for problem in error.problems]
    return []


def test_files_of_their_own_pass(tmp_path, cohort):
    (tmp_path / "old.csv").write_text("an earlier output")
    outputs = [("--out", tmp_path / "old.csv"), ("--rejects", tmp_path / "new" / "r.csv")]
    assert (
        list_rules([*outputs, ("--truth", None)], [("the cohort", cohort), ("--mapping", None)])
        == []
    )


@pytest.mark.parametrize(
    "spelling",
    ["s.csv", "./s.csv", "sub/../s.csv", "S.csv", "sub/./../S.CSV", "linked/s.csv"],
)
def test_two_outputs_are_not_one_file(tmp_path, monkeypatch, spelling):
    """Neither exists yet; `linked` leads to this folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    outputs = [("--out", tmp_path / "s.csv"), ("--rejects", type(tmp_path)(spelling))]
    assert list_rules(outputs) == [("--out", "same_file")]


def test_accents_are_one_name_however_they_are_written(tmp_path):
    names = ("scores-\u00e9.csv", "scores-e\u0301.csv")
    outputs = zip(("--out", "--rejects"), (tmp_path / name for name in names), strict=True)
    assert list_rules(outputs) == [("--out", "same_file")]


def test_like_names_in_other_folders_are_other_files(tmp_path):
    (tmp_path / "a").mkdir()
    outputs = [("--out", tmp_path / "a" / "s.csv"), ("--rejects", tmp_path / "s.csv")]
    assert list_rules(outputs) == []
    (tmp_path / "A").mkdir(exist_ok=True)
    if not (tmp_path / "a").samefile(tmp_path / "A"):
        outputs = [("--out", tmp_path / "a" / "s.csv"), ("--rejects", tmp_path / "A" / "s.csv")]
        assert list_rules(outputs) == []


@pytest.mark.parametrize("spelling", ["cohort.csv", "./cohort.csv", "COHORT.csv", "hard.csv"])
def test_an_input_is_not_replaced(tmp_path, monkeypatch, cohort, spelling):
    """By its own name, another spelling or a hard link."""
    monkeypatch.chdir(tmp_path)
    os.link(cohort, tmp_path / "hard.csv")
    out = type(tmp_path)(spelling)
    assert list_rules([("--out", out)], [("the cohort", cohort)]) == [("--out", "same_file")]
    assert cohort.read_text() == "mine"


def test_an_input_read_through_a_link_is_not_replaced(tmp_path, cohort):
    link = tmp_path / "today.csv"
    link.symlink_to(cohort)
    assert list_rules([("--out", cohort)], [("the cohort", link)]) == [("--out", "same_file")]
    both = [("--out", "same_file"), ("--out", "symlink")]
    assert list_rules([("--out", link)], [("the cohort", link)]) == both


def test_nothing_is_written_into_a_folder_that_is_read(tmp_path, cohort):
    out = tmp_path / "parts" / "deep" / "scores.parquet"
    inputs = [("the cohort", tmp_path)]
    assert list_rules([("--out", out)], inputs) == [("--out", "same_file")]
    assert list_rules([("--out", out)], [("the cohort", cohort)]) == []


@pytest.mark.parametrize("target", ["cohort.csv", "nowhere.csv", "link.csv"])
def test_a_symbolic_link_is_refused(tmp_path, cohort, target):
    """Even if what it leads to is another file, is absent or is the link itself."""
    (tmp_path / "link.csv").symlink_to(tmp_path / target)
    assert list_rules([("--out", tmp_path / "link.csv")]) == [("--out", "symlink")]
    assert (tmp_path / "link.csv").is_symlink()


def test_places_that_cannot_hold_a_file_are_refused(tmp_path, cohort):
    outputs = [("--out", tmp_path), ("--truth", cohort / "scores.csv")]
    assert list_rules(outputs) == [("--out", "file"), ("--truth", "folder")]
    os.mkfifo(tmp_path / "pipe.csv")
    assert list_rules([("--out", tmp_path / "pipe.csv")]) == [("--out", "file")]


def test_every_problem_is_listed_once(tmp_path):
    """Both files of a folder that cannot be made have the same problem."""
    (tmp_path / "file").write_text("mine")
    outputs = [("--out", tmp_path / "file" / name) for name in ("report.html", "findings.json")]
    truth = ("--truth", tmp_path)
    assert list_rules([*outputs, truth]) == [("--out", "folder"), ("--truth", "file")]
