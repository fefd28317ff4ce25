"""Thousands of damaged bodies: every answer has the same form and none of the values."""

import asyncio
import json
import random
import re
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from features.dictionary.dictionary import load_dictionary
from features.intake.names import SHOWN_LETTERS
from features.records.assessment import MAX_NAMED

BODIES = (2_000, 100_000)  # in `make test`, in `make endurance`
SEED = 20261123
TYPE = "application/json"
# Planted values: after any mutation, no part of this word may be in an answer.
CANARY = "ZQXJ"
PERSON = {
    "patient_id": f"{CANARY}-17",
    "site": f"{CANARY}-site",
    "assessed_on": "2024-05-17",
    "condition": "depression",
    "age": 44.625,
    "sex": "female",
    "phq9": 17,
    "phq9_1": 2,
    "bmi": 27.375,
    "route": "iv",
    "psychosis": False,
    "bipolar": None,
}
VALUES = (
    *(None, True, False, 0, -0.0, -1, 17, 1e308, -1e308, 5e-324, 10**18, 10**300, 2**63, 2**64),
    *(
        "",
        CANARY,
        f"{CANARY}\u202e\x00\ud7ff",
        CANARY * 3000,
        "17",
        "NaN",
        "2024-02-30",
        "\U0001f9e0",
    ),
    *([], {}, [CANARY], {CANARY: CANARY}, [[[[[[[[[[CANARY]]]]]]]]]], [1] * 5000, {"a": {"b": {}}}),
)
NAMES = (
    *(
        CANARY.lower(),
        "shoe_size",
        "patient_name",
        "E-Mail",
        "phq9_acute",
        "phq_9",
        "PHQ9",
        "__proto__",
    ),
    *("", " ", "\x00\x1b[31m", "a" * 5000, "\u202egnp.exe", "'; DROP TABLE audit; --", "{{7*7}}"),
)
LITERALS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-", b"01", b"+1", b"0x1", b"1_0", b"'a'")
LITERALS += (
    b"\xff",
    b"\xed\xa0\x80",
    b'"\\ud800"',
    b'"\\u0000"',
    b"/* */1",
    b"9" * 5000,
    b"[" * 3000,
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp037", "latin-1")
TYPES = (TYPE, f"{TYPE}; charset=utf-16", "APPLICATION/JSON", f" {TYPE} ;", f"{TYPE};boundary=x")
WRONG_TYPES = (
    "",
    "text/plain",
    "text/json",
    f"{TYPE}x",
    "multipart/form-data; boundary=a",
    ";",
    "*/*",
)


def change_values(chance, person):
    for _ in range(chance.randint(1, 3)):
        person[chance.choice([*person, *load_dictionary().fields])] = chance.choice(VALUES)
    return json.dumps(person).encode("utf-8", "surrogatepass")


def change_names(chance, person):
    for _ in range(chance.randint(1, 3)):
        person[chance.choice(NAMES)] = chance.choice(VALUES)
    person.pop(chance.choice(list(person)))
    return json.dumps(person, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def flip_bytes(chance, person):
    content = bytearray(json.dumps(person).encode())
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def cut(chance, person):
    content = json.dumps(person).encode()
    start, end = sorted(chance.choices(range(len(content) + 1), k=2))
    return chance.choice([content[start:], content[:end], content[start:end], content * 2])


def give_twice(chance, person):
    name = chance.choice(list(person))
    again = json.dumps({name: chance.choice(VALUES)})[1:-1]
    escaped = again.replace(name[0], f"\\u{ord(name[0]):04x}", 1)
    content = json.dumps(person)[:-1] + ", " + chance.choice([again, escaped]) + "}"
    return content.encode("utf-8", "surrogatepass")


def insert_literal(chance, person):
    content = json.dumps(person).encode()
    places = [match.end() for match in re.finditer(rb"[:,{\[] ?", content)]
    index = chance.choice(places)
    return content[:index] + chance.choice(LITERALS) + content[index:]


def encode_otherwise(chance, person):
    return json.dumps(person).encode(chance.choice(ENCODINGS))


def nest(chance, person):
    depth = chance.choice([1, 5, 7, 8, 9, 500, 1500, 20_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"age":', b"}"), (b'[{"a":', b"}]")])
    return opening * depth + json.dumps(person).encode() + closing * depth


def replace_whole(chance, person):
    return json.dumps(chance.choice(VALUES)).encode("utf-8", "surrogatepass")


MUTATIONS = (
    *(change_values, change_values, change_names, change_names, flip_bytes, flip_bytes),
    *(cut, give_twice, insert_literal, encode_otherwise, nest, replace_whole),
)


@dataclass
class Response:
    """An answer as sent by the application."""

    status_code: int = 0
    headers: dict = field(default_factory=dict)
    text: str = ""

    def json(self):
        return json.loads(self.text)


class Client:
    """Calls the application on one event loop: HTTP would take ten times as long."""

    def __init__(self, app, state):
        self.app, self.state = app, state
        self.loop = asyncio.new_event_loop()

    def post(self, path, body, content_type):
        response = Response()

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            if message["type"] == "http.response.start":
                response.status_code = message["status"]
                headers = message["headers"]
                response.headers = {name.decode(): value.decode() for name, value in headers}
            else:
                response.text += message["body"].decode()

        headers = [(b"host", b"127.0.0.1"), (b"content-type", content_type.encode())]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        scope |= {"client": ("127.0.0.1", 5), "scheme": "http"}
        self.loop.run_until_complete(self.app(scope, receive, send))
        return response


@pytest.fixture
def client(open_client):
    opened = open_client(most_body_bytes=200_000, most_assessments=50, most_per_minute=0)
    caller = Client(opened.app, opened.service)
    yield caller
    caller.loop.close()


def post(client, path, body, content_type=TYPE):
    return client.post(path, body, content_type)


def list_names(body):
    """List all names in a body, if it can be parsed."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return set()
    names = set()

    def note(pairs):
        names.update(name for name, _ in pairs)

    with suppress(ValueError, RecursionError):
        json.loads(text, object_pairs_hook=note)
    return names


def show(name):
    return "".join(letter for letter in name[:SHOWN_LETTERS] if letter.isprintable())


def check_errors(errors, body):
    """Check that errors have one form and contain only names that were sent as names."""
    assert errors
    known = {
        *load_dictionary().fields,
        "body",
        "assessment",
        "assessments",
        "detail",
        "baseline_score",
        "content-type",
    }
    shown = known | {show(name) for name in list_names(body)}
    for error in errors:
        assert set(error) == {"field", "rule", "message"}
        assert error["field"] in shown
        assert len(error["field"]) <= SHOWN_LETTERS
        assert re.fullmatch("[a-z_]+", error["rule"])
        assert CANARY not in error["message"]
        assert "44.625" not in error["message"]
        assert error["field"].isprintable()
    assert len({error["field"] for error in errors}) <= len(load_dictionary().fields) + MAX_NAMED


def check_answer(response, body):
    """Check an answer of any status."""
    assert response.status_code in (200, 400, 413, 415), body[:200]
    assert response.headers["content-type"] == TYPE
    assert "Traceback" not in response.text
    assert 'File "' not in response.text
    answer = response.json()
    if response.status_code != 200:
        check_errors(answer["errors"], body)
    for result in answer.get("results", ()):
        if "errors" in result:
            check_errors(result["errors"], body)
    return response.status_code


def test_damaged_bodies_are_answered_in_one_form(client, choose_count, chance):
    by_mutation = {}
    for _ in range(choose_count(*BODIES)):
        mutate = chance.choice(MUTATIONS)
        body = mutate(chance, dict(PERSON))
        path = "/predict"
        if chance.random() < 0.4:
            path = "/predict_batch"
            if chance.random() < 0.7:
                body = b'{"assessments": [' + body + b"]}"
        # Sometimes with another content type.
        content_type = chance.choice(TYPES if chance.random() < 0.95 else WRONG_TYPES)
        status = check_answer(post(client, path, body, content_type), body)
        if content_type in WRONG_TYPES:
            assert status == 415
        by_mutation.setdefault(mutate.__name__, set()).add(status)
    # Every mutation reached the parser, and harmless ones were answered.
    assert all(400 in statuses for statuses in by_mutation.values())
    assert sum(200 in statuses for statuses in by_mutation.values()) >= 4
    assert client.state.in_flight == 0


def settle(answer):
    """Allow for rounding: the order of sums depends on the size of the batch."""
    if isinstance(answer, dict):
        return {name: settle(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [settle(value) for value in answer]
    return pytest.approx(answer, rel=1e-11, abs=1e-13) if isinstance(answer, float) else answer


@pytest.mark.parametrize("damaged", [0, 2, 4])
def test_a_damaged_row_changes_nothing_for_its_neighbours(client, make_assessment, damaged):
    neighbours = [
        make_assessment(patient_id="n0", phq9=11),
        make_assessment(patient_id="n1", phq9=12, age=300),
        make_assessment(patient_id="n2", phq9=13, bmi=None),
        make_assessment(patient_id="n3", sex="f", condition="anxiety", gad7=11),
        make_assessment(patient_id="n4", condition="anxiety", gad7=14),
    ]
    whole = {"assessments": neighbours}
    expected = post(client, "/predict_batch", json.dumps(whole).encode()).json()["results"]
    chance = random.Random(SEED + damaged)
    answered = 0
    for _ in range(300):
        body = chance.choice((change_values, change_names, replace_whole))(chance, dict(PERSON))
        rows = [json.dumps(neighbour).encode() for neighbour in neighbours]
        rows[damaged] = body
        sent = b'{"assessments": [' + b", ".join(rows) + b"]}"
        response = post(client, "/predict_batch", sent)
        status = check_answer(response, sent)
        if status == 200:
            results = response.json()["results"]
            assert len(results) == len(neighbours)
            for number, result in enumerate(results):
                assert number == damaged or result == settle(expected[number])
            answered += 1
    assert answered > 200


def test_page_answers_any_form(client):
    chance = random.Random(SEED)
    form = "application/x-www-form-urlencoded"
    pieces = [b"=", b"&", b"%", b"%ff", b"+", b"\xff", b"phq9", b"17", b"condition", b"depression"]
    pieces += [b"%00", b"access_key", b"site", b"<script>alert(1)</script>", b"&&", b";"]
    statuses = set()
    for _ in range(150):
        body = b"".join(chance.choices(pieces, k=chance.randint(0, 12)))
        response = post(client, "/", body, form)
        assert response.status_code in (200, 400)
        assert "<script" not in response.text
        statuses.add(response.status_code)
    assert statuses == {200, 400}
