"""Progress that a person can follow, in a terminal and in CI's log: a line per file of tests.

``python -m pytest --by-file``, as `make test` does. A line comes when the last test of a file has
ended: share of all tests, time since the start, file, and what it took.
"""

import time
from collections import Counter
from collections.abc import Iterable

import pytest


class Progress:
    """Counts the tests of every file as their results come in."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter = reporter
        self.began = time.monotonic()
        self.remaining: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.outcomes: dict[str, Counter[str]] = {}
        self.total = 0

    def _expect(self, tests: Iterable[str]) -> None:
        if not self.total:  # every worker lists the same tests
            self.remaining.update(test.partition("::")[0] for test in tests)
            self.total = self.remaining.total()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the tests of a run without workers."""
        self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note the tests that a worker found."""
        self._expect(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no dot for a test that passed."""
        return ("passed", "", "") if report.passed and report.when == "call" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test's phase, and print its file's line after the last one."""
        file = report.nodeid.partition("::")[0]
        self.seconds[file] += report.duration
        outcomes = self.outcomes.setdefault(file, Counter())
        if report.when == "call" or not report.passed:
            outcomes[report.outcome] += 1
        if report.when == "teardown":
            self.remaining[file] -= 1
            if self.remaining[file] == 0:
                self._print_file(file)

    def _print_file(self, file: str) -> None:
        share = 1 - self.remaining.total() / self.total
        minutes, seconds = divmod(round(time.monotonic() - self.began), 60)
        counted = ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.outcomes[file].items()))
        took = f"{self.seconds[file]:.0f} s"
        color = {"red": True} if self.outcomes[file]["failed"] else {"green": True}
        self.reporter.ensure_newline()
        self.reporter.write(f"{share:4.0%} {minutes:3d}:{seconds:02d}  ")
        self.reporter.write_line(f"{file}  {counted} in {took}", **color)
