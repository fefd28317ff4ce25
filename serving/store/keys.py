"""API keys: created, rotated, revoked, and looked up by their token.

A token is ``kr_<id>_<secret>``. The store keeps only the SHA-256 of the secret. A slow hash
protects passwords, which can be guessed; 32 random bytes cannot, however fast the hash is.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, column, insert, select, table, update

from features.base.errors import InputError, Problem
from serving.store.database import begin_writing, explain_store

SCOPES = ("predict", "batch", "outcomes", "admin")
PREFIX = "kr"
# Stored as text in ISO 8601, so that SQLite and PostgreSQL order them the same way.
TIMES = ("created", "expires", "revoked", "last_used")
COLUMNS = ("id", "secret_digest", "name", "scopes", *TIMES, "per_minute", "replaced_by")
# Names alone: types and constraints are the migrations'.
KEYS = table("keys", *map(column, COLUMNS))
# Compared with if no key has the id, so that this takes as long; no secret has this digest.
NO_DIGEST = secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secret."""

    id: str  # Eight hexadecimal digits; may be shown and logged
    name: str
    scopes: frozenset[str]  # What it may be used for, of ``SCOPES``
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None
    per_minute: int | None = None  # Maximum requests; 0: no limit; None: the service's limit
    replaced_by: str | None = None  # By rotation; it remains valid until it expires
    digest: str = field(default="", repr=False)  # SHA-256 of the secret, in hexadecimal

    def is_active(self, now: datetime) -> bool:
        """Return whether the key is valid at that time."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def as_dict(self) -> dict[str, Any]:
        """Return the key for JSON, without the digest."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            **{name: (time := getattr(self, name)) and time.isoformat() for name in TIMES},
            "per_minute": self.per_minute,
            "replaced_by": self.replaced_by,
        }


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key with its token, which is shown only once."""

    key: Key
    token: str = field(repr=False)


class KeyStore:
    """The keys in a store; every change is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        now: datetime,
        lifetime: timedelta | None = None,
        per_minute: int | None = None,
    ) -> Issued:
        """Create a key; raise InputError for an empty name or an unknown scope."""
        _check_new_key(name, scopes)
        expires = None if lifetime is None else now + lifetime
        issued = _issue(Key("", name, frozenset(scopes), now, expires, per_minute=per_minute))
        with begin_writing(self.engine) as connection:
            _store_key(connection, issued.key)
        return issued

    def list(self) -> list[Key]:
        """List every key, oldest first, revoked and expired ones too."""
        with explain_store(), self.engine.connect() as connection:
            rows = connection.execute(select(KEYS).order_by(KEYS.c.created, KEYS.c.id))
            return [_read_key(row) for row in rows]

    def rotate(self, key_id: str, now: datetime, overlap: timedelta) -> Issued:
        """Replace a key by a new one; the old one remains valid for a while.

        The new one has the same name, scopes, limit and lifetime. Raises InputError for a key that
        is unknown, revoked, expired or replaced.
        """
        with begin_writing(self.engine) as connection:
            old = _find_key(connection, key_id)
            if not old.is_active(now) or old.replaced_by is not None:
                message = "the key is already revoked, expired or replaced"
                raise InputError([Problem("id", "active", message)])
            expires = None if old.expires is None else now + (old.expires - old.created)
            issued = _issue(replace(old, created=now, expires=expires, last_used=None))
            # Rotation must not extend a key that expires sooner.
            until = min(now + overlap, old.expires or now + overlap)
            _store_key(connection, issued.key)
            change = {"replaced_by": issued.key.id, "expires": until.isoformat()}
            connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(change))
        return issued

    def revoke(self, key_id: str, now: datetime) -> Key:
        """Revoke a key; again changes nothing. Raises InputError for an unknown key."""
        with begin_writing(self.engine) as connection:
            key = _find_key(connection, key_id)
            if key.revoked is None:
                key = replace(key, revoked=now)
                change = {"revoked": now.isoformat()}
                connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(change))
        return key


class KeyRing:
    """The keys in memory, so that no request waits for the store.

    `refresh` reads changes; `find` and `note_use` may be called meanwhile from another thread. If
    the store does not answer, the keys stay as they were.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._keys: dict[str, Key] = {}
        self._uses: dict[str, datetime] = {}
        self._lock = threading.Lock()

    @property
    def empty(self) -> bool:
        """Whether no key was ever created; revoking the last one does not open the service."""
        return not self._keys

    def find(self, token: str, now: datetime) -> Key | None:
        """Find the key of a token; None if it is not valid. An unknown id takes as long."""
        _, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._keys.get(key_id)
        same = hmac.compare_digest(_digest_secret(secret), NO_DIGEST if key is None else key.digest)
        has_prefix = token.startswith(f"{PREFIX}_")
        return key if same and has_prefix and key is not None and key.is_active(now) else None

    def note_use(self, key_id: str, now: datetime) -> None:
        """Note that a key was used; `refresh` writes it."""
        with self._lock:
            self._uses[key_id] = now

    def refresh(self) -> None:
        """Write uses, then read the keys; blocking, so call it outside an event loop.

        Raises UnavailableError if the store does not answer; uses are kept for the next call.
        """
        with self._lock:
            uses, self._uses = self._uses, {}
        try:
            self._write_uses(uses)
        except BaseException:
            with self._lock:
                self._uses = uses | self._uses
            raise
        with explain_store(), self.engine.connect() as connection:
            rows = connection.execute(select(KEYS))
            self._keys = {row.id: _read_key(row) for row in rows}

    def _write_uses(self, uses: dict[str, datetime]) -> None:
        if uses:
            used = [{"key": key, "used": now.isoformat()} for key, now in uses.items()]
            with begin_writing(self.engine) as connection:
                connection.execute(NOTE_USE, used)


# Several processes write uses; only a later one replaces what is there.
NOTE_USE = (
    update(KEYS)
    .where(KEYS.c.id == bindparam("key"))
    .where(KEYS.c.last_used.is_(None) | (KEYS.c.last_used < bindparam("used")))
    .values(last_used=bindparam("used"))
)


def _issue(draft: Key) -> Issued:
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = replace(draft, id=key_id, digest=_digest_secret(secret))
    return Issued(key, f"{PREFIX}_{key_id}_{secret}")


def _digest_secret(secret: str) -> str:
    # Not a slow password hash: those protect guessable secrets, and these have 256 random bits.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _check_new_key(name: str, scopes: Sequence[str]) -> None:
    problems = []
    if not name.strip():
        problems.append(Problem("name", "missing", "must name the owner of the key"))
    if not scopes or not set(scopes) <= set(SCOPES):
        problems.append(Problem("scope", "category", f"must be of {', '.join(SCOPES)}"))
    if problems:
        raise InputError(problems)


def _find_key(connection: Connection, key_id: str) -> Key:
    row = connection.execute(select(KEYS).where(KEYS.c.id == key_id)).one_or_none()
    if row is None:
        raise InputError([Problem("id", "unknown", "must be the id of a key; run `keys list`")])
    return _read_key(row)


def _store_key(connection: Connection, key: Key) -> None:
    values = key.as_dict()
    values["scopes"] = " ".join(values["scopes"])
    connection.execute(insert(KEYS).values(**values, secret_digest=key.digest))


def _read_key(row: Row[Any]) -> Key:
    values = dict(row._mapping)
    digest, scopes = values.pop("secret_digest"), frozenset(values.pop("scopes").split())
    times = {name: (time := values[name]) and datetime.fromisoformat(time) for name in TIMES}
    return Key(**values | times, scopes=scopes, digest=digest)
