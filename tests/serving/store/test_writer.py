import asyncio
import threading
from contextlib import contextmanager

import pytest

from features.base.errors import UnavailableError
from serving.store import writer as writer_module
from serving.store.audit import AuditLog
from serving.store.database import prepare_store
from serving.store.writer import AuditWriter


class WatchedLog(AuditLog):
    """A log that records which thread wrote each group."""

    threads: list[str]

    def append(self, answered):
        WatchedLog.threads.append(threading.current_thread().name)
        super().append(answered)


@pytest.fixture
def log(engine):
    WatchedLog.threads = []
    return WatchedLog(engine, b"k" * 32)


@contextmanager
def someone_else_writing(engine):
    """Another process that holds a write transaction for a while."""
    lock = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "LOCK TABLE audit_head"
    with engine.connect() as other:
        connection = other.connection.driver_connection
        connection.execute(lock)
        try:
            yield
        finally:
            connection.rollback()


def rename(engine, old, new):
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


async def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came to that")


async def write_all(writer, rows):
    """Write rows at once; return how each ended."""
    return await asyncio.gather(*map(writer.write, rows), return_exceptions=True)


def count_rows(log):
    verdict = log.verify()
    assert verdict.breach is None
    return verdict.count


def test_row_is_stored_when_write_returns(log, make_answered):
    async def main():
        writer = AuditWriter(log)
        for number in (1, 2, 3):
            await writer.write(make_answered(number))
            assert count_rows(log) == number
        await writer.close()
        assert (writer.rows, writer.groups, writer.failures) == (3, 3, 0)
        assert writer.problem is None

    asyncio.run(main())


def test_rows_that_come_at_once_share_a_transaction(log, make_answered):
    async def main():
        writer = AuditWriter(log)
        assert await write_all(writer, map(make_answered, range(64))) == [None] * 64
        await writer.close()
        assert (writer.rows, writer.groups) == (64, 1)

    asyncio.run(main())
    assert count_rows(log) == 64


def test_rows_arriving_during_a_write_share_a_transaction(log, engine, make_answered):
    async def main():
        writer = AuditWriter(log)
        with someone_else_writing(engine):
            tasks = []
            for number in range(10):
                tasks.append(asyncio.create_task(writer.write(make_answered(number))))
                await asyncio.sleep(0.01)
        assert await asyncio.gather(*tasks) == [None] * 10
        await writer.close()
        assert writer.groups <= 3

    asyncio.run(main())
    assert count_rows(log) == 10


def test_loop_continues_while_a_commit_waits(log, engine, make_answered):
    """The request still fails at its deadline."""

    async def main():
        writer = AuditWriter(log, deadline=0.4)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        with someone_else_writing(engine):
            with pytest.raises(UnavailableError, match="in time"):
                await writer.write(make_answered(1))
            assert ticks > 5
        ticking.cancel()
        await writer.write(make_answered(2))
        await writer.close()

    asyncio.run(main())
    assert count_rows(log) in (1, 2)  # the first may nevertheless have been written


def test_rows_beyond_the_queue_are_rejected_at_once(log, make_answered):
    async def main():
        writer = AuditWriter(log, most_waiting=4)
        ended = await write_all(writer, map(make_answered, range(10)))
        assert ended[:4] == [None] * 4
        assert all("too many" in str(error) for error in ended[4:])
        assert await write_all(writer, [make_answered(11)]) == [None]
        await writer.close()

    asyncio.run(main())
    assert count_rows(log) == 5


def test_writer_recovers_by_itself_after_a_failed_group(log, engine, make_answered):
    """The group's requests fail; then the store is probed until it answers, without requests."""

    async def main():
        writer = AuditWriter(log)
        rename(engine, "audit_head", "gone")
        ended = await write_all(writer, map(make_answered, range(3)))
        assert [type(error) for error in ended] == [UnavailableError] * 3
        assert "does not answer" in writer.problem
        assert (writer.rows, writer.groups) == (0, 0)
        assert writer.failures >= 1
        rename(engine, "gone", "audit_head")
        await wait_until(lambda: writer.problem is None)
        await writer.write(make_answered(4))
        await writer.close()
        assert (writer.rows, writer.problem) == (1, None)

    asyncio.run(main())
    assert count_rows(log) == 1


