"""The serving benchmark: verdicts, detection of wrong answers, a small run."""

import json
import shutil
from dataclasses import asdict, replace

import pytest

from experiments.benchmarks.serving.answers import (
    check_batch,
    check_estimates,
    check_mlflow,
    is_shortened,
)
from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.contestants.roster import CONTESTANTS
from experiments.benchmarks.serving.load import Measurement
from experiments.benchmarks.serving.report import (
    combine_rounds,
    has_answered_all,
    judge_serving,
    report_serving,
)
from experiments.benchmarks.serving.serving import QUICK, ServingResults, choose_contestants
from experiments.processes import Cores, Memory
from features.base.errors import InputError
from features.records.assessment import read_assessments

needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="NO WRK: no load was generated")

MODEL = {
    "name": "phq9.acute.response",
    "candidate": "evidence_prior",
    "redevelopments": 20,
    "courses": 300,
    "assessments": 450,
}


def make_results(**rates):
    """Results of rounds with these rates, for each contestant."""
    results = ServingResults(replace(QUICK, rounds=3), Cores(0, 1), MODEL)
    for name, part in rates.items():
        for number, rate in enumerate(part):
            add_round(results, name, number, rate)
    return results


def add_round(results, name, number, rate, **changes):
    for connections in (1, 16):
        measured = Measurement(
            connections=connections, answers=100, p50=1.0, p99=3.0, slowest=9.0, rate=rate,
            patients_rate=rate, cpu=1.0, patients_cpu=1000.0, failed=0, checked=5, wrong=0,
        )  # fmt: skip
        task = {"round": number, "task": name, "label": name}
        results.measured.append({**task, **asdict(measured), **changes})
    memory = asdict(Memory(200.0, 150.0, 220.0))
    results.starts.append({"contestant": name, "seconds": 4.0, **memory})


def find_verdict(verdicts, start):
    (match,) = [verdict for verdict in verdicts if verdict.aim.startswith(start)]
    return match


def test_ratio_is_the_median_of_the_rounds_ratios():
    # Ratios 0.9, 0.2 and 0.5; the ratio of medians would be 500 / 1000.
    results = make_results(ours=[900, 500, 400], echo=[1000, 2500, 800])
    verdict = find_verdict(judge_serving(results), "requests per second at 16, of the echo's")
    assert (verdict.result, verdict.met) == ("0.50", True)
    unmeasured = find_verdict(judge_serving(results), "requests per second at 16, times MLflow's")
    assert unmeasured.word == "cannot tell"


def test_missed_target_is_reported():
    results = make_results(ours=[300, 300, 300], echo=[1000, 1000, 1000])
    verdict = find_verdict(judge_serving(results), "requests per second at 16, of the echo's")
    assert verdict.word == "NOT MET"
    assert "| NOT MET | 0.30 |" in report_serving(results).text


def test_what_was_not_measured_is_not_judged():
    verdicts = judge_serving(make_results())
    assert {verdict.word for verdict in verdicts} == {"cannot tell"}
    assert not has_answered_all(make_results())


def test_batches_are_judged_by_patients_per_processor_second():
    results = make_results(batch_1000=[1, 1], ours=[1, 1])
    verdicts = judge_serving(results)
    full = find_verdict(verdicts, "estimates per second of processor time, batches of 1,000, in f")
    assert (full.result, full.met) == ("1,000", False)
    tail = find_verdict(verdicts, "p99 at 16, times p50")
    assert (tail.result, tail.met) == ("3.00", True)


def test_rows_are_medians_and_counts_are_sums():
    row, _ = combine_rounds(make_results(ours=[900, 500, 400])).itertuples()
    assert (row.rate, row.answers, row.checked, row.rounds) == (500, 300, 15, 3)


def test_one_wrong_answer_is_enough_to_fail():
    results = make_results(ours=[900, 500], echo=[1000, 900])
    assert has_answered_all(results)
    add_round(results, "ours", 2, 800, wrong=1, complaint="wrong: estimates")
    assert not has_answered_all(results)
    verdict = find_verdict(judge_serving(results), "every answer below status 400")
    assert verdict.word == "NOT MET"
    assert "wrong: estimates" in verdict.result


