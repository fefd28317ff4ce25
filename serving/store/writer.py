"""Group commit: one transaction writes all rows that arrive together.

If a commit does not wait for the disk (SQLite's default here), the event loop commits: passing a
row to a thread and back would take longer. Everything that may wait is done by one background
thread: SQLite's checkpoints, commits while another process writes, every commit on PostgreSQL, and
for a while all commits after one was slow or failed. A blocked disk or network then blocks only
that thread, and health probes continue to be answered.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Sequence

from features.base.errors import UnavailableError
from serving.store.audit import Answered, AuditLog
from serving.store.database import BusyError

Waiting = tuple[Answered, "asyncio.Future[None]"]

MAX_WAITING = 1024
# Seconds that a request waits for its row.
DEADLINE = 2.0
# A commit on the loop that takes longer blocks other requests: then the thread commits for a while.
SLOW_SECONDS, AWAY_SECONDS = 0.05, 30.0
# Seconds between tests, after a failure, of whether the store can be written again.
RETRY_SECONDS = 1.0
# Commits on the loop until SQLite's write-ahead log, by then about 12 MB, is moved into its file.
CHECKPOINT_COMMITS = 1000
LATE = "the audit log does not answer in time"


class AuditWriter:
    """Writes rows to the log for the requests of one event loop."""

    def __init__(
        self, log: AuditLog, *, most_waiting: int = MAX_WAITING, deadline: float = DEADLINE
    ) -> None:
        # Why the last commit failed; None if it did not. After a failure the store is tested again
        # and again, so that a service that is unready for that reason recovers without requests.
        self.problem: str | None = None
        # Rows written, transactions that wrote them, and transactions that failed.
        self.rows = self.groups = self.failures = 0
        self._log, self._near = log, log.make_unwaiting()
        self._most_waiting = most_waiting  # Rows; a further one is rejected at once
        self._deadline = deadline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: list[Waiting] = []
        self._waiting = self._unmoved = 0
        self._away_until = 0.0
        self._closed = False
        self._queue: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        # A daemon, so that a process can exit although its disk never answers.
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    async def write(self, answered: Answered) -> None:
        """Return once the row is committed.

        Raises UnavailableError if it was not by the deadline; then it may still be written.
        """
        if self._closed:
            raise UnavailableError("the audit log is closed")
        if self._waiting >= self._most_waiting:
            raise UnavailableError("too many answers wait for the audit log")
        self._loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = self._loop.create_future()
        if not self._gathered:
            # At the end of this turn of the loop: rows that arrive within it share one commit.
            self._loop.call_soon(self._flush)
        self._gathered.append((answered, written))
        self._waiting += 1
        try:
            await written
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Write the rows that wait, then stop; further rows are rejected."""
        self._closed = True
        self._flush()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._deadline)
        if self._near is not None:
            self._near.close()

    def _flush(self) -> None:
        group, self._gathered = self._gathered, []
        if self._near is None or time.monotonic() < self._away_until:
            self._hand_over(group)
        elif group:
            self._commit_here(self._near, group)

    def _hand_over(self, group: list[Waiting]) -> None:
        if group and self._loop is not None:
            self._queue.put(group)
            self._loop.call_later(self._deadline, _settle, group, LATE)

    def _commit_here(self, near: AuditLog, group: list[Waiting]) -> None:
        began = time.monotonic()
        try:
            near.append([answered for answered, _ in group])
        except BusyError:
            self._hand_over(group)
            return
        except Exception as error:
            self._conclude(group, _describe(error))
        else:
            self._conclude(group, None)
            self._unmoved += 1
        now = time.monotonic()
        if self.problem is not None or now - began > SLOW_SECONDS:
            # It often happens again, and on the loop every request would wait each time.
            self._away_until = now + AWAY_SECONDS
        if self.problem is not None or self._unmoved >= CHECKPOINT_COMMITS:
            self._queue.put([])  # wakes the thread, to test the store or move the log

    # Runs on the loop, also for groups that the thread wrote: futures belong to the loop.
    def _conclude(self, group: list[Waiting], problem: str | None) -> None:
        self.problem = problem
        if problem is not None:
            self.failures += 1
        elif group:
            self.rows += len(group)
            self.groups += 1
        _settle(group, problem)

    def _run(self) -> None:
        taken: list[list[Waiting] | None] = []
        failed = False
        while None not in taken:
            taken = self._take(RETRY_SECONDS if failed else None)
            # A request that is past its deadline has failed, so its row is not written.
            group = [row for rows in taken for row in rows or () if not row[1].done()]
            if group or failed or self.problem is not None:
                failed = self._commit_away(group)
            if self._unmoved >= CHECKPOINT_COMMITS:
                self._unmoved = 0
                self._log.checkpoint()
        self._log.close()

    def _take(self, timeout: float | None) -> list[list[Waiting] | None]:
        try:
            first = self._queue.get(timeout=timeout)
        except queue.Empty:
            return []
        return [first, *(self._queue.get() for _ in range(self._queue.qsize()))]

    # Without rows it tests the store.
    def _commit_away(self, group: list[Waiting]) -> bool:
        problem = None
        try:
            self._log.append([answered for answered, _ in group])
        except Exception as error:  # one group must not end the thread
            problem = _describe(error)
        if self._loop is not None:
            # The loop may have ended while the store was slow.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._conclude, group, problem)
        return problem is not None


# An exception of a driver may hold values of the row.
def _describe(error: Exception) -> str:
    ours = isinstance(error, UnavailableError)
    return str(error) if ours else f"the audit log failed: {type(error).__name__}"


def _settle(group: Sequence[Waiting], problem: str | None) -> None:
    for _, written in group:
        if not written.done() and problem is None:
            written.set_result(None)
        elif not written.done():
            written.set_exception(UnavailableError(str(problem)))
