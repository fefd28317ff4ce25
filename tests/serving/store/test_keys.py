import hmac
import re
from datetime import UTC, datetime, timedelta

import pytest

from features.base.errors import InputError, UnavailableError
from serving.store.database import open_store
from serving.store.keys import KeyRing, KeyStore

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(engine):
    return KeyStore(engine)


@pytest.fixture
def ring(engine):
    return KeyRing(engine)


def open_ring(ring):
    ring.refresh()
    return ring


def test_token_has_the_scopes_of_its_key(store, ring):
    issued = store.create("clinic", ["batch", "predict"], NOW, per_minute=60)
    key = open_ring(ring).find(issued.token, NOW)
    assert key == issued.key
    assert key.scopes == {"predict", "batch"}
    assert (key.name, key.per_minute, key.expires) == ("clinic", 60, None)


def test_token_has_an_id_and_32_random_bytes(store):
    issued = store.create("clinic", ["predict"], NOW)
    assert re.fullmatch(rf"kr_{issued.key.id}_[\w-]{{43}}", issued.token)
    assert re.fullmatch(r"[0-9a-f]{8}", issued.key.id)
    assert issued.token not in repr(issued)


def test_tokens_that_were_never_issued_open_nothing(store, ring):
    issued = store.create("clinic", ["predict"], NOW)
    other = store.create("other", ["predict"], NOW)
    open_ring(ring)
    secret = issued.token[12:]
    for token in (
        "", "kr", "kr_", "kr__", f"kr_{issued.key.id}", f"kr_{issued.key.id}_", secret,
        issued.token[:-1], issued.token + "x", issued.token.upper(), f" {issued.token}",
        f"xx_{issued.key.id}_{secret}", f"kr_{other.key.id}_{secret}", f"kr_00000000_{secret}",
        f"kr_{issued.key.id}_{issued.key.digest}", "kr_\udcff_\udcff", "\N{SNOWMAN}" * 40,
    ):  # fmt: skip
        assert ring.find(token, NOW) is None, token


def test_unknown_id_is_compared_like_wrong_secret(store, ring, monkeypatch):
    issued = store.create("clinic", ["predict"], NOW)
    open_ring(ring)
    compared = []

    def compare(left, right):
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for token in (issued.token, issued.token[:-1], "kr_00000000_secret", "nonsense"):
        ring.find(token, NOW)
    assert compared == [(64, 64)] * 4


def test_a_key_expires(store, ring):
    issued = store.create("clinic", ["predict"], NOW, lifetime=DAY)
    open_ring(ring)
    assert ring.find(issued.token, NOW + DAY - timedelta(seconds=1)) is not None
    assert ring.find(issued.token, NOW + DAY) is None


def test_revoked_key_is_invalid_after_next_refresh(store, ring):
    issued = store.create("clinic", ["predict"], NOW)
    open_ring(ring)
    assert store.revoke(issued.key.id, NOW).revoked == NOW
    assert ring.find(issued.token, NOW) is not None
    open_ring(ring)
    assert ring.find(issued.token, NOW) is None
    assert store.revoke(issued.key.id, NOW + DAY).revoked == NOW


def test_rotated_key_is_valid_until_overlap_ends(store, ring):
    old = store.create("clinic", ["predict", "admin"], NOW, lifetime=10 * DAY, per_minute=5)
    new = store.rotate(old.key.id, NOW + 2 * DAY, overlap=DAY)
    open_ring(ring)
    assert ring.find(old.token, NOW + 2.9 * DAY).replaced_by == new.key.id
    assert ring.find(old.token, NOW + 3 * DAY) is None
    match = ring.find(new.token, NOW + 11 * DAY)
    assert (match.name, match.scopes, match.per_minute) == ("clinic", old.key.scopes, 5)
    assert match.expires == NOW + 12 * DAY
    assert match.replaced_by is None


def test_rotation_never_extends_the_old_key(store):
    old = store.create("clinic", ["predict"], NOW, lifetime=DAY)
    store.rotate(old.key.id, NOW, overlap=30 * DAY)
    assert store.list()[0].expires == NOW + DAY


def test_invalid_or_replaced_key_is_not_rotated(store):
    revoked = store.create("one", ["predict"], NOW).key.id
    store.revoke(revoked, NOW)
    expired = store.create("two", ["predict"], NOW, lifetime=DAY).key.id
    replaced = store.create("three", ["predict"], NOW).key.id
    store.rotate(replaced, NOW, overlap=30 * DAY)
    for key_id in (revoked, expired, replaced):
        with pytest.raises(InputError, match="revoked, expired or replaced"):
            store.rotate(key_id, NOW + 2 * DAY, overlap=DAY)
    assert len(store.list()) == 4


def test_unknown_key_is_neither_rotated_nor_revoked(store):
    with pytest.raises(InputError, match="must be the id of a key"):
        store.rotate("00000000", NOW, overlap=DAY)
    with pytest.raises(InputError, match="must be the id of a key"):
        store.revoke("00000000", NOW)


@pytest.mark.parametrize(("name", "scopes"), [(" ", ["predict"]), ("x", []), ("x", ["root"])])
def test_key_needs_name_and_known_scopes(store, name, scopes):
    with pytest.raises(InputError):
        store.create(name, scopes, NOW)
    assert store.list() == []


def test_keys_are_listed_oldest_first_without_anything_secret(store):
    store.create("second", ["predict"], NOW + DAY)
    first = store.create("first", ["outcomes", "predict"], NOW)
    listed = store.list()
    assert [key.name for key in listed] == ["first", "second"]
    plain = listed[0].as_dict()
    assert plain["scopes"] == ["predict", "outcomes"]
    assert first.key.digest not in str(plain) + repr(listed[0])


def test_no_secret_is_stored(store, engine, tmp_path):
    issued = store.create("clinic", ["predict"], NOW)
    new = store.rotate(issued.key.id, NOW, overlap=DAY)
    with engine.connect() as connection:
        stored = repr(connection.exec_driver_sql("SELECT * FROM keys").all())
        for path in tmp_path.glob("service.db*"):
            stored += path.read_bytes().decode("latin-1")
    for token in (issued.token, new.token):
        assert token[12:] not in stored
    assert issued.key.digest in stored


def test_refresh_writes_the_latest_use(store, ring, engine):
    issued = store.create("clinic", ["predict"], NOW)
    unused = store.create("other", ["predict"], NOW)
    open_ring(ring).note_use(issued.key.id, NOW)
    ring.note_use(issued.key.id, NOW + DAY)
    assert store.list()[0].last_used is None
    ring.refresh()
    late = KeyRing(engine)
    late.note_use(issued.key.id, NOW)
    late.refresh()
    used = {key.id: key.last_used for key in store.list()}
    assert used == {issued.key.id: NOW + DAY, unused.key.id: None}


def test_keys_stay_valid_while_the_store_is_down(store, ring, engine):
    issued = store.create("clinic", ["predict"], NOW)
    open_ring(ring).note_use(issued.key.id, NOW)
    rename(engine, "keys", "gone")
    with pytest.raises(UnavailableError) as caught:
        ring.refresh()
    assert issued.key.id not in str(caught.value)
    assert ring.find(issued.token, NOW) is not None
    rename(engine, "gone", "keys")
    ring.refresh()
    assert store.list()[0].last_used == NOW  # what could not be written is retried


def rename(engine, old, new):
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


def test_another_process_sees_a_new_key(url, store):
    elsewhere = open_store(url)
    issued = store.create("clinic", ["predict"], NOW)
    assert open_ring(KeyRing(elsewhere)).find(issued.token, NOW) is not None
    elsewhere.dispose()
