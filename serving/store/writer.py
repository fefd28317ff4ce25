"""Group commit: one transaction writes all that came at once.

Where a commit waits for no disk (SQLite's default here), the event loop commits by itself: passing
a row to a thread and back takes longer than the commit. Whatever may wait is done by one thread of
the writer's own: SQLite's checkpoints, commits while another process writes, every commit on
PostgreSQL, and for a while all of them once one was slow or failed. So a blocked disk or network
blocks that thread, and health probes go on being answered.
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

MOST_WAITING = 1024
# Seconds that a request waits for its row.
DEADLINE = 2.0
# Seconds that a commit on the loop may take, and seconds that the loop then leaves them alone.
SLOW, AWAY = 0.05, 30.0
# Seconds between attempts, after a failure, to find out whether the store can be written again.
PAUSE = 1.0
# Commits on the loop after which SQLite's write-ahead log (12 MB or so) is moved into its file.
CHECKPOINT = 1000
LATE = "the audit log does not answer in time"


class AuditWriter:
    """Writes rows to the log for the requests of one event loop.

    Parameters
    ----------
    most_waiting
        Rows that may wait; one more is refused at once.
    deadline
        Seconds that a request waits for its row.

    Attributes
    ----------
    problem
        Why the last attempt failed; None if it did not. After a failure the store is tried again
        by itself, so that a service which is not ready for that reason becomes ready again.
    rows, groups, failures
        Rows written, transactions that wrote them, and transactions that failed.
    """

    def __init__(
        self, log: AuditLog, *, most_waiting: int = MOST_WAITING, deadline: float = DEADLINE
    ) -> None:
        self.problem: str | None = None
        self.rows = self.groups = self.failures = 0
        self._log, self._near = log, log.make_unwaiting()
        self._most_waiting, self._deadline = most_waiting, deadline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: list[Waiting] = []
        self._waiting = self._unmoved = 0
        self._away_until = 0.0
        self._closed = False
        self._queue: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        # A process that ends does not wait for a disk that never answers.
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    async def write(self, answered: Answered) -> None:
        """Return once the row is committed.

        Raises
        ------
        UnavailableError
            If it was not, or nobody can say by the deadline: then it may still be written.
        """
        if self._closed:
            raise UnavailableError("the audit log is closed")
        if self._waiting >= self._most_waiting:
            raise UnavailableError("too many answers wait for the audit log")
        self._loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append((answered, written))
        self._waiting += 1
        try:
            await written
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Write what waits, and end; nothing is taken any more."""
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
        """Leave a group to the thread; by the deadline it is told that nobody knows."""
        if group and self._loop is not None:
            self._queue.put(group)
            self._loop.call_later(self._deadline, settle, group, LATE)

    def _commit_here(self, near: AuditLog, group: list[Waiting]) -> None:
        began = time.monotonic()
        try:
            near.append([answered for answered, _ in group])
        except BusyError:
            self._hand_over(group)
            return
        except Exception as error:
            self._conclude(group, describe(error))
        else:
            self._conclude(group, None)
            self._unmoved += 1
        now = time.monotonic()
        if self.problem is not None or now - began > SLOW:
            self._away_until = now + AWAY
        if self.problem is not None or self._unmoved >= CHECKPOINT:
            self._queue.put([])  # wakes the thread: there is something for it to do

    def _conclude(self, group: list[Waiting], problem: str | None) -> None:
        """Note, on the loop, what became of a group, and tell it."""
        self.problem = problem
        if problem is not None:
            self.failures += 1
        elif group:
            self.rows += len(group)
            self.groups += 1
        settle(group, problem)

    def _run(self) -> None:
        taken: list[list[Waiting] | None] = []
        failed = False
        while None not in taken:
            taken = self._take(PAUSE if failed else None)
            # Whoever has given up waiting was told so, and is not written.
            group = [one for part in taken for one in part or () if not one[1].done()]
            if group or failed or self.problem is not None:
                failed = self._commit_away(group)
            if self._unmoved >= CHECKPOINT:
                self._unmoved = 0
                self._log.checkpoint()
        self._log.close()

    def _take(self, timeout: float | None) -> list[list[Waiting] | None]:
        """Wait for rows and take all that wait with them; nothing if none come in time."""
        try:
            first = self._queue.get(timeout=timeout)
        except queue.Empty:
            return []
        return [first, *(self._queue.get() for _ in range(self._queue.qsize()))]

    def _commit_away(self, group: list[Waiting]) -> bool:
        """Append a group, or only try the store, from the thread; tell whether it failed."""
        problem = None
        try:
            self._log.append([answered for answered, _ in group])
        except Exception as error:  # the thread outlives whatever one group brings
            problem = describe(error)
        if self._loop is not None:
            # The loop may have ended while the store was slow.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._conclude, group, problem)
        return problem is not None


def describe(error: Exception) -> str:
    """Describe a failure without what it was about."""
    ours = isinstance(error, UnavailableError)
    return str(error) if ours else f"the audit log failed: {type(error).__name__}"


def settle(group: Sequence[Waiting], problem: str | None) -> None:
    """Tell requests, on their loop, what became of their rows."""
    for _, written in group:
        if not written.done() and problem is None:
            written.set_result(None)
        elif not written.done():
            written.set_exception(UnavailableError(str(problem)))
