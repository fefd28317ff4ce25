"""Results of a benchmark, kept as they come: an interrupted run resumes where it stopped."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from features.base.commands import say
from features.base.errors import InputError, Problem
from features.base.files import Entry, Journal

Result = Entry


class Results(Journal):
    """A file of results."""

    def read_latest(self) -> dict[str, Result]:
        """Read the latest result by key."""
        return {result["key"]: result for result in self.read()}


def make_key(facts: Mapping[str, Any]) -> str:
    """Digest everything that a result depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def complete_results(
    results: Results,
    keys: Sequence[str],
    run: Callable[[list[int]], Iterable[Result]],
    again: bool = False,
) -> list[Result]:
    """Run the tasks that have no result yet; return the results of all, in their order.

    Parameters
    ----------
    keys
        One per task.
    run
        Yields a result for each index in ``keys`` that it is given; each is on disk before the
        next is awaited.
    again
        Whether to repeat tasks that have a result.
    """
    done = {} if again else results.read_latest()
    remaining = [index for index, key in enumerate(keys) if key not in done]
    if len(remaining) < len(keys):
        say(f"{len(keys) - len(remaining)} of {len(keys)} results are there already")
    for result in run(remaining):
        results.add(result)
    latest = results.read_latest()
    return [latest[key] for key in keys]


def parse_names(only: str, known: Sequence[str]) -> tuple[str, ...]:
    """Read names from an ``--only`` option; all known ones if it is empty.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    names = tuple(name.strip() for name in only.split(",")) if only else tuple(known)
    if unknown := [name for name in names if name not in known]:
        message = f"has no {', '.join(unknown)}; there are: {', '.join(known)}"
        raise InputError([Problem("--only", "category", message)])
    return names
