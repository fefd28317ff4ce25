import hashlib
import hmac
import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from features.base.errors import UnavailableError
from serving.store.audit import COLUMNS, READ_ROWS, AuditLog, Head

ROOT = Path(__file__).parents[3]
KILLS = 5
APPENDING = """
import sys
from serving.store.audit import Answered, AuditLog
from serving.store.database import open_store

log = AuditLog(open_store(sys.argv[1]), b"k" * 32)
log.append([])
print("ready", flush=True)
sys.stdin.readline()
name, groups, size = map(int, sys.argv[3:])
with open(sys.argv[2], "a") as confirmed:
    for group in range(groups):
        ids = [f"{name:08x}{group:016x}{row:08x}" for row in range(size)]
        log.append([Answered(i, "t", "/predict", None, (), [[0.5]], "b" * 64) for i in ids])
        confirmed.write("\\n".join(ids) + "\\n")
        confirmed.flush()
"""


def start_appending(url, confirmed, names, groups, size):
    """Start processes that append at the same time and write what was confirmed to a file."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = []
    for name in names:
        arguments = map(str, (url, confirmed, name, groups, size))
        command = [sys.executable, "-c", APPENDING, *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, **pipes))
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    return started


@pytest.fixture
def chain(log, make_answered):
    """A log of six rows, in two transactions."""
    log.append([make_answered(number) for number in (1, 2, 3, 4)])
    log.append([make_answered(5, inputs=b"sealed"), make_answered(6, key_id=None)])
    return log


def change(engine, *statements):
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def find_kind(log, expected=None):
    breach = log.verify(expected).breach
    return None if breach is None else (breach.kind, breach.number)


def test_a_new_log_is_whole_and_empty(log):
    assert log.verify().breach is None
    assert log.verify().head == Head(0, "")


def test_rows_are_numbered_and_chained_without_gaps(chain):
    rows = chain.show()
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["previous"] for row in rows] == ["", *(row["digest"] for row in rows[:-1])]
    verdict = chain.verify()
    assert (verdict.count, verdict.breach) == (6, None)
    assert verdict.head == Head(6, rows[-1]["digest"])


def test_what_was_answered_can_be_read_again(log, make_answered):
    log.append([make_answered(7, answers=[[0.1, None], None], models=("one@1 d", "two@2 e"))])
    (row,) = log.show(f"{7:032x}")
    assert row["answers"] == [[0.1, None], None]
    assert row["models"] == ["one@1 d", "two@2 e"]
    assert (row["key_id"], row["inputs"]) == ("0a1b2c3d", False)
    assert log.show("unknown") == []
    assert log.read_inputs(f"{7:032x}") is None


def test_sealed_inputs_can_be_read_again(chain):
    assert chain.read_inputs(f"{5:032x}") == b"sealed"


def test_digest_of_a_row_is_as_documented(chain):
    first = chain.show()[0]
    models = json.dumps(first["models"], separators=(",", ":"))
    facts = [first[name] for name in ("request_id", "time", "route", "key_id")]
    content = [1, *facts, models, "[[0.625]]", first["inputs_digest"], None]
    text = json.dumps(content, separators=(",", ":"))
    assert first["digest"] == hmac.new(b"k" * 32, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("column", COLUMNS)
def test_change_of_any_value_is_detected(chain, engine, column):
    # The same literal is one byte to PostgreSQL and a text of four to SQLite.
    changed = {"number": "60", "inputs": "'\\x00'"}.get(column, "'x'")
    assert find_kind(chain) is None
    change(engine, f"UPDATE audit SET {column} = {changed} WHERE number = 3")
    kind, number = find_kind(chain)
    if column == "number":
        assert (kind, number) == ("missing", 3)
    else:
        assert (kind, number) == ("changed", 3)


def test_unreadable_row_is_named(chain, engine):
    change(engine, "UPDATE audit SET answers = '[[' WHERE number = 3")
    with pytest.raises(UnavailableError, match=r"row 3 .*audit verify"):
        chain.show()


def test_inputs_taken_out_of_a_row_are_found(chain, engine):
    change(engine, "UPDATE audit SET inputs = NULL WHERE number = 5")
    assert find_kind(chain) == ("changed", 5)


def test_a_row_taken_out_is_found(chain, engine):
    change(engine, "DELETE FROM audit WHERE number IN (3, 4)")
    breach = chain.verify().breach
    assert (breach.kind, breach.number) == ("missing", 3)
    assert breach.message == "rows 3 to 4 are missing"


def test_rows_that_changed_places_are_found(chain, engine):
    swap = [(2, -2), (4, 2), (-2, 4)]
    change(engine, *(f"UPDATE audit SET number = {b} WHERE number = {a}" for a, b in swap))
    assert find_kind(chain) == ("reordered", 2)


def test_removed_row_is_detected_despite_renumbering(chain, engine):
    renumber = [f"UPDATE audit SET number = {n - 1} WHERE number = {n}" for n in (4, 5, 6)]
    head = "UPDATE audit_head SET number = 5"
    change(engine, "DELETE FROM audit WHERE number = 3", *renumber, head)
    assert find_kind(chain) == ("reordered", 3)


def test_rows_cut_off_at_the_end_are_found(chain, engine):
    change(engine, "DELETE FROM audit WHERE number > 4")
    assert find_kind(chain) == ("cut off", 5)


def test_all_rows_cut_off_are_found(chain, engine):
    change(engine, "DELETE FROM audit")
    assert find_kind(chain) == ("cut off", 1)


def test_removed_last_rows_are_detected_despite_moved_head(chain, engine):
    digest = chain.show()[3]["digest"]
    head = f"UPDATE audit_head SET number = 4, digest = '{digest}'"
    change(engine, "DELETE FROM audit WHERE number > 4", head)
    assert find_kind(chain) == ("changed", 4)


@pytest.mark.parametrize("number", [0, 7])
def test_a_row_put_in_is_found(chain, engine, number):
    names = ", ".join(COLUMNS[1:])
    change(engine, f"INSERT INTO audit (number, {names}) SELECT {number}, {names} FROM audit "
                   "WHERE number = 2")  # fmt: skip
    assert find_kind(chain) == (("added", 7) if number == 7 else ("reordered", 0))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seal = ''",
        "UPDATE audit_head SET seal = '\N{SNOWMAN}'",
    ],
)
def test_damaged_head_is_detected_and_not_appended_to(chain, engine, make_answered, damage):
    change(engine, damage)
    assert find_kind(chain) == ("changed", 6)
    with pytest.raises(UnavailableError, match="audit verify"):
        AuditLog(engine, b"k" * 32).append([make_answered(8)])


def test_saved_head_detects_a_restored_older_chain(log, engine, make_answered):
    log.append([make_answered(1)])
    with engine.connect() as connection:
        number, digest, seal = connection.exec_driver_sql(
            "SELECT number, digest, seal FROM audit_head"
        ).one()
    log.append([make_answered(2)])
    noted = log.verify().head
    head = f"UPDATE audit_head SET number = {number}, digest = '{digest}', seal = '{seal}'"
    change(engine, "DELETE FROM audit WHERE number = 2", head)
    assert find_kind(log) is None  # the store alone does not show it
    assert find_kind(log, noted) == ("cut off", 2)


def test_saved_head_must_still_be_in_the_chain(chain, make_answered):
    noted = chain.verify().head
    chain.append([make_answered(7)])
    assert find_kind(chain, noted) is None
    assert find_kind(chain, Head(3, "0" * 64)) == ("changed", 3)


def test_another_key_neither_verifies_nor_appends(chain, engine, make_answered):
    stranger = AuditLog(engine, b"x" * 32)
    breach = stranger.verify().breach
    assert (breach.kind, breach.number) == ("changed", 1)
    assert "another key" in breach.message
    with pytest.raises(UnavailableError, match="another key"):
        stranger.append([make_answered(7)])
    assert find_kind(chain) is None


def test_a_log_longer_than_one_read_is_verified(log, make_answered):
    log.append([make_answered(number) for number in range(1, 2 * READ_ROWS + 2)])
    totals = []

    def watch(batches, total):
        totals.append(total)
        yield from batches

    assert log.verify(watch=watch).count == 2 * READ_ROWS + 1
    assert totals == [3]


def test_group_is_written_completely_or_not_at_all(chain, engine, make_answered):
    bad = make_answered(8, request_id=None)
    with pytest.raises(UnavailableError) as caught:
        chain.append([make_answered(7), bad])
    assert "0a1b2c3d" not in str(caught.value)
    assert (chain.verify().count, find_kind(chain)) == (6, None)
    chain.append([make_answered(7)])
    assert (chain.verify().count, find_kind(chain)) == (7, None)


def test_an_attempt_leaves_the_chain_as_it_is(chain):
    before = chain.verify()
    chain.append([])
    assert chain.verify() == before


def test_concurrent_processes_append_one_chain_without_gaps(url, log, tmp_path):
    confirmed = tmp_path / "confirmed"
    groups = 1000 if url.startswith("sqlite") else 200
    started = start_appending(url, confirmed, range(4), groups, size=3)
    while any(process.poll() is None for process in started):
        assert find_kind(log) is None  # verifying a live store
    for process in started:
        process.communicate()
        assert process.returncode == 0
    verdict = log.verify()
    assert (verdict.count, verdict.breach) == (4 * groups * 3, None)
    rows = log.show(last=100_000)
    assert {row["request_id"] for row in rows} == set(confirmed.read_text().split())
    turns = [row["request_id"][:8] for row in rows[::3]]
    assert sum(turn != next_turn for turn, next_turn in pairwise(turns)) > 3


def test_killed_process_leaves_all_confirmed_rows_chained(url, log, tmp_path):
    moments = random.Random(3)
    confirmed = tmp_path / "confirmed"
    for name in range(KILLS):
        (process,) = start_appending(url, confirmed, [name], groups=100_000, size=2)
        time.sleep(moments.uniform(0.02, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with confirmed.open("a") as file:
            file.write("\n")  # its last line may be unfinished
    verdict = log.verify()
    assert verdict.breach is None
    stored = {row["request_id"] for row in log.show(last=10_000_000)}
    reported = {line for line in confirmed.read_text().split() if len(line) == 32}
    assert len(reported) > KILLS
    assert reported <= stored
    assert len(stored) == verdict.count
    assert verdict.count % 2 == 0  # no group was half-written
