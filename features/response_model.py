"""Response models: a card and an equation, on disk and in memory.

This is the one inference path: training evaluates exactly what serving runs. On disk a model is
``card.json``, ``terms.npz`` and, for a model with trees, ``trees-*.ubj``, each with its SHA-256 in
the card. Nothing is pickled.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from features.columns import Columns
from features.contract import ModelCard
from features.equation import ALL_VERSIONS, Equation
from features.errors import ArtifactError
from features.files import digest_bytes, write_bytes_whole
from features.terms import TERMS_FILE, Numbers, dump_terms, parse_terms
from features.trees import dump_booster, parse_booster

CARD_FILE = "card.json"
# What training writes into MLflow's registry, and serving reads there.
ARTIFACT_FOLDER = "data/model"
CHAMPION_ALIAS, CHALLENGER_ALIAS = "champion", "challenger"
DIGEST_TAG = "digest"
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Prediction:
    """Probabilities of many assessments, each array ``[rows]``.

    Parameters
    ----------
    low, high
        Interval for the patient's own probability at the card's level; NaN without
        re-developments.
    effective_sample_size
        How many patients just like this one the estimate is worth: p(1-p)/var(p), Thomassen et
        al., Stat Med 2024.
    """

    log_odds: Numbers
    probability: Numbers
    low: Numbers
    high: Numbers
    effective_sample_size: Numbers


def compute_probability(log_odds: Numbers) -> Numbers:
    """Turn log-odds into probabilities.

    Examples
    --------
    >>> compute_probability(np.array([0.0, 800.0, -800.0]))
    array([0.5, 1. , 0. ])
    """
    falling = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, falling) / (1.0 + falling)


def summarise_versions(log_odds: Numbers, level: float) -> Prediction:
    """Turn the log-odds of a model and its re-developments into estimates with intervals.

    Parameters
    ----------
    log_odds
        ``[rows, versions]``, the model itself first.
    """
    probability = compute_probability(log_odds)
    point, others = probability[:, 0], probability[:, 1:]
    if not others.shape[1]:
        unknown = np.full(len(point), np.nan)
        return Prediction(log_odds[:, 0], point, unknown, unknown, unknown)
    tail = (1 - level) / 2
    low, high = np.quantile(others, [tail, 1 - tail], axis=1)
    variance = np.maximum(others.var(axis=1), np.finfo(float).tiny)
    size = point * (1 - point) / variance
    return Prediction(log_odds[:, 0], point, np.minimum(low, point), np.maximum(high, point), size)


@dataclass(frozen=True)
class ResponseModel:
    """A fitted model with its card.

    Parameters
    ----------
    digest
        SHA-256 of the card as stored, and so of the whole model; empty before it is saved.
    """

    card: ModelCard
    equation: Equation
    digest: str = ""

    def predict(self, columns: Columns) -> Prediction:
        """Estimate probabilities with their intervals, in blocks that bound the memory."""
        blocks = []
        for start in range(0, max(columns.size, 1), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, columns.size))
            log_odds = self.equation.compute_log_odds(columns.select(rows), ALL_VERSIONS)
            blocks.append(summarise_versions(log_odds, self.card.interval.level))
        names = Prediction.__dataclass_fields__
        return Prediction(*(np.concatenate([getattr(b, name) for b in blocks]) for name in names))

    def save(self, folder: Path) -> str:
        """Write the model into a new folder.

        Returns
        -------
        str
            SHA-256 of the card, which holds those of the other files: the model's digest.
        """
        folder.mkdir(parents=True)
        contents = {TERMS_FILE: dump_terms(self.equation.terms)}
        for number, booster in enumerate(self.equation.boosters):
            contents[f"trees-{number:04d}.ubj"] = dump_booster(booster)
        for name, content in contents.items():
            write_bytes_whole(folder / name, content)
        files = {name: digest_bytes(content) for name, content in contents.items()}
        card = self.card.model_copy(update={"files": files}).model_dump_json(indent=1).encode()
        write_bytes_whole(folder / CARD_FILE, card)
        return digest_bytes(card)

    @classmethod
    def load(cls, folder: Path, digest: str | None = None) -> "ResponseModel":
        """Read a model and check every byte of it.

        Parameters
        ----------
        digest
            The digest promised by whoever named the model; None to trust the card found.

        Raises
        ------
        ArtifactError
            If a file is missing, damaged, of another format, or not the model promised.
        """
        raw = _read(folder, CARD_FILE)
        if digest is not None and digest_bytes(raw) != digest:
            raise ArtifactError(f"{CARD_FILE} is not the one promised: its digest differs")
        try:
            card = ModelCard.model_validate_json(raw)
        except ValidationError:
            raise ArtifactError(f"{CARD_FILE} is not a card of format 1") from None
        contents = {name: _read_checked(folder, name, card.files[name]) for name in card.files}
        terms = parse_terms(contents.pop(TERMS_FILE, b""))
        boosters = tuple(parse_booster(contents[name]) for name in sorted(contents))
        equation = Equation(card.features, card.sites, terms, boosters)
        return cls(card, equation, digest_bytes(raw))


def _read(folder: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise ArtifactError("the card names a file outside its folder")
    try:
        return (folder / name).read_bytes()
    except OSError:
        raise ArtifactError(f"{name} is missing or unreadable") from None


def _read_checked(folder: Path, name: str, digest: str) -> bytes:
    content = _read(folder, name)
    if digest_bytes(content) != digest:
        raise ArtifactError(f"{name} is damaged: its digest differs from the card's")
    return content
