"""The log when its store fails: nothing is half-written, and it recovers by itself."""

import contextlib
import os
import random
import shutil
from contextlib import contextmanager

import pytest
from sqlalchemy import event, make_url

from features.base.errors import UnavailableError
from serving.store.audit import AuditLog
from serving.store.database import BusyError, migrate, open_store, prepare_store

CHAIN_KEY = b"k" * 32
# Random, so that a database cannot compress it.
LARGE = random.Random(5).randbytes(100_000)


def append_until_refused(log, make_answered):
    """Append large rows until one is refused; return the number appended."""
    written = []

    def fill():
        for number in range(1000):
            log.append([make_answered(number, inputs=LARGE)])
            written.append(number)

    with pytest.raises(UnavailableError, match=r"^the service store does not answer: \w+$"):
        fill()
    return len(written)


def test_full_disk_rejects_rows_until_space_is_freed(tiny_disk, make_answered, tmp_path):
    with tiny_disk(4) as folder:
        filler = folder / "filler"
        filler.write_bytes(b"0" * 1_000_000)
        engine = prepare_store(f"sqlite:///{folder / 'service.db'}")
        check_full_disk(AuditLog(engine, CHAIN_KEY), make_answered, filler)
        engine.dispose()


@contextmanager
def make_database_on(postgresql, folder):
    """Make a database whose tables are on another disk."""
    tablespace = folder / "space"
    tablespace.mkdir()
    if os.geteuid() == 0:
        shutil.chown(tablespace, "postgres")
    for parent in [parent for parent in tablespace.parents if parent.owner() == "root"][:-2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    postgresql.execute(f"CREATE TABLESPACE tiny LOCATION '{tablespace}'")
    url = postgresql.create_database("TABLESPACE tiny")
    try:
        yield url
    finally:
        postgresql.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")
        postgresql.execute("DROP TABLESPACE tiny")


def test_a_full_disk_under_postgresql_does_no_more(tiny_disk, postgresql, make_answered):
    with tiny_disk(40) as folder, make_database_on(postgresql, folder) as url:
        filler = folder / "filler"
        filler.write_bytes(b"0" * 10_000_000)
        engine = prepare_store(url)
        check_full_disk(AuditLog(engine, CHAIN_KEY), make_answered, filler)
        engine.dispose()


def check_full_disk(log, make_answered, filler):
    written = append_until_refused(log, make_answered)
    assert written > 0
    verdict = log.verify()
    assert (verdict.count, verdict.breach) == (written, None)
    with pytest.raises(UnavailableError):
        log.append([make_answered(2000, inputs=LARGE)] * 10)
    filler.unlink()
    log.append([make_answered(2000, inputs=LARGE)])
    verdict = log.verify()
    assert (verdict.count, verdict.breach) == (written + 1, None)
    log.close()


def test_a_full_sqlite_file_refuses_rows(tmp_path, make_answered):
    engine = open_store(f"sqlite:///{tmp_path / 'service.db'}")
    most = {"pages": 100}

    @event.listens_for(engine, "connect")
    def limit(connection, record):
        connection.execute(f"PRAGMA max_page_count = {most['pages']}")

    migrate(engine)
    log = AuditLog(engine, CHAIN_KEY)
    written = append_until_refused(log, make_answered)
    assert log.verify().count == written
    engine.dispose()  # connections keep the limit that they started with
    most["pages"] = 1000
    log.append([make_answered(500, inputs=LARGE)])
    assert log.verify().count == written + 1
    log.close()
    engine.dispose()


@pytest.fixture
def server_log(postgresql, make_answered):
    url = postgresql.create_database()
    engine = prepare_store(url)
    log = AuditLog(engine, CHAIN_KEY)
    log.append([make_answered(1)])
    yield url, log
    log.close()
    engine.dispose()


def test_next_attempt_replaces_a_lost_connection(postgresql, server_log, make_answered):
    url, log = server_log
    postgresql.end_connections(url)
    with pytest.raises(UnavailableError, match="does not answer"):
        log.append([make_answered(2)])
    log.append([make_answered(3)])
    assert (log.verify().count, log.verify().breach) == (2, None)


def test_server_is_used_again_after_an_outage(postgresql, server_log, make_answered):
    _, log = server_log
    postgresql.stop()
    try:
        for number in (2, 3):
            with pytest.raises(UnavailableError) as caught:
                log.append([make_answered(number)])
            assert str(postgresql.folder) not in str(caught.value)
        with pytest.raises(UnavailableError):
            log.verify()
    finally:
        postgresql.start()
    with contextlib.suppress(UnavailableError):  # the pool's other connection was also lost
        log.append([make_answered(4)])
    log.append([make_answered(5)])
    assert log.verify().breach is None


def test_locked_store_is_waited_for_then_rejected(log, engine, make_answered):
    lock = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "LOCK TABLE audit_head"
    with engine.connect() as other:
        connection = other.connection.driver_connection
        connection.execute(lock)
        with pytest.raises(UnavailableError):
            log.append([make_answered(1)])
        connection.rollback()
    log.append([make_answered(2)])
    assert log.verify().count == 1


def test_log_that_never_waits_reports_another_writer(tmp_path, make_answered):
    engine = prepare_store(f"sqlite:///{tmp_path / 'service.db'}")
    near = AuditLog(engine, CHAIN_KEY).make_unwaiting()
    with engine.connect() as other:
        other.connection.driver_connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError):
            near.append([make_answered(1)])
        other.connection.driver_connection.rollback()
    near.append([make_answered(1)])
    assert near.verify().count == 1
    near.close()
    engine.dispose()


def test_only_store_without_disk_waits_commits_on_loop(tmp_path, postgresql):
    full = open_store(f"sqlite:///{tmp_path / 'service.db'}?synchronous=full")
    assert AuditLog(full, CHAIN_KEY).make_unwaiting() is None
    server = open_store(postgresql.make_url("postgres"))
    assert AuditLog(server, CHAIN_KEY).make_unwaiting() is None
