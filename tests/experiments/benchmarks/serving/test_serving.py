"""The serving benchmark and the soak: verdicts, detection of wrong answers, a small run."""

import json
import shutil
from dataclasses import replace

import httpx
import pytest

from experiments.benchmarks.serving.answers import check_batch, check_estimates, is_shortened
from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.batch_profile import profile_batches
from experiments.benchmarks.serving.contestants.roster import CONTESTANTS
from experiments.benchmarks.serving.load import HttpRequest, Measurement
from experiments.benchmarks.serving.report import report_serving
from experiments.benchmarks.serving.serving import (
    QUICK,
    Round,
    ServingResults,
    choose_contestants,
)
from experiments.benchmarks.serving.soak import SoakAudit, SoakPlan, SoakResult
from experiments.benchmarks.serving.soak_questions import INVALID, SoakQuestion, draw_questions
from experiments.benchmarks.serving.soak_report import compute_memory_slope, judge_soak
from experiments.benchmarks.serving.soak_watch import Watch
from experiments.benchmarks.serving.verdicts import (
    has_answered_all,
    judge_serving,
    list_speed_rows,
)
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
    "key": False,
}


def make_measurement(rate, p50=1.0, **changes):
    made = Measurement(
        connections=1, answers=100, p50=p50, p99=3 * p50, slowest=9.0, rate=rate,
        patients_rate=rate, cpu=1.0, patients_cpu=1000.0, failed=0, checked=5, wrong=0,
    )  # fmt: skip
    return replace(made, **changes)


def make_round(task, rate, p50=1.0, **changes):
    measured = {(task, n): make_measurement(rate, p50, connections=n, **changes) for n in (1, 16)}
    return Round(4.0, Memory(200.0, 150.0, 220.0), measured)


def make_results(**rates):
    """Results of three rounds for each contestant."""
    rounds = {name: [make_round(name, rate) for rate in part] for name, part in rates.items()}
    return ServingResults(replace(QUICK, rounds=3), Cores(0, 1), rounds, {}, MODEL)


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


def test_rows_are_medians_and_counts_are_sums():
    (row, _) = list_speed_rows(make_results(ours=[900, 500, 400]))
    assert (row.rate, row.answers, row.checked, row.rounds) == (500, 300, 15, 3)


def test_one_wrong_answer_is_enough_to_fail():
    results = make_results(ours=[900, 500], echo=[1000, 900])
    assert has_answered_all(results)
    results.rounds["ours"].append(make_round("ours", 800, wrong=1, complaint="wrong: estimates"))
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


# The soak.


@pytest.fixture
def watch(questions):
    numbers = range(len(questions.assessments))
    digest = questions.predictor.champions[0].model.digest
    return Watch({digest: questions.answer(numbers)})


REQUEST = HttpRequest("/predict", b"{}")


def answer_with(plain, status=200, **headers):
    return httpx.Response(status, headers=headers, json={"request_id": "r1", **plain})


def test_soak_accepts_only_the_librarys_answer(questions, watch):
    (right,) = questions.answer([2])
    question = SoakQuestion("predict", REQUEST, 200, (2,))
    watch.note_answer(question, answer_with(right))
    assert (watch.compared, watch.wrong, watch.request_ids) == (1, [], {"r1"})
    watch.note_answer(replace(question, numbers=(3,)), answer_with(right))
    assert watch.wrong == ["predict: other estimates after 0 s"]


def test_soak_knows_only_registered_champions(questions, watch):
    (answer,) = questions.answer([2])
    answer["estimates"][0]["model"]["digest"] = "0" * 64
    watch.note_answer(SoakQuestion("predict", REQUEST, 200, (2,)), answer_with(answer))
    assert watch.wrong == ["predict: no estimate of one of the champions after 0 s"]


def test_bad_row_in_a_batch_harms_no_neighbour(questions, watch):
    results = [{"errors": [{}]}, *questions.answer([0, 1])]
    question = SoakQuestion("batch", REQUEST, 200, (None, 0, 1))
    watch.note_answer(question, answer_with({"results": results}))
    assert (watch.compared, watch.wrong) == (3, [])
    watch.note_answer(question, answer_with({"results": [*results[1:], results[0]]}))
    assert len(watch.wrong) == 3


def test_503_needs_retry_after_and_500_is_forbidden(watch):
    question = SoakQuestion("predict", REQUEST, 200, (0,))
    watch.note_answer(question, answer_with({}, 503, **{"retry-after": "1"}))
    assert watch.forbidden == []
    watch.note_answer(question, answer_with({}, 503))
    watch.note_answer(question, answer_with({}, 500))
    assert watch.forbidden == ["predict: 503 after 0 s", "predict: 500 after 0 s"]


def test_questions_are_mostly_valid_with_every_invalid_kind(questions):
    drawn = draw_questions(questions.assessments, None, seed=1)
    kinds = [next(drawn).kind for _ in range(3000)]
    assert 0.88 < kinds.count("predict") / len(kinds) < 0.92
    assert 0.03 < kinds.count("batch") / len(kinds) < 0.07
    assert set(INVALID) <= set(kinds)


INTACT = SoakAudit(True, 5, 0)


def make_soaked(watch, audit=INTACT, left=2):
    return SoakResult(SoakPlan(minutes=4), watch, audit, workers=2, workers_left=left)


def test_reset_after_a_large_body_is_not_lost(watch):
    for status in (413, 200):
        watch.note_lost(SoakQuestion("any", REQUEST, status))
    assert len(watch.lost) == 1


def test_only_a_kill_excuses_lost_connections(watch):
    watch.kills, watch.lost = [100.0], [100.5, 104.0]
    aim = "connections are lost"
    assert find_verdict(judge_soak(make_soaked(watch)), aim).met
    watch.lost.append(150.0)
    assert not find_verdict(judge_soak(make_soaked(watch)), aim).met


def test_new_champion_must_replace_the_old_one(watch):
    aim = "a new champion answers"
    watch.changes = [(60.0, 70.0, "b"), (120.0, 130.0, "a")]
    watch.champions.update({(second, "b"): 1 for second in range(72, 120)})
    watch.champions.update({(second, "a"): 1 for second in range(135, 240)})
    watch.champions[90, "a"] = 1  # within thirty seconds
    assert find_verdict(judge_soak(make_soaked(watch)), aim).met
    watch.champions[105, "a"] = 1
    assert not find_verdict(judge_soak(make_soaked(watch)), aim).met


def test_missing_worker_or_audit_row_fails(watch):
    assert not find_verdict(judge_soak(make_soaked(watch, left=1)), "every killed worker").met
    for audit, met in (
        (INTACT, True),
        (SoakAudit(True, 5, 1), False),
        (SoakAudit(False, 5, 0), False),
        (SoakAudit(None), None),
    ):
        assert find_verdict(judge_soak(make_soaked(watch, audit)), "the audit log").met is met


def test_memory_slope_is_that_after_the_first_third(watch):
    # 36 MiB per hour, after a start that counts nothing; one look fell into a restart.
    watch.memory = [(float(t), 500.0 - t) for t in range(0, 80, 10)]
    watch.memory += [(float(t), 200 + t / 100) for t in range(80, 240, 10)]
    watch.memory[12] = (120.0, 60.0)
    assert compute_memory_slope(watch, 240) == pytest.approx(36, rel=0.01)


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


def test_batch_is_timed_step_by_step(questions):
    steps = profile_batches(questions, None)
    assert [step.name for step in steps][-1] == "for comparison: orjson alone, in and out"
    assert all(step.full > 0 and step.brief > 0 for step in steps)
    assert steps[-1].full < sum(step.full for step in steps[:-1])
