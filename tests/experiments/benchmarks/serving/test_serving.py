"""The benchmark of serving and the soak: their verdicts, what counts as wrong, one small run."""

import json
from dataclasses import replace

import pytest

from experiments.benchmarks.serving.answers import expect_batch, expect_estimates, shortens
from experiments.benchmarks.serving.assessments import Questions, draw_assessments
from experiments.benchmarks.serving.batch_profile import profile_batches
from experiments.benchmarks.serving.contestants.roster import CONTESTANTS
from experiments.benchmarks.serving.figure import write_figure
from experiments.benchmarks.serving.load import Answer, Cores, Measurement, Memory
from experiments.benchmarks.serving.page import describe
from experiments.benchmarks.serving.serving import QUICK, Results, Round, choose_contestants
from experiments.benchmarks.serving.soak import Audit, Plan, Soaked
from experiments.benchmarks.serving.soak_page import find_slope
from experiments.benchmarks.serving.soak_page import judge as judge_soak
from experiments.benchmarks.serving.soak_questions import BAD, Question, draw_questions
from experiments.benchmarks.serving.soak_watch import Watch
from experiments.benchmarks.serving.verdicts import answered_all, judge, list_rows
from features.base.errors import InputError
from features.records.assessment import read_assessments

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
    measured = {
        (task, one): make_measurement(rate, p50, connections=one, **changes) for one in (1, 16)
    }
    return Round(4.0, Memory(200.0, 150.0, 220.0), measured)


def make_results(**rates):
    """Results of three rounds for each contestant."""
    rounds = {name: [make_round(name, rate) for rate in found] for name, found in rates.items()}
    return Results(replace(QUICK, rounds=3), Cores(0, 1), rounds, {}, MODEL)


def find_verdict(verdicts, start):
    (found,) = [one for one in verdicts if one.aim.startswith(start)]
    return found


def test_ratios_are_medians_of_the_rounds_not_ratios_of_medians():
    # Ratios .9, .2 and .5; the medians' ratio would be 500 / 1000.
    results = make_results(ours=[900, 500, 400], echo=[1000, 2500, 800])
    found = find_verdict(judge(results), "requests a second at 16, of the echo's")
    assert (found.found, found.met) == ("0.50", True)
    unmeasured = find_verdict(judge(results), "requests a second at 16, times MLflow's")
    assert unmeasured.word == "cannot tell"


def test_a_goal_that_is_missed_is_told():
    results = make_results(ours=[300, 300, 300], echo=[1000, 1000, 1000])
    found = find_verdict(judge(results), "requests a second at 16, of the echo's")
    assert found.word == "NOT MET"
    assert "| 0.30 | NOT MET |" in describe(results)


def test_rows_are_medians_and_counts_are_added_up():
    (row, _) = list_rows(make_results(ours=[900, 500, 400]))
    assert (row.rate, row.answers, row.checked, row.rounds) == (500, 300, 15, 3)


def test_one_wrong_answer_in_one_round_is_enough():
    results = make_results(ours=[900, 500], echo=[1000, 900])
    assert answered_all(results)
    results.rounds["ours"].append(make_round("ours", 800, wrong=1, complaint="wrong: estimates"))
    assert not answered_all(results)
    found = find_verdict(judge(results), "every answer 200")
    assert found.word == "NOT MET"
    assert "wrong: estimates" in found.found


def test_who_is_absent_is_named():
    results = make_results(ours=[900])
    results.absent["mlflow"] = "not installed: mlflow"
    assert "ABSENT: `mlflow`: not installed: mlflow." in describe(results)
    assert describe(results).startswith("SIMULATED")


def test_an_unknown_contestant_is_refused_with_the_known_ones():
    assert [one.name for one in choose_contestants(["ours", "echo"])] == ["echo", "ours"]
    assert choose_contestants([]) == tuple(CONTESTANTS.values())
    with pytest.raises(InputError, match="echo, ours, batch, fastapi, sklearn, mlflow"):
        choose_contestants(["flask"])


