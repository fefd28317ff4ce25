"""Concurrent assessments are answered in one batch, each as if it were alone."""

import asyncio

import pytest

from features.base.errors import UnavailableError
from serving.estimates.grouping import MAX_TOGETHER, Grouping, answer_rows
from serving.estimates.roster import Roster


@pytest.fixture
def grouping(predictor, tmp_path):
    """A grouping that records the size of each batch."""
    made = Grouping(Roster(tmp_path, 10, predictor=predictor))
    reply, made.sizes = made._reply, []

    def note(rows):
        made.sizes.append(len(rows))
        return reply(rows)

    made._reply = note
    return made


def ask_together(grouping, assessments):
    async def ask():
        tasks = [grouping.ask(assessment) for assessment in assessments]
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask())


def get_probability(reply):
    return reply.result["estimates"][0]["probability"]


def test_concurrent_assessments_form_one_batch(grouping, make_assessment):
    rows = [make_assessment(patient_id=f"p{n}", phq9=5 + n) for n in range(12)]
    together = [get_probability(reply) for reply in ask_together(grouping, rows)]
    assert grouping.sizes == [12]
    alone = [get_probability(ask_together(grouping, [row])[0]) for row in rows]
    assert together == pytest.approx(alone, abs=1e-12)


def test_a_crowd_is_answered_in_several_goes(grouping, make_assessment):
    rows = [make_assessment(patient_id=f"p{n}", phq9=5 + n % 20) for n in range(80)]
    replies = ask_together(grouping, rows)
    assert grouping.sizes == [MAX_TOGETHER, MAX_TOGETHER, 80 - 2 * MAX_TOGETHER]
    first, last = get_probability(replies[0]), get_probability(replies[60])
    assert first == pytest.approx(last, abs=1e-12)


def test_each_gets_its_own_errors(grouping, make_assessment):
    rows = [make_assessment(), make_assessment(age=300), make_assessment(sex="f", phq9=99)]
    good, first, second = ask_together(grouping, rows)
    assert get_probability(good) > 0
    assert [problem.field for problem in first.result] == ["age"]
    assert sorted(problem.field for problem in second.result) == ["phq9", "sex"]


def test_rows_that_are_no_objects_are_named(predictor, make_assessment):
    answered, listed, number = answer_rows(predictor, [make_assessment(), ["age", 40], 40])
    assert answered["estimates"][0]["probability"] > 0
    for problems in (listed, number):
        assert [(p.field, p.rule) for p in problems] == [("assessment", "type")]


def test_failing_assessment_does_not_fail_the_others(grouping, make_assessment):
    poison = make_assessment(patient_id="poison")
    reply = grouping._reply

    def fail_on_poison(rows):
        if poison in rows:
            raise RuntimeError
        return reply(rows)

    grouping._reply = fail_on_poison
    first, failed, last = ask_together(grouping, [make_assessment(), poison, make_assessment()])
    assert isinstance(failed, RuntimeError)
    assert get_probability(first) == get_probability(last)


def test_disconnected_clients_are_left_out(grouping, make_assessment):
    async def ask():
        gone = asyncio.create_task(grouping.ask(make_assessment()))
        stays = asyncio.create_task(grouping.ask(make_assessment()))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert get_probability(asyncio.run(ask())) > 0
    assert grouping.sizes == [1]


def test_without_champion_clients_may_retry(tmp_path, make_assessment):
    grouping = Grouping(Roster(tmp_path, 10))
    replies = ask_together(grouping, [make_assessment(), make_assessment()])
    assert all(isinstance(reply, UnavailableError) for reply in replies)
