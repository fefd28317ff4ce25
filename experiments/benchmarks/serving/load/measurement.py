"""A measurement: one load, put on a service by the generator's own process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.serving.load.processes import stay_on
from features.base.errors import UnavailableError

ROOT = Path(__file__).parents[4]
# Says what is wrong with the answer to a request, or None.
CheckAnswer = Callable[[int, str], str | None]


@dataclass(frozen=True)
class Load:
    """What to put on a service.

    Parameters
    ----------
    requests
        Whole requests, sent in turn.
    patients
        In each request.
    samples
        Of how many different requests an answer is checked.
    pid
        The server, whose processor time is taken; None for nobody's.
    """

    port: int
    requests: Sequence[bytes]
    connections: int = 1
    patients: int = 1
    warm_up: float = 1.0
    seconds: float = 5.0
    samples: int = 500
    pid: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What one load showed.

    Parameters
    ----------
    p50, p99
        Latency, ms, from every answer's.
    rate, patients_rate
        Answers with status 200 a second, and patients in them.
    cpu
        Processor time of the server, ms a request.
    patients_cpu
        Patients for each second of processor time.
    failed
        Answers with another status, connections lost, and requests never answered.
    checked, wrong
        Answers compared with what the library says, and those that differ.
    complaint
        What was wrong first, in words.
    """

    connections: int
    answers: int
    p50: float
    p99: float
    slowest: float
    rate: float
    patients_rate: float
    cpu: float | None
    patients_cpu: float | None
    failed: int
    checked: int
    wrong: int
    complaint: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether every request was answered, and rightly as far as was checked."""
        return self.answers > 0 and not self.failed and not self.wrong


def measure(load: Load, check: CheckAnswer, core: int | None = None) -> Measurement:
    """Put a load on a service and check what it answers.

    Parameters
    ----------
    core
        On which the generator stays.

    Raises
    ------
    UnavailableError
        If the generator fails.
    """
    asked = asdict(load) | {"requests": [one.decode("latin-1") for one in load.requests]}
    # Files, not pipes: what is asked and told goes into megabytes.
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile("w+") as target:
        json.dump(asked, source)
        source.seek(0)
        command = [sys.executable, "-m", "experiments.benchmarks.serving.load"]
        with stay_on(core):
            done = subprocess.run(command, cwd=ROOT, stdin=source, stdout=target, check=False)
        if done.returncode:
            raise UnavailableError("the load generator failed")
        target.seek(0)
        told = json.load(target)
    return summarise(load, told, check)


def summarise(load: Load, told: dict[str, Any], check: CheckAnswer) -> Measurement:
    """Turn what the generator saw into figures."""
    latencies = np.array(told["latencies"] or [np.nan]) / 1000
    answers = len(told["latencies"])
    right = told["statuses"].get("200", 0)
    complaints = [check(int(number), body) for number, body in told["sampled"].items()]
    wrong = [one for one in complaints if one is not None]
    others = {status: count for status, count in told["statuses"].items() if status != "200"}
    failed = sum(others.values()) + told["lost"] + told["unanswered"]
    cpu = told["cpu_seconds"]
    return Measurement(
        load.connections,
        answers,
        float(np.quantile(latencies, 0.5)),
        float(np.quantile(latencies, 0.99)),
        float(latencies.max()),
        right / told["seconds"],
        right * load.patients / told["seconds"],
        1000 * cpu / answers if cpu and answers else None,
        right * load.patients / cpu if cpu else None,
        failed,
        len(complaints),
        len(wrong),
        describe_complaint(others, told["lost"], told["unanswered"], wrong),
    )


def describe_complaint(
    others: Mapping[str, int], lost: int, unanswered: int, wrong: Sequence[str]
) -> str:
    """Say what went wrong; empty where nothing did.

    Examples
    --------
    >>> describe_complaint({"503": 2}, 1, 0, ["probability"])
    '2 answers 503; 1 lost; wrong: probability'
    """
    parts = [f"{count} answers {status}" for status, count in others.items()]
    parts += [f"{count} {what}" for what, count in (("lost", lost), ("unanswered", unanswered))
              if count]  # fmt: skip
    return "; ".join([*parts, *(f"wrong: {one}" for one in wrong[:1])])
