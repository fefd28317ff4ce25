"""The report on a soak: what was answered, and whether all of it was as it must be."""

import numpy as np
from scipy.stats import theilslopes

from experiments.benchmarks.report import Report, Section, Verdict, format_table, format_verdicts
from experiments.benchmarks.serving.soak import SoakAudit, SoakResult
from experiments.benchmarks.serving.soak_watch import Watch

# Seconds in which a new champion must answer, and during which a kill excuses lost connections.
_TAKE_UP, _EXCUSE = 30.0, 15.0


def report_soak(soaked: SoakResult) -> Report:
    """Report on a soak."""
    plan, watch, verdicts = soaked.plan, soaked.watch, judge_soak(soaked)
    statuses = sorted(watch.statuses.items())
    blocks = [
        f"SIMULATED patients. {plan.minutes:g} minutes at {plan.rate:g} requests per second, "
        f"{plan.callers} connections, {soaked.workers} workers.",
        format_table(
            ["asked", "answered", "times"],
            [[kind, status, f"{count:,}"] for (kind, status), count in statuses],
        ),
        _describe_memory(watch, plan.seconds),
        format_verdicts(verdicts),
    ]
    data = {
        "data": "SIMULATED",
        "plan": vars(plan),
        "answers": [
            {"asked": kind, "answered": status, "times": count}
            for (kind, status), count in statuses
        ],
        "compared": watch.compared,
        "changes": len(watch.changes),
        "kills": len(watch.kills),
        "memory": watch.memory,
        "memory_slope": compute_memory_slope(watch, plan.seconds),
    }
    return Report([Section("benchmark soak", "benchmarks/serving.md", blocks)], data, verdicts)


def judge_soak(soaked: SoakResult) -> list[Verdict]:
    """Judge what must hold of every answer."""
    watch = soaked.watch
    return [
        Verdict(
            "every answer is the library's, for the champion that it names",
            bool(watch.compared) and not watch.wrong,
            _join_complaints(f"{watch.compared:,} compared", watch.wrong),
        ),
        Verdict(
            "every status is a documented one",
            not watch.forbidden,
            _join_complaints(f"{watch.statuses.total():,} requests", watch.forbidden),
        ),
        _judge_lost(watch),
        _judge_changes(watch, soaked.plan.seconds),
        Verdict(
            "every killed worker comes back",
            soaked.workers_left == soaked.workers,
            f"{len(watch.kills)} killed; {soaked.workers_left} of {soaked.workers} at the end",
        ),
        _judge_audit(soaked.audit, len(watch.request_ids)),
    ]


def _join_complaints(count: str, complaints: list[str]) -> str:
    return "; ".join([count, *complaints[:3]])


def _judge_lost(watch: Watch) -> Verdict:
    unexcused = [
        moment for moment in watch.lost
        if not any(-1 <= moment - kill <= _EXCUSE for kill in watch.kills)
    ]  # fmt: skip
    counts = f"{len(watch.lost)} lost, {len(unexcused)} of them at another time"
    return Verdict("connections are lost only around a kill", not unexcused, counts)


def _judge_changes(watch: Watch, seconds: float) -> Verdict:
    aim = f"a new champion answers within {_TAKE_UP:.0f} s, without a restart"
    ends = [start for start, _, _ in watch.changes[1:]] + [seconds]
    late = judged = 0
    for (_, ready, digest), end in zip(watch.changes, ends, strict=False):
        if ready + _TAKE_UP < end:
            judged += 1
            after = {d for (second, d) in watch.champions if ready + _TAKE_UP <= second < end}
            late += after != {digest}
    counts = f"{len(watch.changes)} changes, {judged} of them long enough before the next"
    return Verdict(aim, not late if judged else None, f"{counts}; {late} late")


def _judge_audit(audit: SoakAudit, answered: int) -> Verdict:
    aim = "the audit log is intact and has every answered request"
    if audit.whole is None:
        return Verdict(aim, None, "the service keeps no audit log")
    state = "intact" if audit.whole else "NOT intact"
    counts = f"{state}, {audit.rows:,} rows; {audit.missing} of {answered:,} answered are missing"
    return Verdict(aim, audit.whole and not audit.missing, counts)


def compute_memory_slope(watch: Watch, seconds: float) -> float | None:
    """Compute how resident memory grows after the first third, MiB per hour, by Theil and Sen.

    A median of slopes, as a worker that has just been killed is one low point.
    """
    late = np.array([point for point in watch.memory if point[0] >= seconds / 3])
    if len(late) < 3:
        return None
    return float(theilslopes(late[:, 1], late[:, 0]).slope * 3600)


def _describe_memory(watch: Watch, seconds: float) -> str:
    values = [value for _, value in watch.memory]
    slope = compute_memory_slope(watch, seconds)
    grown = "too short for a slope" if slope is None else f"{slope:+.0f} MiB per hour"
    return (
        f"Resident memory, all processes: {values[0]:.0f} MiB at first, {max(values):.0f} at most, "
        f"{values[-1]:.0f} in the end; after the first third {grown}."
    )
