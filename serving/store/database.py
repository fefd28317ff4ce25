"""Opening the store: SQLite by default, PostgreSQL by URL; errors show nothing of either."""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from features.base.errors import InputError, Problem, UnavailableError
from features.base.home import DATABASE_VARIABLE
from serving.store import migrations

# Seconds that a writer waits for another writer's commit.
BUSY_SECONDS = 3.0
# PostgreSQL: limits on waiting for the network, a lock or a statement.
LIMITS: Mapping[str, Any] = MappingProxyType(
    {
        "connect_timeout": 3,
        "tcp_user_timeout": 5000,
        "keepalives_idle": 30,
        "options": "-c statement_timeout=5s -c lock_timeout=3s "
        "-c idle_in_transaction_session_timeout=10s",
    }
)
# A migration may rewrite a large table, and waits for other processes that migrate.
MIGRATION_LIMIT = "SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '1min'"
# An arbitrary number, the same for all processes.
MIGRATION_LOCK = 0x6B72
IMMEDIATE = "immediate"
# Whether a commit hands its bytes to the operating system without waiting for the disk.
SWIFT = "swift"
SYNCHRONOUS = ("normal", "full")


def open_store(url: str) -> Engine:
    """Open the store at a URL, without connecting; only its owner can read a new SQLite file.

    The URL is ``sqlite:////absolute/path``, with ``?synchronous=full`` if every commit must survive
    a power cut, or ``postgresql://user@host/name``. Raises InputError for another, UnavailableError
    if PostgreSQL's driver is not installed or the file cannot be created.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        _refuse("must be a URL: sqlite:////path or postgresql://user@host/name")
    match parsed.drivername:
        case "sqlite":
            return _open_sqlite(parsed)
        case "postgresql" | "postgresql+psycopg" | "postgres":
            return _open_postgresql(parsed)
        case _:
            _refuse("must begin with sqlite:// or postgresql://")


# The URL may hold a password, so no message shows it.
def _refuse(message: str) -> NoReturn:
    raise InputError([Problem(DATABASE_VARIABLE, "url", message)], source="environment") from None


# With a write-ahead log readers never wait for writers.
def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        _refuse("must name a file: sqlite:////path")
    synchronous = str(url.query.get("synchronous", "normal")).lower()
    if synchronous not in SYNCHRONOUS or set(url.query) - {"synchronous"}:
        _refuse("sqlite:// has one option: synchronous=normal or synchronous=full")
    path = Path(url.database)
    with explain_store():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Before SQLite, which would let everyone on the machine read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(
        url.set(query={}),
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS},
        execution_options={SWIFT: synchronous == "normal"},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        # We begin transactions below, so the driver must not.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(IMMEDIATE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _open_postgresql(url: URL) -> Engine:
    limits = {name: value for name, value in LIMITS.items() if name not in url.query}
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            # A server that restarted has closed the pool's connections: each is tested before use.
            pool_pre_ping=True,
            connect_args=limits,
        )
    except ModuleNotFoundError:
        raise UnavailableError(
            "PostgreSQL needs a driver: the optional packages `postgresql` of this project"
        ) from None


class BusyError(UnavailableError):
    """Another process is writing; nothing was written."""


@contextmanager
def explain_store() -> Iterator[None]:
    """Convert errors of databases to ours, which name the kind of failure and never a value."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise BusyError(_describe_failure(error)) from None
        raise UnavailableError(_describe_failure(error)) from None
    except Exception as error:
        # psycopg may not be installed, so its errors are recognised by their attribute.
        if not hasattr(error, "sqlstate"):
            raise
        raise UnavailableError(_describe_failure(error)) from None


def _describe_failure(error: Exception) -> str:
    """Name a failure without the statement, the values or the address in it.

    Examples
    --------
    >>> _describe_failure(OSError(28, "No space left on device", "/srv/service.db"))
    'the service store does not answer: ENOSPC'
    """
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", None)
    if name is None and isinstance(cause, OSError) and cause.errno is not None:
        name = errno.errorcode.get(cause.errno)
    return f"the service store does not answer: {name or type(cause).__name__}"


@contextmanager
def begin_writing(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that will write; SQLite allows one at a time."""
    with explain_store(), engine.connect() as connection:
        connection.execution_options(**{IMMEDIATE: True})
        with connection.begin():
            yield connection


def migrate(engine: Engine) -> None:
    """Migrate the store to this version; concurrent processes wait for the one that migrates.

    Raises UnavailableError if the store does not answer, or was made by a newer version.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    scripts = ScriptDirectory(str(Path(str(migrations.__file__)).parent))
    with explain_store(), engine.connect() as connection:
        if find_revision(connection) == scripts.get_current_head():
            return
    with begin_writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(MIGRATION_LIMIT)
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        _upgrade(connection, scripts)


def find_revision(connection: Connection) -> str | None:
    """Find the revision of the store; None if it is new."""
    return MigrationContext.configure(connection).get_current_revision()


# All migrations or none.
def _upgrade(connection: Connection, scripts: ScriptDirectory) -> None:
    try:
        scripts.get_revision(find_revision(connection) or "base")
    except CommandError:
        raise UnavailableError(
            "the service store was made by a newer version of this program"
        ) from None
    # We own the transaction; Alembic would commit between two migrations.
    context = MigrationContext.configure(
        connection, opts={"fn": lambda revision, _: scripts._upgrade_revs("head", revision)}
    )
    with Operations.context(context):
        context.run_migrations()


def prepare_store(url: str) -> Engine:
    """Open the store at a URL and migrate it to this version."""
    engine = open_store(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine
