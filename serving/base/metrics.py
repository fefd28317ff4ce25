"""Metrics for Prometheus: requests, estimates and champions; nothing about patients.

Every label has a fixed set of values: BentoML's own metrics would make a series for each path that
a client tries.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from features.base.processes import is_alive
from serving.base.exchange import Exchange

PREFIX = "ketamine_response_"
METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
# Bounds of buckets: one estimate takes about a millisecond, a large batch about a second.
SECONDS = (*(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05), *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0))
ESTIMATED = "estimated"


class Metrics:
    """The metrics of one process; `render` adds up those of all."""

    def __init__(self, shared: Path | None = None) -> None:
        # Where the processes of a service keep their metrics; None if there is one process.
        self.shared = shared
        self.registry = CollectorRegistry()
        self.requests = self._count("requests", "Requests answered", "route", "status")
        self.errors = self._count("errors", "Rules that requests broke", "rule")
        self.estimates = self._count(
            "estimates", "Estimates by result", "model", "version", "result"
        )
        self.unaudited = self._count("unaudited", "Answers without an audit row")
        self.seconds = Histogram(
            *(f"{PREFIX}request_seconds", "Time to an answer", ["route"]),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = self._gauge("in_flight", "Requests being read or answered")
        self.degraded = self._gauge("degraded", "Reasons why the service is degraded")
        self.champions = self._gauge(
            *("champion", "1 for a champion that answers, 0 for one that did"),
            *("model", "version", "digest", "data"),
        )
        self._shown: set[tuple[str, ...]] = set()
        # Finding a series by its labels costs more than counting in it.
        self._find_requests = cache(self.requests.labels)
        self._find_seconds = cache(self.seconds.labels)
        self._find_estimates = cache(self.estimates.labels)

    def note_request(self, exchange: Exchange, others: int) -> None:
        """Count an answered request, and set how many others are in flight."""
        self.in_flight.set(others)
        self._find_requests(exchange.route, exchange.status).inc()
        self._find_seconds(exchange.route).observe(exchange.seconds)

    def note_errors(self, rules: Iterable[str]) -> None:
        """Count broken rules."""
        for rule in rules:
            self.errors.labels(rule).inc()

    def note_estimates(self, results: Mapping[tuple[str, str, str], int]) -> None:
        """Count estimates by model, version and result."""
        for labels, count in results.items():
            self._find_estimates(*labels).inc(count)

    def note_champions(self, champions: Iterable[Any], reasons: int) -> None:
        """Set which champions answer, and the number of reasons why others do not."""
        answering = {
            (new.model.card.name, new.version, new.model.digest, new.model.card.data)
            for new in champions
        }
        self._shown |= answering
        for labels in self._shown:
            self.champions.labels(*labels).set(float(labels in answering))
        self.degraded.set(reasons)

    def render(self) -> bytes:
        """Write the metrics of all processes in Prometheus's text format."""
        if self.shared is None:
            return generate_latest(self.registry)
        forget_dead_processes(self.shared)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.shared))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        mode: Literal["livemax", "livesum"] = "livemax" if labels else "livesum"
        return Gauge(PREFIX + name, text, labels, registry=self.registry, multiprocess_mode=mode)


def forget_dead_processes(folder: Path) -> None:
    """Drop the gauges of processes that were killed."""
    for path in folder.glob("gauge_live*_*.db"):
        with suppress(ValueError):
            process = int(path.stem.rpartition("_")[2])
            if not is_alive(process):
                mark_process_dead(process, path=str(folder))  # type: ignore[no-untyped-call]