def test_the_figure_is_a_picture(tmp_path):
    rows = list_rows(make_results(ours=[900], echo=[1000]))
    write_figure(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_assessments_are_valid_and_some_have_few_fields():
    drawn = draw_assessments(patients=80)
    read_assessments(drawn)
    sizes = [len(one) for one in drawn]
    assert {one["condition"] for one in drawn} == {"depression"}
    assert all(one["simulated"] for one in drawn)
    assert max(sizes[0::4]) < 60 < max(sizes)
    assert len({json.dumps(one) for one in drawn}) == len(drawn)


@pytest.fixture(scope="module")
def questions(commands):
    from experiments.benchmarks.serving.served_model import ServedHome

    home = ServedHome(commands.home, f"sqlite:///{commands.home / 'mlflow.db'}")
    return Questions(draw_assessments(patients=40), home.pull())


def test_an_answer_must_be_the_librarys_but_for_rounding(questions):
    check = expect_estimates(questions)
    (answer,) = questions.answer([3])
    assert check(3, json.dumps(answer)) is None
    answer["estimates"][0]["probability"] += 1e-15
    assert check(3, json.dumps(answer)) is None
    answer["estimates"][0]["probability"] += 1e-7
    assert check(3, json.dumps(answer)) == "estimates"


def test_a_batch_must_be_complete_and_in_order(questions):
    check = expect_batch(questions, 4)
    results = questions.answer(questions.take(4, 4))
    assert check(1, json.dumps({"results": results})) is None
    assert check(1, json.dumps({"results": results[::-1]})) == "estimates"
    assert check(1, json.dumps({"results": results[:3]})) == "number of results"


def test_a_brief_answer_has_the_same_probability_and_nothing_new(questions):
    (whole,) = questions.answer([1])
    (estimate,) = whole["estimates"]

    def shorten(**changes):
        kept = {**estimate, "interval": None, "factors": []} | changes
        return {"estimates": [kept], "eligibility": whole["eligibility"]}

    assert shortens(shorten(), whole)
    assert not shortens(shorten(probability=0.123), whole)
    assert not shortens(shorten(probability=None), whole)
    assert not shortens(shorten(guess=1), whole)


# The soak.


@pytest.fixture
def watch(questions):
    numbers = range(len(questions.assessments))
    digest = questions.predictor.champions[0].model.digest
    return Watch({digest: questions.answer(numbers)})


def answer_with(plain, status=200, head=b"http/1.1 200 ok"):
    return Answer(status, head, json.dumps({"request_id": "r1", **plain}).encode())


def test_the_soak_takes_the_librarys_answer_and_no_other(questions, watch):
    (right,) = questions.answer([2])
    question = Question("predict", b"", 200, (2,))
    watch.note(question, answer_with(right))
    assert (watch.compared, watch.wrong, watch.request_ids) == (1, [], {"r1"})
    watch.note(replace(question, asked=(3,)), answer_with(right))
    assert watch.wrong == ["predict: other estimates after 0 s"]


def test_the_soak_knows_only_registered_champions(questions, watch):
    (answer,) = questions.answer([2])
    answer["estimates"][0]["model"]["digest"] = "0" * 64
    watch.note(Question("predict", b"", 200, (2,)), answer_with(answer))
    assert watch.wrong == ["predict: no estimate of one of the champions after 0 s"]


def test_a_bad_row_in_a_batch_must_have_errors_and_harm_no_neighbour(questions, watch):
    results = [{"errors": [{}]}, *questions.answer([0, 1])]
    question = Question("batch", b"", 200, (None, 0, 1))
    watch.note(question, answer_with({"results": results}))
    assert (watch.compared, watch.wrong) == (3, [])
    watch.note(question, answer_with({"results": [*results[1:], results[0]]}))
    assert len(watch.wrong) == 3


def test_503_needs_its_retry_after_and_500_is_never_allowed(watch):
    question = Question("predict", b"", 200, (0,))
    watch.note(question, answer_with({}, 503, b"http/1.1 503 x\r\nretry-after: 1"))
    assert watch.forbidden == []
    watch.note(question, answer_with({}, 503))
    watch.note(question, answer_with({}, 500))
    assert watch.forbidden == ["predict: 503 after 0 s", "predict: 500 after 0 s"]


def test_what_is_asked_is_mostly_good_and_every_kind_of_bad(questions):
    drawn = draw_questions(questions.assessments, None, seed=1)
    kinds = [next(drawn).kind for _ in range(3000)]
    assert 0.88 < kinds.count("predict") / len(kinds) < 0.92
    assert 0.03 < kinds.count("batch") / len(kinds) < 0.07
    assert set(BAD) <= set(kinds)


WHOLE = Audit(True, 5, 0)


def make_soaked(watch, audit=WHOLE, left=2):
    return Soaked(Plan(minutes=4), watch, audit, workers=2, workers_left=left)


def test_lost_connections_are_excused_only_by_a_kill(watch):
    watch.kills, watch.lost = [100.0], [100.5, 104.0]
    aim = "connections are lost"
    assert find_verdict(judge_soak(make_soaked(watch)), aim).met
    watch.lost.append(150.0)
    assert not find_verdict(judge_soak(make_soaked(watch)), aim).met


def test_a_new_champion_must_answer_and_the_old_one_no_more(watch):
    aim = "a new champion answers"
    watch.changes = [(60.0, 70.0, "b"), (120.0, 130.0, "a")]
    watch.champions.update({(second, "b"): 1 for second in range(72, 120)})
    watch.champions.update({(second, "a"): 1 for second in range(135, 240)})
    watch.champions[90, "a"] = 1  # within thirty seconds
    assert find_verdict(judge_soak(make_soaked(watch)), aim).met
    watch.champions[105, "a"] = 1
    assert not find_verdict(judge_soak(make_soaked(watch)), aim).met


def test_a_worker_or_an_audit_row_that_is_missing_fails(watch):
    assert not find_verdict(judge_soak(make_soaked(watch, left=1)), "every killed worker").met
    for audit, met in (
        (WHOLE, True),
        (Audit(True, 5, 1), False),
        (Audit(False, 5, 0), False),
        (Audit(None), None),
    ):
        assert find_verdict(judge_soak(make_soaked(watch, audit)), "the audit log").met is met


def test_the_slope_of_memory_is_that_after_the_first_third(watch):
    # 36 MiB an hour, after a start that counts nothing; one look fell into a restart.
    watch.memory = [(float(t), 500.0 - t) for t in range(0, 80, 10)]
    watch.memory += [(float(t), 200 + t / 100) for t in range(80, 240, 10)]
    watch.memory[12] = (120.0, 60.0)
    assert find_slope(watch, 240) == pytest.approx(36, rel=0.01)


def test_a_quick_benchmark_measures_echo_and_ours(fresh_commands, commands):
    found = json.loads(
        fresh_commands.run(
            *("experiments", "benchmark", "serving", "--quick", "--json"),
            *("--only", "echo", "--only", "ours", "--champion", commands.home),
        ).stdout
    )
    assert found["data"] == "SIMULATED"
    rows = {(row["task"], row["connections"]): row for row in found["rows"]}
    assert set(rows) == {(task, one) for task in ("echo", "ours") for one in (1, 16)}
    for row in rows.values():
        assert row["answers"] > 0
        assert row["checked"] > 0
        assert (row["failed"], row["wrong"]) == (0, 0), row["complaint"]
        assert 0 < row["p50"] <= row["p99"] <= row["slowest"]
        assert row["cpu"] > 0
    assert found["starts"]["ours"][0]["resident"] > 50
    assert found["absent"] == {}


def test_a_quick_benchmark_writes_no_page(fresh_commands):
    done = fresh_commands.run("experiments", "benchmark", "serving", "--quick", "--docs", code=2)
    assert "not with --quick" in done.stderr


def test_a_batch_is_timed_step_by_step(questions):
    steps = profile_batches(questions, None)
    assert [step.name for step in steps][-1] == "for comparison: orjson alone, in and out"
    assert all(step.full > 0 and step.brief > 0 for step in steps)
    assert steps[-1].full < sum(step.full for step in steps[:-1])
