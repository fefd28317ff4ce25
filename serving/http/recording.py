"""Recording: each answered request as one row of the audit, before the answer leaves."""

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


@dataclass(frozen=True, repr=False)  # probabilities are not to be shown, whoever asks
class Summary:
    """What is recorded and counted of answers, once they are written and gone.

    Parameters
    ----------
    probabilities
        For each assessment what each model said of it; None for one that broke a rule.
    results
        How often each model and version gave an estimate, or withheld one for a reason.
    """

    predictor: Predictor
    probabilities: list[list[float | None] | None] = field(default_factory=list)
    results: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, results: Iterable[Result]) -> None:
        """Add some answers."""
        champions = self.predictor.champions
        places = {(one.model.card.name, one.version): n for n, one in enumerate(champions)}
        for result in results:
            if "estimates" not in result:
                self.probabilities.append(None)
                continue
            said: list[float | None] = [None] * len(places)
            for estimate in result["estimates"]:
                abstained, model = estimate["abstained"], estimate["model"]
                known = model["name"], model["version"]
                said[places[known]] = estimate["probability"]
                reason = ESTIMATED if abstained is None else abstained["reason"]
                self.results[*known, reason] += 1
            self.probabilities.append(said)


@dataclass(frozen=True)
class Recorder:
    """Writes what was answered.

    Parameters
    ----------
    seal
        What encrypts the inputs that are kept; None where none are.
    required
        Whether what cannot be written is not answered.
    """

    writer: AuditWriter
    secrets: Secrets
    metrics: Metrics
    seal: InputsSeal | None = None
    required: bool = True

    @property
    def problem(self) -> str | None:
        """Why the audit cannot be written, if so."""
        return self.writer.problem

    async def record(self, exchange: Exchange, summary: Summary) -> None:
        """Write one answered request, and return once it is safe.

        Raises
        ------
        UnavailableError
            If it cannot be written and must be.
        """
        answered = Answered(
            request_id=exchange.id,
            time=datetime.now(UTC).isoformat(timespec="microseconds"),
            route=exchange.route,
            key_id=exchange.key_id,
            models=tuple(
                f"{one.model.card.name}@{one.version} {one.model.digest}"
                for one in summary.predictor.champions
            ),
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


def choose_seal(settings: ServingSettings, environment: Mapping[str, str]) -> InputsSeal | None:
    """Choose what encrypts the inputs that are kept; None where none are.

    Raises
    ------
    InputError
        If they are to be kept and there is no key.
    """
    if not settings.store_inputs:
        return None
    seal = read_inputs_seal(environment)
    if seal is None:
        message = "is required to keep inputs: a Fernet key"
        raise InputError([Problem(INPUTS_VARIABLE, "required", message)], source="environment")
    return seal
