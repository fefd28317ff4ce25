"""The roster: the champions that answer, loaded from BentoML's store while others serve."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bentoml

from features.base.errors import (
    ArtifactError,
    DictionaryError,
    KetamineResponseError,
    UnavailableError,
)
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.records.assessment import parse_rows
from serving.estimates.predictor import Predictor
from serving.models.champion import Champion
from serving.models.models import (
    NO_CHAMPION,
    PROJECT,
    PROJECT_LABEL,
    load_champion,
)

# In which BentoML names the latest version of a model; listing the store would read every model.
LATEST_FILE = "latest"


@dataclass
class Roster:
    """The champions that answer, and the reasons why others do not."""

    folder: Path  # Of the models in BentoML's store
    least_sample_size: float
    tags: Sequence[str] | None = None  # Of a Bento; if None, the latest of each name is followed
    predictor: Predictor | None = None
    reasons: tuple[str, ...] = ()  # Why the service is degraded; empty if it is not
    _seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def champions(self) -> tuple[Champion, ...]:
        """The champions that answer."""
        return () if self.predictor is None else self.predictor.champions

    @property
    def dictionary(self) -> Dictionary:
        """The fields that the champions know."""
        return load_dictionary() if self.predictor is None else self.predictor.dictionary

    def refresh(self) -> bool:
        """Load new champions from the store, verified and tested; return whether they changed.

        If a champion cannot be read, the one before it continues, and a reason is noted.
        """
        wanted = self._list_wanted()
        # With a reason it tries again: what could not be read may have been repaired.
        if wanted == self._seen and not self.reasons:
            return False
        serving = {champion.model.card.name: champion for champion in self.champions}
        reasons: list[str] = []
        champions = [
            champion
            for name in dict.fromkeys((*wanted, *serving))
            if (champion := self._find(name, wanted.get(name), serving.get(name), reasons))
        ]
        changed = [new.tag for new in champions] != [old.tag for old in self.champions]
        if changed:
            try:
                self.predictor = Predictor(champions, self.least_sample_size)
            except DictionaryError as error:
                changed = False
                names = dict.fromkeys(problem.field for problem in error.problems)
                reasons.append(f"two champions define one thing differently: {', '.join(names)}")
        self._seen, self.reasons = wanted, tuple(reasons)
        return changed

    def require(self) -> Predictor:
        """Return the predictor; raise UnavailableError if no champion could be loaded."""
        if self.predictor is None:
            raise UnavailableError("; ".join(self.reasons) or NO_CHAMPION)
        return self.predictor

    def _list_wanted(self) -> dict[str, str]:
        if self.tags is not None:
            pairs = (tag.partition(":") for tag in self.tags)
            return {name: version for name, _, version in pairs}
        paths = sorted(self.folder.glob(f"*/{LATEST_FILE}"))
        names = [path.parent.name for path in paths]
        # Empty while it is being written: the version seen before is still valid.
        latest = [_read_latest(path) or self._seen.get(path.parent.name, "") for path in paths]
        return {name: version for name, version in zip(names, latest, strict=True) if version}

    def _find(
        self, name: str, version: str | None, serving: Champion | None, reasons: list[str]
    ) -> Champion | None:
        if version is None:
            reasons.append(f"{name}: no longer in the store; the loaded one continues to serve")
            return serving
        if serving is not None and serving.tag == f"{name}:{version}":
            return serving
        try:
            return _try_champion(_get_stored(f"{name}:{version}"))
        except NotOursError:
            return None
        except KetamineResponseError as error:
            # A champion that cannot be read must not end a service that has an earlier one.
            before = serving or self._find_before(name, version)
            instead = "none serves" if before is None else f"{before.tag} serves"
            reasons.append(f"{error}; {instead}")
            return before

    def _find_before(self, name: str, version: str) -> Champion | None:
        older = []
        for path in (self.folder / name).glob("*/"):
            if path.name != version:
                with suppress(KetamineResponseError):
                    older.append(_get_stored(f"{name}:{path.name}"))
        for stored in sorted(older, key=lambda model: model.creation_time, reverse=True):
            with suppress(KetamineResponseError):
                return _try_champion(stored)
        return None


class NotOursError(UnavailableError):
    """A model of the store that belongs to another project."""


# Empty while it is being written.
def _read_latest(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


def _get_stored(tag: str) -> Any:
    try:
        stored = bentoml.models.get(tag)
        ours = stored.info.labels.get(PROJECT_LABEL) == PROJECT
    except Exception:  # BentoML passes on whatever its parsers raise
        raise ArtifactError(f"{tag}: its entry in the store cannot be read") from None
    if not ours:
        raise NotOursError(f"{tag} belongs to another project")
    return stored


# Once, so that it is warm and known to work before a request needs it.
def _try_champion(stored: Any) -> Champion:
    champion = load_champion(stored)
    card = champion.model.card
    lows = {r.field: r.low for r in card.ranges if r.low is not None}
    instrument = card.outcome.instrument
    # Within the range that the model was developed on.
    example: dict[str, Any] = {"patient_id": "example", "condition": card.conditions[0]}
    example[instrument] = lows.get(instrument, 0)
    columns, _ = parse_rows([example], dictionary=card.dictionary)
    try:
        Predictor([champion], 0).estimate(columns)
    except (ArtifactError, UnavailableError) as error:
        raise type(error)(f"{champion.tag}: {error}") from None
    except Exception:
        # Without the cause, whose message may hold values.
        raise ArtifactError(f"{champion.tag}: it cannot estimate") from None
    return champion