def test_freed_disk_space_is_noticed(tiny_disk, make_answered):
    with tiny_disk(2) as folder:
        filler = folder / "filler"
        engine = prepare_store(f"sqlite:///{folder / 'service.db'}")
        WatchedLog.threads = []
        log = WatchedLog(engine, b"k" * 32)

        async def main():
            writer = AuditWriter(log)
            await writer.write(make_answered(1))
            with pytest.raises(OSError, match="space"):
                filler.write_bytes(b"0" * 4_000_000)
            ended = await write_all(
                writer, [make_answered(n, inputs=b"x" * 9000) for n in range(99)]
            )
            assert {type(error) for error in ended} == {UnavailableError}
            tried = writer.failures
            await wait_until(lambda: writer.failures > tried)
            assert writer.problem is not None  # an attempt that writes nothing would not notice
            filler.unlink()
            await wait_until(lambda: writer.problem is None)
            await writer.write(make_answered(2))
            await writer.close()

        asyncio.run(main())
        assert count_rows(log) == 2
        engine.dispose()


def test_unwritable_row_does_not_end_the_writer(log, make_answered):
    async def main():
        writer = AuditWriter(log)
        with pytest.raises(UnavailableError, match="TypeError"):
            await writer.write(make_answered(1, answers=object()))
        await writer.write(make_answered(2))
        await writer.close()

    asyncio.run(main())
    assert count_rows(log) == 1


def test_closing_writes_what_waits_and_takes_no_more(log, make_answered):
    async def main():
        writer = AuditWriter(log)
        tasks = [asyncio.create_task(writer.write(make_answered(n))) for n in range(5)]
        await asyncio.sleep(0)
        await writer.close()
        assert await asyncio.gather(*tasks) == [None] * 5
        with pytest.raises(UnavailableError, match="closed"):
            await writer.write(make_answered(6))

    asyncio.run(main())
    assert count_rows(log) == 5


def test_only_sqlite_is_written_by_the_loop_itself(log, engine, make_answered):
    async def main():
        writer = AuditWriter(log)
        await writer.write(make_answered(1))
        await writer.close()

    asyncio.run(main())
    assert WatchedLog.threads == ["MainThread" if engine.dialect.name == "sqlite" else "audit"]


def test_slow_commit_moves_writing_off_the_loop(log, make_answered, monkeypatch):
    monkeypatch.setattr(writer_module, "SLOW_SECONDS", -1.0)

    async def main():
        writer = AuditWriter(log)
        for number in (1, 2, 3):
            await writer.write(make_answered(number))
        await writer.close()

    asyncio.run(main())
    assert WatchedLog.threads[1:] == ["audit", "audit"]


def test_write_ahead_log_of_busy_service_stays_small(tmp_path, make_answered, monkeypatch):
    monkeypatch.setattr(writer_module, "CHECKPOINT_COMMITS", 50)
    engine = prepare_store(f"sqlite:///{tmp_path / 'service.db'}")
    written_ahead = tmp_path / "service.db-wal"

    async def count_rows_until_the_log_lags_behind(writer):
        # Without checkpoints it grows by three pages per row. Their timing depends on the disk.
        for number in range(5000):
            await writer.write(make_answered(number))
            if number > 500 and written_ahead.stat().st_size < number * 4096:
                return number
        return None

    async def main():
        writer = AuditWriter(AuditLog(engine, b"k" * 32))
        rows = await count_rows_until_the_log_lags_behind(writer)
        await writer.close()
        return rows

    assert asyncio.run(main()) is not None
    engine.dispose()


def test_a_writer_whose_loop_has_ended_ends(log, engine, make_answered):
    async def main():
        writer = AuditWriter(log)
        task = asyncio.create_task(writer.write(make_answered(1)))
        await asyncio.sleep(0)
        task.cancel()
        return writer

    writer = asyncio.run(main())
    asyncio.run(writer.close())
    assert not writer._thread.is_alive()
