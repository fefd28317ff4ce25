import json
import re

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine

from features.base.home import find_home
from serving.store.audit import AuditLog
from serving.store.database import prepare_store
from serving.store.secrets import InputsSeal, read_secrets

# Long enough not to occur in a digest or ciphertext by chance.
PATIENT = "patient-zoltan"
BODY = json.dumps({"patient_id": PATIENT, "condition": "depression", "phq9": 17}).encode()


@pytest.fixture
def answered(fresh_commands, make_answered):
    """A home whose service answered three requests and kept the last one's body."""
    home = find_home({"KETAMINE_RESPONSE_HOME": str(fresh_commands.home)})
    engine = prepare_store(home.store_url)
    log = AuditLog(engine, read_secrets(home, {}).chain)
    log.append([make_answered(1), make_answered(2, answers=[None, [None], [0.5]], key_id=None)])
    key = Fernet.generate_key().decode()
    log.append([make_answered(3, inputs=InputsSeal([key]).seal(BODY))])
    log.close()
    engine.dispose()
    return key


def change(commands, statement):
    engine = create_engine(f"sqlite:///{commands.home / 'service.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_key_is_made_listed_rotated_and_revoked(fresh_commands):
    made = fresh_commands.run(
        *("serving", "keys", "create", "--name", "clinic", "--scope", "predict"),
        *("--scope", "batch", "--expires-days", "90", "--per-minute", "60"),
    )
    token = made.stdout.strip()
    key_id = re.fullmatch(r"kr_([0-9a-f]{8})_[\w-]{43}", token).group(1)
    assert "not shown again" in made.stderr
    listed = fresh_commands.run("serving", "keys", "list").stdout
    assert listed.startswith(f"{key_id}  active  predict,batch  clinic  expires ")
    assert listed.endswith("  60 a minute  never used\n")
    rotated = json.loads(fresh_commands.run("serving", "keys", "rotate", key_id, "--json").stdout)
    assert rotated["token"].startswith(f"kr_{rotated['id']}_")
    fresh_commands.run("serving", "keys", "revoke", rotated["id"])
    (old, new) = json.loads(fresh_commands.run("serving", "keys", "list", "--json").stdout)["keys"]
    assert (old["id"], old["replaced_by"], old["revoked"]) == (key_id, new["id"], None)
    assert new["revoked"] is not None
    again = fresh_commands.run("serving", "keys", "list", "--json").stdout
    assert token not in again
    assert "digest" not in again


def test_invalid_key_commands_exit_with_input_error(fresh_commands):
    done = fresh_commands.run(
        "serving", "keys", "create", "--name", " ", "--scope", "root", "--json", code=2
    )
    assert [error["field"] for error in json.loads(done.stdout)["errors"]] == ["name", "scope"]
    fresh_commands.run("serving", "keys", "revoke", "00000000", code=2)
    fresh_commands.run("serving", "keys", "rotate", "00000000", code=2)


def test_intact_log_prints_its_head(fresh_commands, answered):
    done = fresh_commands.run("serving", "audit", "verify")
    head = re.fullmatch(r"whole: 3 answers\nhead (3:[0-9a-f]{64})\n", done.stdout).group(1)
    fresh_commands.run("serving", "audit", "verify", "--expect", head)
    plain = json.loads(fresh_commands.run("serving", "audit", "verify", "--json").stdout)
    assert plain == {"whole": True, "answers": 3, "head": head, "problem": None}


def test_tampered_log_exits_with_one(fresh_commands, answered):
    head = json.loads(fresh_commands.run("serving", "audit", "verify", "--json").stdout)["head"]
    wrong = f"2:{head[2:]}"
    done = fresh_commands.run("serving", "audit", "verify", "--expect", wrong, code=1)
    assert done.stdout.startswith("TAMPERED WITH: row 2 changed")
    change(fresh_commands, "UPDATE audit SET answers = '[[0.99]]' WHERE number = 1")
    done = fresh_commands.run("serving", "audit", "verify", code=1)
    assert done.stdout == "TAMPERED WITH: row 1 changed: the row was altered\n"
    plain = json.loads(fresh_commands.run("serving", "audit", "verify", "--json", code=1).stdout)
    assert (plain["whole"], plain["problem"]["kind"], plain["problem"]["number"]) == (
        (False, "changed", 1)
    )


@pytest.mark.parametrize("head", ["3", "x:y", "3:abc", f"-1:{'a' * 64}", f"0:{'a' * 64}"])
def test_a_head_that_is_none_is_bad_input(fresh_commands, head):
    fresh_commands.run("serving", "audit", "verify", "--expect", head, code=2)


def test_answered_requests_are_shown(fresh_commands, answered):
    lines = fresh_commands.run("serving", "audit", "show").stdout.splitlines()
    assert lines[1] == (
        f"2. 2026-11-23T17:36:46.123456+00:00 {2:032x} /predict no key: "
        "phq9.acute.response@3: 1 of 3 answered"
    )
    assert (
        len(fresh_commands.run("serving", "audit", "show", "--last", "1").stdout.splitlines()) == 1
    )
    shown = fresh_commands.run(
        "serving", "audit", "show", "--request", f"{3:032x}", "--json"
    ).stdout
    (row,) = json.loads(shown)["answers"]
    assert (row["number"], row["inputs"], row["answers"]) == (3, True, [[0.625]])


def test_inputs_are_decrypted_with_their_key_alone(fresh_commands, answered):
    variable = "KETAMINE_RESPONSE_INPUTS_KEYS"
    name = f"{3:032x}"
    assert fresh_commands.run(
        "serving", "audit", "inputs", name, **{variable: answered}
    ).stdout == (BODY.decode())
    other = Fernet.generate_key().decode()
    done = fresh_commands.run("serving", "audit", "inputs", name, code=1, **{variable: other})
    assert PATIENT not in done.stdout + done.stderr
    fresh_commands.run("serving", "audit", "inputs", name, code=2)
    fresh_commands.run("serving", "audit", "inputs", f"{1:032x}", code=1, **{variable: answered})


def test_store_shows_nothing_of_a_patient(fresh_commands, answered):
    for path in fresh_commands.home.glob("service.db*"):
        content = path.read_bytes()
        assert PATIENT.encode() not in content
        assert b'phq9":' not in content
        assert b"patient_id" not in content


def test_unopenable_store_exits_with_one(fresh_commands):
    url = "postgresql://kr:hunter2@127.0.0.1:1/kr"
    done = fresh_commands.run("serving", "keys", "list", code=1, KETAMINE_RESPONSE_DATABASE_URL=url)
    assert "does not answer" in done.stderr
    assert "hunter2" not in done.stderr
    fresh_commands.run(
        "serving", "audit", "verify", code=2, KETAMINE_RESPONSE_DATABASE_URL="mysql://x"
    )


def test_the_same_commands_work_on_postgresql(fresh_commands, postgresql):
    url = postgresql.create_database()
    variables = {"KETAMINE_RESPONSE_DATABASE_URL": url}
    fresh_commands.run("serving", "keys", "create", "--name", "x", "--scope", "admin", **variables)
    assert "  active  admin  x" in fresh_commands.run("serving", "keys", "list", **variables).stdout
    assert fresh_commands.run("serving", "audit", "verify", **variables).stdout.startswith(
        "whole: 0"
    )
    assert not (fresh_commands.home / "service.db").exists()
