"""Recording: one audit row per answered request, written before the answer is sent."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from features.base.errors import InputError, Problem, UnavailableError
from serving.base.exchange import Exchange
from serving.base.logs import log_event
from serving.base.metrics import ESTIMATED, Metrics
from serving.base.settings import ServingSettings
from serving.estimates.predictor import Predictor
from serving.store.audit import Answered
from serving.store.secrets import INPUTS_VARIABLE, InputsSeal, Secrets, read_inputs_seal
from serving.store.writer import AuditWriter

Result = Mapping[str, Any]


@dataclass(frozen=True, repr=False)  # a repr would show probabilities
class Summary:
    """What is recorded and counted of answers."""

    predictor: Predictor
    # Per assessment, the probability of each model; None if it breaks a rule.
    probabilities: list[list[float | None] | None] = field(default_factory=list)
    # How often each model and version gave an estimate, or abstained for a reason.
    results: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, results: Iterable[Result]) -> None:
        """Add some answers."""
        models = self.predictor.names
        for result in results:
            if "estimates" not in result:
                self.probabilities.append(None)
                continue
            probabilities: list[float | None] = [None] * len(models)
            for estimate in result["estimates"]:
                abstained, model = estimate["abstained"], estimate["model"]
                name_and_version = model["name"], model["version"]
                probabilities[models.index(name_and_version)] = estimate["probability"]
                reason = ESTIMATED if abstained is None else abstained["reason"]
                self.results[*name_and_version, reason] += 1
            self.probabilities.append(probabilities)


@dataclass(frozen=True)
class Recorder:
    """Writes answers to the audit log."""

    writer: AuditWriter
    secrets: Secrets
    metrics: Metrics
    seal: InputsSeal | None = None  # Encrypts the inputs that are kept; None if none are
    required: bool = True  # Whether an answer that cannot be recorded is withheld

    async def record(self, exchange: Exchange, summary: Summary) -> None:
        """Write one answered request, and count it once it is committed.

        Raises UnavailableError if it cannot be written but is required: an answer that is not in
        the log is neither counted nor given.
        """
        exchange.answered = len(summary.probabilities)
        answered = Answered(
            request_id=exchange.id,
            time=datetime.now(UTC).isoformat(timespec="microseconds"),
            route=exchange.route,
            key_id=exchange.key_id,
            models=summary.predictor.labels,
            answers=summary.probabilities,
            inputs_digest=self.secrets.digest_inputs(exchange.body),
            inputs=None if self.seal is None else self.seal.seal(exchange.body),
        )
        try:
            await self.writer.write(answered)
        except UnavailableError:
            if self.required:
                raise
            self.metrics.unaudited.inc()
            log_event("unaudited", request_id=exchange.id)
        self.metrics.note_estimates(summary.results)


def choose_seal(settings: ServingSettings, environment: Mapping[str, str]) -> InputsSeal | None:
    """Choose what encrypts kept inputs; raise InputError if they are to be kept without a key."""
    if not settings.store_inputs:
        return None
    seal = read_inputs_seal(environment)
    if seal is None:
        message = "is required to keep inputs: a Fernet key"
        raise InputError([Problem(INPUTS_VARIABLE, "required", message)], source="environment")
    return seal
