"""The audit log: every answered request, each row chained to the one before it.

A row's digest is an HMAC over the row and the digest before it, so that without the key no row can
be changed, removed, inserted or moved undetected. A head row, updated in the same transaction, says
where the chain ends, so that removed last rows are detected too.
"""

import contextlib
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import orjson
from sqlalchemy import Engine, Row, Select, column, func, literal, select, table
from sqlalchemy.pool import PoolProxiedConnection

from features.base.errors import UnavailableError
from serving.store.database import SWIFT, explain_store

Kind = Literal["changed", "missing", "reordered", "cut off", "added"]

COLUMNS = (
    *("number", "request_id", "time", "route", "key_id", "models", "answers"),
    *("inputs_digest", "inputs", "previous", "digest"),
)
# Names alone: types and constraints are the migrations'.
AUDIT = table("audit", *map(column, COLUMNS))
# One row: where the chain ends.
HEAD = table("audit_head", *map(column, ("id", "number", "digest", "seal")))
HEAD_QUERY = "SELECT number, digest, seal FROM audit_head WHERE id = 1"
INSERT = f"INSERT INTO audit ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
UPDATE = "UPDATE audit_head SET number = ?, digest = ?, seal = ? WHERE id = 1"
# Rows that `verify` reads at a time; long reads would keep a live store's write-ahead log growing.
READ_ROWS = 2000
# Rows by which a row may have been moved and still be recognised as moved, not changed.
MAX_MOVE = 100_000
# The smallest number that a row can have, also one that we did not write.
FIRST = -(2**63)


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered request, before it is chained."""

    request_id: str  # 32 hexadecimal digits
    time: str  # UTC, ISO 8601 with microseconds
    route: str
    key_id: str | None  # None if no keys are in use
    models: tuple[str, ...]  # Of each, name, version and digest: ``phq9.acute.response@3 <digest>``
    # Probabilities per assessment and model; None if it abstained or found errors.
    answers: Sequence[Sequence[float | None] | None]
    inputs_digest: str  # Keyed digest of the request body, in hexadecimal
    inputs: bytes | None = None  # The encrypted body; None unless bodies are kept


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last row's number and digest; 0 and empty before the first row."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Breach:
    """The first breach of a chain, and the number of the row where it shows."""

    number: int
    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying: rows read, the end of the chain, and the first breach if any."""

    count: int
    head: Head
    breach: Breach | None


Facts = tuple[Any, ...]
Chained = tuple[list[Facts], Head, str]
Batches = Iterator[Sequence[Row[Any]]]
Watch = Callable[[Batches, int], Batches]


