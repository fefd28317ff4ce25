"""The roster: the champions that answer, taken up from BentoML's store while others serve."""

from collections.abc import Mapping, Sequence
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
from features.model.card import ModelCard
from features.records.assessment import parse_rows
from serving.estimates.predictor import Predictor
from serving.models.models import PROJECT, PROJECT_LABEL, Champion, load_champion

LATEST_FILE = "latest"


@dataclass
class Roster:
    """The champions that answer, and what is wrong with those that should.

    Parameters
    ----------
    folder
        Of the models in BentoML's store.
    tags
        The models of a Bento; None for the latest of each name, watched.
    reasons
        Why the service is not as it should be; empty where it is.
    """

    folder: Path
    least_sample_size: float
    tags: Sequence[str] | None = None
    predictor: Predictor | None = None
    reasons: tuple[str, ...] = ()
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
        """Take up what is new in the store, checked and tried out first.

        A champion that cannot be read leaves the one before it in its place, and a reason.

        Returns
        -------
        bool
            Whether other champions answer from now on.
        """
        wanted = self._list_wanted()
        if wanted == self._seen and not self.reasons:
            return False
        serving = {champion.model.card.name: champion for champion in self.champions}
        reasons: list[str] = []
        found = [
            champion
            for name in dict.fromkeys((*wanted, *serving))
            if (champion := self._find(name, wanted.get(name), serving.get(name), reasons))
        ]
        changed = [one.tag for one in found] != [one.tag for one in self.champions]
        if changed:
            try:
                self.predictor = Predictor(found, self.least_sample_size)
            except DictionaryError:
                changed = False
                reasons.append("two champions define one instrument differently")
        self._seen, self.reasons = wanted, tuple(reasons)
        return changed

    def require(self) -> Predictor:
        """Return the predictor.

        Raises
        ------
        UnavailableError
            If no champion could be loaded.
        """
        if self.predictor is None:
            reasons = "; ".join(self.reasons)
            raise UnavailableError(
                reasons
                or "no champion in BentoML's model store; `python -m serving pull` brings them"
            )
        return self.predictor

    def _list_wanted(self) -> dict[str, str]:
        if self.tags is not None:
            pairs = (tag.partition(":") for tag in self.tags)
            return {name: version for name, _, version in pairs}
        paths = sorted(self.folder.glob(f"*/{LATEST_FILE}"))
        names = [path.parent.name for path in paths]
        # Empty while it is being written: what was seen before still holds.
        latest = [read_latest(path) or self._seen.get(path.parent.name, "") for path in paths]
        return {name: version for name, version in zip(names, latest, strict=True) if version}

    def _find(
        self, name: str, version: str | None, serving: Champion | None, reasons: list[str]
    ) -> Champion | None:
        if version is None:
            reasons.append(f"{name}: gone from the store; the one loaded goes on")
            return serving
        if serving is not None and serving.tag == f"{name}:{version}":
            return serving
        try:
            return try_champion(get_stored(f"{name}:{version}"))
        except NotOursError:
            return None
        except KetamineResponseError as error:
            before = serving or self._find_before(name, version)
            instead = "none serves" if before is None else f"{before.tag} serves"
            reasons.append(f"{error}; {instead}")
            return before

    def _find_before(self, name: str, version: str) -> Champion | None:
        """Find the newest of the older champions that can be read."""
        older = []
        for path in (self.folder / name).glob("*/"):
            if path.name != version:
                try:
                    older.append(get_stored(f"{name}:{path.name}"))
                except KetamineResponseError:
                    continue
        for stored in sorted(older, key=lambda one: one.creation_time, reverse=True):
            try:
                return try_champion(stored)
            except KetamineResponseError:
                continue
        return None


class NotOursError(UnavailableError):
    """A model of the store that belongs to another project."""


def read_latest(path: Path) -> str:
    """Read which version of a model is the latest; empty while that is being written."""
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


def get_stored(tag: str) -> Any:
    """Get a model of this project from the store.

    Raises
    ------
    ArtifactError
        If it cannot be read.
    NotOursError
        If it is another project's.
    """
    try:
        stored = bentoml.models.get(tag)
        ours = stored.info.labels.get(PROJECT_LABEL) == PROJECT
    except Exception:  # BentoML passes on whatever its parsers raise
        raise ArtifactError(f"{tag}: its entry in the store cannot be read") from None
    if not ours:
        raise NotOursError(f"{tag} belongs to another project")
    return stored


def try_champion(stored: Any) -> Champion:
    """Load a champion and let it answer once, so that it is warm and known to work.

    Raises
    ------
    ArtifactError
        If it is damaged, or fails.
    """
    champion = load_champion(stored)
    card = champion.model.card
    columns, _ = parse_rows([make_example(card)], dictionary=card.dictionary)
    try:
        Predictor([champion], 0).estimate(columns)
    except Exception:
        raise ArtifactError(f"{champion.tag}: it cannot answer") from None
    return champion


def make_example(card: ModelCard) -> dict[str, Any]:
    """Make somebody whom a model was developed on."""
    lows = {r.field: r.low for r in card.ranges if r.low is not None}
    instrument = card.outcome.instrument
    return {
        "patient_id": "example",
        "condition": card.conditions[0],
        instrument: lows.get(instrument, 0),
    }
