"""Access: every route with every kind of key, and without keys from this machine only."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from serving.http.access import ANY_SCOPE, OPEN
from serving.http.routes import ROUTES
from serving.store.keys import SCOPES, KeyStore

ASSESSMENT = {"patient_id": "a17", "condition": "depression", "phq9": 17}
BODIES = {
    "/predict": json.dumps(ASSESSMENT),
    "/predict_batch": json.dumps({"assessments": [ASSESSMENT]}),
    "/": "condition=depression&phq9=17",
}
ROLES = (None, *SCOPES)


def ask(client, route, token=None):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if route.takes:
        form = "application/x-www-form-urlencoded"
        headers["content-type"] = form if route.path == "/" else "application/json"
    body = BODIES.get(route.path) if route.method == "POST" else None
    return client.request(route.method, route.path, content=body, headers=headers)


def list_documented(client):
    """List every operation of the OpenAPI document with the scope that it states."""
    document = client.get("/docs.json").json()
    return {
        (method.upper(), path): described.get("x-scope")
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }


def test_the_document_states_the_scope_of_every_route(open_client):
    stated = {(route.method, route.path): route.scope for route in ROUTES}
    expected = {key: None if scope == OPEN else scope for key, scope in stated.items()}
    assert list_documented(open_client()) == expected


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("role", ROLES)
def test_no_route_answers_without_its_scope(open_client, make_key, route, role):
    token = make_key(role) if role else make_key("predict") and None
    client = open_client()
    scope = list_documented(client)[route.method, route.path]
    status = ask(client, route, token).status_code
    if (route.method, route.path) == ("POST", "/"):
        # The page needs a key that may predict, from the form or the cookie.
        assert status == 401
    elif scope is None or role == scope or (role and scope == ANY_SCOPE):
        assert status == 200
    else:
        assert status == (403 if role else 401)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer kr_00000000_nothing",
        "Basic dXNlcjpwYXNz",
        "Bearer {token}x",
        "bearer  {token}x",
        "{token}",
        "Bearer kr__",
        "Bearer \u00e9",
    ],
)
def test_whatever_is_no_key_in_force_is_refused(open_client, make_key, header):
    token = make_key("predict")
    client = open_client()
    headers = {"authorization": header.format(token=token).encode("latin-1")}
    response = client.post("/predict", json=ASSESSMENT, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert token not in response.text


def test_an_expired_key_opens_nothing(open_client, make_key):
    token = make_key("predict", lifetime=timedelta(seconds=-1))
    client = open_client()
    headers = {"authorization": f"Bearer {token}"}
    assert client.post("/predict", json=ASSESSMENT, headers=headers).status_code == 401


def test_revoking_the_last_key_opens_nothing(open_client, make_key, store):
    token = make_key("predict")
    keys = KeyStore(store)
    keys.revoke(keys.list()[0].id, datetime.now(UTC))
    client = open_client()
    headers = {"authorization": f"Bearer {token}"}
    assert client.post("/predict", json=ASSESSMENT, headers=headers).status_code == 401
    assert client.post("/predict", json=ASSESSMENT).status_code == 401


def test_a_key_has_so_many_requests_a_minute(open_client, make_key):
    token, other = make_key("predict", per_minute=3), make_key("predict")
    client = open_client()

    def post(key):
        return client.post("/predict", json=ASSESSMENT, headers={"authorization": f"Bearer {key}"})

    assert [post(token).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert 1 <= int(post(token).headers["retry-after"]) <= 20
    assert post(other).status_code == 200


def test_keys_without_a_limit_have_the_services(open_client, make_key):
    headers = {"authorization": f"Bearer {make_key('predict')}"}
    client = open_client(most_per_minute=2)
    statuses = [
        client.post("/predict", json=ASSESSMENT, headers=headers).status_code for _ in range(3)
    ]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize(
    ("client", "host", "headers"),
    [
        (("203.0.113.9", 5), "127.0.0.1", {}),
        (("127.0.0.1", 5), "clinic.example", {}),
        (("127.0.0.1", 5), "127.0.0.1.clinic.example", {}),
        (("127.0.0.1", 5), "127.0.0.1", {"x-forwarded-for": "203.0.113.9"}),
        (("127.0.0.1", 5), "127.0.0.1", {"forwarded": "for=203.0.113.9"}),
    ],
    ids=["another machine", "another name", "a name like it", "a proxy", "a proxy of today"],
)
def test_without_keys_only_this_machine_may_ask(open_client, client, host, headers):
    stranger = open_client(client=client, host=host)
    for route in ROUTES:
        if route.scope is not None:
            body = BODIES.get(route.path) if route.method == "POST" else None
            response = stranger.request(route.method, route.path, content=body, headers=headers)
            assert response.status_code == 403
            assert response.json()["errors"][0]["rule"] == "loopback"
    assert stranger.get("/readyz", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:3000", "[::1]:3000"])
def test_without_keys_this_machine_may_ask(open_client, host):
    assert open_client(host=host).post("/predict", json=ASSESSMENT).status_code == 200


def test_a_clinician_types_the_key_once(open_client, make_key):
    token = make_key("predict")
    client = open_client()
    assert 'type="password"' in client.get("/").text
    form = {"condition": "depression", "phq9": "17"}
    first = client.post("/", data=form | {"access_key": token})
    assert first.status_code == 200
    assert '<section class="answer"' in first.text
    cookie = first.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Max-Age=28800"))
    second = client.post("/", data=form)
    assert second.status_code == 200
    assert 'type="password"' not in second.text
    assert 'type="password"' not in client.get("/").text
    assert client.get("/model").status_code == 200
    # Cookies, which another site can make the browser send, do not open the routes of programs.
    assert client.post("/predict", json=ASSESSMENT).status_code == 401


def test_page_reports_wrong_key_and_keeps_entries(open_client, make_key):
    make_key("predict")
    form = {"condition": "depression", "phq9": "17", "access_key": "kr_00000000_wrong"}
    response = open_client().post("/", data=form)
    assert response.status_code == 401
    assert "must be a valid key" in response.text
    assert 'value="17"' in response.text
    assert "kr_00000000_wrong" not in response.text
    assert "set-cookie" not in response.headers