class AuditLog:
    """The chain in a store. It keeps a connection, so use it from one thread at a time."""

    def __init__(self, engine: Engine, key: bytes, waits: bool = True) -> None:
        self.engine = engine
        self._key = key  # Every process that appends needs the same
        # For other writers and for disks. Only with SQLite it need not: while another process
        # writes, `append` raises `BusyError`, and it never checkpoints.
        self._waits = waits
        self._append = _append_sqlite if engine.dialect.name == "sqlite" else _append_postgresql
        self._connection: PoolProxiedConnection | None = None
        self._known = Head(0, "")

    def append(self, answered: Sequence[Answered]) -> None:
        """Append rows in one transaction; without rows, test whether the store can be written.

        Raises UnavailableError if the store does not answer, or its chain was begun with another
        key. No row was written, unless the connection was lost during the commit.
        """
        facts = [_list_facts(request) for request in answered]
        try:
            with explain_store():
                self._known = self._append(self._connect(), partial(self._chain_rows, facts))
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Any:
        if self._connection is not None:
            return self._connection.driver_connection
        self._connection = self.engine.raw_connection()
        connection: Any = self._connection.driver_connection
        if not self._waits:
            connection.execute("PRAGMA busy_timeout = 0")
            # A checkpoint waits for the disk, and this connection is used on the event loop.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def make_unwaiting(self) -> "AuditLog | None":
        """Make a log of the same chain that does not wait; None if the store always does."""
        swift = self.engine.get_execution_options().get(SWIFT)
        return type(self)(self.engine, self._key, waits=False) if swift else None

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into its file; waits for the disk."""
        with contextlib.suppress(UnavailableError), explain_store():
            # The first does not block writers; it leaves little for the second, which does.
            self._connect().execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._connect().execute("PRAGMA wal_checkpoint(FULL)")

    def close(self) -> None:
        """Close the connection and roll back its transaction; the next append opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(UnavailableError), explain_store():
                connection.invalidate()

    def _chain_rows(self, facts: list[Facts], head_row: tuple[int, str, str] | None) -> Chained:
        head = self._trust_head(head_row)
        rows = []
        for row in facts:
            number, previous = head.number + 1, head.digest
            head = Head(number, self._digest_row(number, row, previous))
            rows.append((number, *row, previous, head.digest))
        return rows, head, self._seal(head)

    def _trust_head(self, head_row: tuple[int, str, str] | None) -> Head:
        if head_row is None:
            raise UnavailableError("the audit log's head row is missing; run `audit verify`")
        head = Head(head_row[0], head_row[1])
        # The head that this process wrote last need not be verified again.
        if head != self._known and not self._is_sealed(head, head_row[2]):
            raise UnavailableError(
                "the audit log's head was written with another key, or altered; run `audit verify`"
            )
        return head

    def _digest_row(self, number: int, facts: Sequence[Any], previous: str) -> str:
        *plain, inputs = facts
        inputs_digest = None if inputs is None else hashlib.sha256(inputs).hexdigest()
        content = orjson.dumps([number, *plain, inputs_digest])
        return hmac.digest(self._key, previous.encode() + content, "sha256").hex()

    def _seal(self, head: Head) -> str:
        if head.number == 0:
            return ""
        return hmac.digest(self._key, f"head {head}".encode(), "sha256").hex()

    def _is_sealed(self, head: Head, seal: str) -> bool:
        # Encoded: compare_digest refuses texts beyond ASCII, which an altered seal may hold.
        same = hmac.compare_digest(self._seal(head).encode(), seal.encode())
        return same and bool(head.number or not head.digest)

    def verify(self, expected: Head | None = None, watch: Watch | None = None) -> Verdict:
        """Read the entire chain, in short reads that block no writer, and find its first breach.

        An expected head, saved off-host earlier, must still be in the chain. To show progress,
        `watch` passes on the batches, given their number.
        """
        head_row, last = self._read_end()
        head = Head(last, "") if head_row is None else Head(head_row[0], head_row[1])
        sealed = head_row is not None and self._is_sealed(head, head_row[2])
        before = Head(0, "")
        batches = self._read_batches(max(head.number, last))
        for batch in batches if watch is None else watch(batches, -(-last // READ_ROWS)):
            for row in batch:
                breach = self._compare(row, before, head, sealed)
                if breach is None and expected is not None:
                    breach = _compare_expected(row, expected)
                if breach is not None:
                    return Verdict(before.number, head, breach)
                before = Head(row.number, row.digest)
        return Verdict(before.number, head, _find_end_breach(before, head, sealed, expected))

    def _compare(self, row: Row[Any], before: Head, head: Head, sealed: bool) -> Breach | None:
        number, *facts, previous, digest = tuple(row)
        if sealed and number > head.number:
            return Breach(number, "added", "a row was added after the end of the chain")
        if number > before.number + 1:
            gap = f"rows {before.number + 1} to {number - 1} are missing"
            return Breach(before.number + 1, "missing", gap)
        # SQLite accepts any type in any column; a value of another type cannot be digested.
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            follows = (number, previous) == (before.number + 1, before.digest)
            if follows and self._digest_row(number, facts, previous) == digest:
                return None
            numbers = range(max(1, number - MAX_MOVE), number + MAX_MOVE)
            if any(self._digest_row(other, facts, previous) == digest for other in numbers):
                return Breach(number, "reordered", "the row belongs elsewhere in the chain")
        or_key = "" if sealed else ", or the chain was written with another key"
        return Breach(number, "changed", f"the row was altered{or_key}")

    # In one query, so that head and last row are consistent.
    def _read_end(self) -> tuple[tuple[int, str, str] | None, int]:
        last = select(func.coalesce(func.max(AUDIT.c.number), 0)).scalar_subquery()
        query = select(last, HEAD.c.number, HEAD.c.digest, HEAD.c.seal).select_from(
            select(literal(1).label("single")).subquery().outerjoin(HEAD, HEAD.c.id == 1)
        )
        with explain_store(), self.engine.connect() as connection:
            last_number, number, digest, seal = connection.execute(query).one()
        is_intact = isinstance(number, int) and isinstance(digest, str) and isinstance(seal, str)
        return ((number, digest, seal) if is_intact else None), last_number

    def _read_batches(self, until: int) -> Iterator[Sequence[Row[Any]]]:
        after = FIRST
        while True:
            query = select(AUDIT).where(AUDIT.c.number > after, AUDIT.c.number <= until)
            batch = self._read(query.order_by(AUDIT.c.number).limit(READ_ROWS))
            if not batch:
                return
            yield batch
            after = batch[-1].number

    def show(self, request_id: str | None = None, last: int = 20) -> list[dict[str, Any]]:
        """Read the last rows, or those of one request, oldest first, as mappings for JSON."""
        query = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(last)
        if request_id is not None:
            query = query.where(AUDIT.c.request_id == request_id)
        return [_describe_row(row) for row in reversed(self._read(query))]

    def read_inputs(self, request_id: str) -> bytes | None:
        """Read a request's encrypted body; None if it was not kept."""
        rows = self._read(select(AUDIT.c.inputs).where(AUDIT.c.request_id == request_id))
        return next((row.inputs for row in rows if row.inputs is not None), None)

    def _read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with explain_store(), self.engine.connect() as connection:
            return connection.execute(query).all()


# An immediate transaction excludes other writers.
def _append_sqlite(connection: Any, chain: Callable[..., Chained]) -> Head:
    # A plain BEGIN locks at the first write, and fails if another process wrote since the read.
    connection.execute("BEGIN IMMEDIATE")
    rows, head, seal = chain(connection.execute(HEAD_QUERY).fetchone())
    if not rows:  # a test must write, and SQLite does not write a value that stays the same
        connection.execute("UPDATE audit_head SET seal = 'attempt'")
    connection.executemany(INSERT, rows)
    connection.execute(UPDATE, (head.number, head.digest, seal))
    connection.execute("COMMIT")
    return head


# A lock on the head excludes other writers; two round trips.
def _append_postgresql(connection: Any, chain: Callable[..., Chained]) -> Head:
    connection.autocommit = True  # so that BEGIN is not sent ahead of the rest
    with connection.pipeline():
        connection.execute("BEGIN")
        cursor = connection.execute(f"{HEAD_QUERY} FOR UPDATE")
    rows, head, seal = chain(cursor.fetchone())
    with connection.pipeline():
        if rows:
            connection.cursor().executemany(INSERT.replace("?", "%s"), rows)
        connection.execute(UPDATE.replace("?", "%s"), (head.number, head.digest, seal))
        connection.execute("COMMIT")
    return head


def _list_facts(answered: Answered) -> Facts:
    request = (answered.request_id, answered.time, answered.route, answered.key_id)
    models, answers = orjson.dumps(answered.models), orjson.dumps(answered.answers)
    return (*request, models.decode(), answers.decode(), answered.inputs_digest, answered.inputs)


def _compare_expected(row: Row[Any], expected: Head) -> Breach | None:
    if row.number == expected.number and row.digest != expected.digest:
        return Breach(row.number, "changed", "the row differs from the expected head")
    return None


def _find_end_breach(
    before: Head, head: Head, sealed: bool, expected: Head | None
) -> Breach | None:
    if before.number < head.number:
        gap = f"rows {before.number + 1} to {head.number} are missing"
        return Breach(before.number + 1, "cut off", gap)
    if not sealed or before != head:
        return Breach(head.number, "changed", "the head is missing or was altered")
    if expected is not None and expected.number > before.number:
        return Breach(before.number + 1, "cut off", "the row of the expected head is missing")
    return None


def _describe_row(row: Row[Any]) -> dict[str, Any]:
    plain = dict(row._mapping)
    try:
        plain["models"], plain["answers"] = orjson.loads(row.models), orjson.loads(row.answers)
    except ValueError:
        where = f"row {row.number} of the audit log"
        raise UnavailableError(f"{where} cannot be read; run `audit verify`") from None
    plain["inputs"] = row.inputs is not None
    return plain
