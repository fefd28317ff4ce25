"""How a soak went: what was answered, and whether all of it was as it must be."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.stats import theilslopes

from experiments.benchmarks.models.verdicts import Verdict
from experiments.benchmarks.serving.soak import Audit, Soaked
from experiments.benchmarks.serving.soak_watch import Watch
from experiments.docs.reference import format_table

# Seconds in which a new champion must answer, and during which a kill excuses lost connections.
TAKE_UP, EXCUSE = 30.0, 15.0


def judge(soaked: Soaked) -> list[Verdict]:
    """Judge what must hold of every answer."""
    watch = soaked.watch
    asked = f"{watch.statuses.total():,} requests"
    return [
        Verdict(
            "every answer is the library's, for the champion that it names",
            bool(watch.compared) and not watch.wrong,
            tell(f"{watch.compared:,} compared", watch.wrong),
        ),
        Verdict(
            "every status is a documented one", not watch.forbidden, tell(asked, watch.forbidden)
        ),
        judge_lost(watch),
        judge_changes(watch, soaked.plan.seconds),
        Verdict(
            "every killed worker comes back",
            soaked.workers_left == soaked.workers,
            f"{len(watch.kills)} killed; {soaked.workers_left} of {soaked.workers} at the end",
        ),
        judge_audit(soaked.audit, len(watch.request_ids)),
    ]


def tell(what: str, complaints: list[str]) -> str:
    """Tell how many, and what was wrong first."""
    return "; ".join([what, *complaints[:3]])


def judge_lost(watch: Watch) -> Verdict:
    """Judge whether connections were lost only around a kill."""
    unexcused = [
        moment for moment in watch.lost
        if not any(-1 <= moment - kill <= EXCUSE for kill in watch.kills)
    ]  # fmt: skip
    found = f"{len(watch.lost)} lost, {len(unexcused)} of them at another time"
    return Verdict("connections are lost only around a kill", not unexcused, found)


def judge_changes(watch: Watch, seconds: float) -> Verdict:
    """Judge whether each new champion answers soon, and the old one no more."""
    aim = f"a new champion answers within {TAKE_UP:.0f} s, without a restart"
    ends = [start for start, _, _ in watch.changes[1:]] + [seconds]
    late = judged = 0
    for (_, ready, digest), end in zip(watch.changes, ends, strict=False):
        if ready + TAKE_UP < end:
            judged += 1
            after = {d for (at, d) in watch.champions if ready + TAKE_UP <= at < end}
            late += after != {digest}
    told = f"{len(watch.changes)} changes, {judged} of them long enough before the next"
    return Verdict(aim, not late if judged else None, f"{told}; {late} late")


def judge_audit(audit: Audit, answered: int) -> Verdict:
    """Judge the audit log."""
    aim = "the audit log is whole and has every answered request"
    if audit.whole is None:
        return Verdict(aim, None, "the service keeps no audit log")
    state = "whole" if audit.whole else "NOT whole"
    found = f"{state}, {audit.rows:,} rows; {audit.missing} of {answered:,} answered are missing"
    return Verdict(aim, audit.whole and not audit.missing, found)


def find_slope(watch: Watch, seconds: float) -> float | None:
    """Find how resident memory grows after the first third, MiB an hour, by Theil and Sen.

    A median of slopes: a worker that has just been killed is one low point.
    """
    late = np.array([point for point in watch.memory if point[0] >= seconds / 3])
    if len(late) < 3:
        return None
    return float(theilslopes(late[:, 1], late[:, 0]).slope * 3600)


def describe(soaked: Soaked) -> str:
    """Describe how it went."""
    plan, watch = soaked.plan, soaked.watch
    goals = [[one.aim, one.found, one.word] for one in judge(soaked)]
    return "\n".join(
        [
            f"SIMULATED patients. {plan.minutes:g} minutes at {plan.rate:g} requests a second, "
            f"{plan.callers} connections, {soaked.workers} workers.",
            "",
            format_table(["asked", "answered", "times"], list(list_statuses(watch))),
            "",
            describe_memory(watch, plan.seconds),
            "",
            format_table(["what must hold", "found", "verdict"], goals),
        ]
    )


def list_statuses(watch: Watch) -> Iterator[list[str]]:
    """List what was answered to what."""
    for (kind, status), count in sorted(watch.statuses.items()):
        yield [kind, status, f"{count:,}"]


def describe_memory(watch: Watch, seconds: float) -> str:
    """Describe the memory of all processes of the service."""
    values = [value for _, value in watch.memory]
    slope = find_slope(watch, seconds)
    grown = "too short to tell a slope" if slope is None else f"{slope:+.0f} MiB an hour"
    return (
        f"Resident memory, all processes: {values[0]:.0f} MiB at first, {max(values):.0f} at most, "
        f"{values[-1]:.0f} in the end; after the first third {grown}."
    )


def collect(soaked: Soaked) -> dict[str, Any]:
    """Collect everything for JSON."""
    watch = soaked.watch
    return {
        "data": "SIMULATED",
        "plan": vars(soaked.plan),
        "answers": [
            {"asked": kind, "answered": status, "times": count}
            for (kind, status), count in sorted(watch.statuses.items())
        ],
        "compared": watch.compared,
        "changes": len(watch.changes),
        "kills": len(watch.kills),
        "memory": watch.memory,
        "memory_slope": find_slope(watch, soaked.plan.seconds),
        "verdicts": [vars(one) | {"verdict": one.word} for one in judge(soaked)],
    }