def test_absent_contestants_are_named():
    results = make_results(ours=[900])
    results.absent["mlflow"] = "not installed: mlflow"
    text = report_serving(results).text
    assert "ABSENT: `mlflow`: not installed: mlflow." in text
    assert text.startswith("SIMULATED")


def test_unknown_contestant_is_refused():
    assert [contestant.name for contestant in choose_contestants(["ours", "echo"])] == [
        "echo",
        "ours",
    ]
    assert choose_contestants([]) == tuple(CONTESTANTS.values())
    with pytest.raises(InputError, match="echo, ours, batch, fastapi, mlflow"):
        choose_contestants(["flask"])


def test_figure_is_a_png(tmp_path):
    (section,) = report_serving(make_results(ours=[900], echo=[1000])).sections
    section.figure.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_assessments_are_valid_and_some_sparse():
    drawn = draw_assessments(patients=80)
    read_assessments(drawn)
    sizes = [len(assessment) for assessment in drawn]
    assert {assessment["condition"] for assessment in drawn} == {"depression"}
    assert all(assessment["simulated"] for assessment in drawn)
    assert max(sizes[0::4]) < 60 < max(sizes)
    assert len({json.dumps(assessment) for assessment in drawn}) == len(drawn)


@pytest.fixture(scope="module")
def questions(commands):
    from experiments.benchmarks.serving.served_model import ServedHome

    home = ServedHome(commands.home, f"sqlite:///{commands.home / 'mlflow.db'}")
    return Questions(draw_assessments(patients=40), home.pull())


def test_answer_must_be_the_librarys_up_to_rounding(questions):
    (answer,) = questions.answer([3])
    expected = questions.answers[3]
    assert check_estimates(expected, json.dumps(answer)) is None
    answer["estimates"][0]["probability"] += 1e-15
    assert check_estimates(expected, json.dumps(answer)) is None
    answer["estimates"][0]["probability"] += 1e-7
    assert check_estimates(expected, json.dumps(answer)) == "estimates"


def test_batch_must_be_complete_and_in_order(questions):
    expected = questions.answers[4:8]
    results = questions.answer(questions.take(4, 4))
    assert check_batch(expected, json.dumps({"results": results})) is None
    assert check_batch(expected, json.dumps({"results": results[::-1]})) == "estimates"
    assert check_batch(expected, json.dumps({"results": results[:3]})) == "number of results"


def test_brief_answer_is_part_of_the_full_one(questions):
    (full,) = questions.answer([1])
    (estimate,) = full["estimates"]

    def shorten(**changes):
        kept = {**estimate, "interval": None, "factors": []} | changes
        return {"estimates": [kept], "eligibility": full["eligibility"]}

    assert is_shortened(shorten(), full)
    assert not is_shortened(shorten(probability=0.123), full)
    assert not is_shortened(shorten(probability=None), full)
    assert not is_shortened(shorten(guess=1), full)


def test_mlflow_must_abstain_as_the_library():
    for shown, expected, complaint in (
        ("0.25", 0.25, None),
        ("0.25", 0.26, "probability"),
        ("0.25", None, "probability"),
        ("NaN", None, None),
        ("null", None, None),
        ("NaN", 0.25, "probability"),
    ):
        body = f'{{"predictions": [{{"probability": {shown}}}]}}'
        assert check_mlflow(expected, body) == complaint


@needs_wrk
def test_quick_benchmark_measures_echo_and_ours(fresh_commands, commands):
    printed = json.loads(
        fresh_commands.run(
            *("experiments", "benchmark", "serving", "--quick", "--json"),
            *("--only", "echo", "--only", "ours", "--champion", commands.home),
        ).stdout
    )
    assert printed["data"] == "SIMULATED"
    rows = {(row["task"], row["connections"]): row for row in printed["rows"]}
    assert set(rows) == {(task, n) for task in ("echo", "ours") for n in (1, 16)}
    for row in rows.values():
        assert row["answers"] > 0
        assert row["checked"] > 400
        assert (row["failed"], row["wrong"]) == (0, 0), row["complaint"]
        assert 0 < row["p50"] <= row["p99"] <= row["slowest"]
        assert row["cpu"] > 0
    assert printed["starts"]["ours"][0]["resident"] > 50
    assert printed["absent"] == {}


def test_quick_benchmark_writes_no_page(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "serving", "--quick", "--docs", code=2)
    assert "not with --quick" in done.stderr
