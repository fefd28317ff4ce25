"""Load for a service: requests made beforehand, sent by a process of their own, answers checked.

The generator must not be what is measured, so it knows next to nothing of HTTP: one request at a
time on each of its keep-alive connections, answers cut out by their content length.
"""

from experiments.benchmarks.serving.load.connection import (
    Answer,
    Caller,
    Connection,
    render_request,
)
from experiments.benchmarks.serving.load.measurement import Load, Measurement, measure
from experiments.benchmarks.serving.load.processes import (
    Cores,
    Memory,
    read_cpu,
    read_memory,
    share_cores,
    stay_on,
)

__all__ = [
    "Answer",
    "Caller",
    "Connection",
    "Cores",
    "Load",
    "Measurement",
    "Memory",
    "measure",
    "read_cpu",
    "read_memory",
    "render_request",
    "share_cores",
    "stay_on",
]
