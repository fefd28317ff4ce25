"""Response models: a card and an equation, on disk and in memory.

This is the one inference path: training evaluates exactly what serving runs. On disk a model is
``card.json``, ``terms.npz`` and, for a model with trees, ``trees-*.ubj``, each with its SHA-256 in
the card. Nothing is pickled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from features.base.arrays import Flags, Numbers
from features.base.errors import ArtifactError
from features.base.files import digest_bytes, write_bytes_atomic
from features.model.card import ModelCard
from features.model.equation import ALL_VERSIONS, MODEL_ALONE, Equation, Explanation
from features.model.plan import ROUNDING, Rows
from features.model.terms import TERMS_FILE, dump_terms, parse_terms
from features.model.trees import dump_booster, parse_booster
from features.records.columns import Columns

CARD_FILE = "card.json"
# What training writes into MLflow's registry, and serving reads there.
ARTIFACT_FOLDER = "data/model"
CHAMPION_ALIAS, CHALLENGER_ALIAS = "champion", "challenger"
DIGEST_TAG = "digest"
LEAST_VARIANCE = np.finfo(np.float64).tiny
# Rows that are read, and of which all versions are summed, at a time: so few that what is computed
# stays near the processor.
MOST_ROWS, BLOCK_ROWS = 512, 128


Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True)
class Prediction:
    """Probabilities of many assessments, each array ``[rows]``.

    Parameters
    ----------
    low, high
        Interval for the patient's own probability at the card's level; NaN without
        re-developments, or where nobody asked.
    effective_sample_size
        How many patients just like this one the estimate is worth: p(1-p)/var(p), Thomassen et
        al., Stat Med 2024.
    """

    log_odds: Numbers
    probability: Numbers
    low: Numbers
    high: Numbers
    effective_sample_size: Numbers


def compute_probability(log_odds: NDArray[Real]) -> NDArray[Real]:
    """Turn log-odds into probabilities.

    Examples
    --------
    >>> compute_probability(np.array([0.0, 800.0, -800.0]))
    array([0.5, 1. , 0. ])
    >>> float(compute_probability(np.array(0.0)))
    0.5
    """
    # Negating an array of no dimension gives a number, into which nothing can be written.
    odds_against = np.asarray(np.negative(log_odds))
    with np.errstate(over="ignore"):
        np.exp(odds_against, out=odds_against)
    odds_against += 1.0
    probability: NDArray[Real] = np.reciprocal(odds_against, out=odds_against)
    return probability


def summarise_versions(log_odds: Numbers, level: float | None) -> Prediction:
    """Turn the log-odds of a model and its re-developments into estimates with intervals.

    Parameters
    ----------
    log_odds
        ``[rows, versions]``, the model itself first.
    level
        Of the interval; None where nobody asks for one.
    """
    probability = compute_probability(log_odds)
    point, others = probability[:, 0], probability[:, 1:]
    if not others.shape[1]:
        unknown = np.full(len(point), np.nan)
        return Prediction(log_odds[:, 0], point, unknown, unknown, unknown)
    if level is not None:
        others = np.sort(others, axis=1)
    summary = weigh_ordered(others.shape[1], level)
    low, high, mean = (others @ summary).T
    variance = np.square(others - mean[:, None]) @ summary[:, 2]
    size = point * (1 - point) / np.maximum(variance, LEAST_VARIANCE)
    if level is None:
        low = high = np.full(len(point), np.nan)
    return Prediction(log_odds[:, 0], point, np.minimum(low, point), np.maximum(high, point), size)


def hold_sizes(
    probability: Numbers, log_odds: NDArray[np.float32], error: Numbers, least: float
) -> tuple[Numbers, Flags]:
    """Hold effective sample sizes against a limit, from sums in single precision.

    Parameters
    ----------
    probability
        ``[rows]``: the model's own.
    log_odds
        ``float32[rows, re-developments]``.
    error
        ``[rows]``: how far off each of those can be.

    Returns
    -------
    ndarray
        ``[rows]``: effective sample sizes.
    ndarray
        ``[rows]``: whether each is surely on this side of the limit.
    """
    others = compute_probability(log_odds)
    others -= others.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(others).mean(axis=1, dtype=np.float64))
    certain = probability * (1 - probability)
    # A probability moves by a quarter of its log-odds at most; it is rounded, and so is the mean.
    error = error / 4 + ROUNDING * (others.shape[1] + 8)
    sure = np.abs(spread - np.sqrt(certain / least)) > error
    return certain / np.maximum(np.square(spread), LEAST_VARIANCE), sure


@lru_cache(maxsize=64)
def weigh_ordered(count: int, level: float | None) -> Numbers:
    """Make the weights that turn values in order into an interval and a mean.

    Returns
    -------
    ndarray
        ``[count, 3]``: the interval's low and high end, each between its two nearest values, and
        the mean; the interval's are 0 without a level.

    Examples
    --------
    >>> np.array([1.0, 2.0, 3.0, 5.0, 9.0]) @ weigh_ordered(5, 0.8)
    array([1.4, 7.4, 4. ])
    """
    weights = np.zeros((count, 3))
    weights[:, 2] = 1 / count
    tail = 0.0 if level is None else (1 - level) / 2
    for end, share in enumerate((tail, 1 - tail) if level is not None else ()):
        place = share * (count - 1)
        below = min(int(place), count - 1)
        weights[below, end] += 1 - (place - below)
        weights[min(below + 1, count - 1), end] += place - below
    weights.flags.writeable = False
    return weights


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
        """Estimate probabilities with their intervals."""
        level = self.card.interval.level
        return join_parts([self._summarise(rows, level) for rows in self._read(columns)])

    def predict_briefly(self, columns: Columns, least: float = 0.0) -> Prediction:
        """Estimate probabilities without intervals.

        Parameters
        ----------
        least
            What effective sample sizes are held against: each is as exact as it must be to lie on
            its own side. Where it is 0 they are NaN: the model alone will do.
        """
        return join_parts([self._hold_against(rows, least) for rows in self._read(columns)])

    def predict_and_explain(self, columns: Columns) -> tuple[Prediction, Explanation]:
        """Estimate probabilities with their intervals, and split the log-odds by field."""
        level, equation = self.card.interval.level, self.equation
        found = [
            (self._summarise(rows, level), equation.split_up(rows)) for rows in self._read(columns)
        ]
        predictions, explanations = zip(*found, strict=True)
        return join_parts(predictions), join_explanations(explanations)

    def _summarise(
        self, rows: Rows, level: float | None, versions: slice = ALL_VERSIONS
    ) -> Prediction:
        blocks = self.equation.sum_up(rows, versions, BLOCK_ROWS)
        return join_parts([summarise_versions(log_odds, level) for log_odds in blocks])

    def _hold_against(self, rows: Rows, least: float) -> Prediction:
        if least and not self.equation.straight:
            return self._summarise(rows, None)
        found = self._summarise(rows, None, MODEL_ALONE)
        if not least or len(self.equation.terms.intercept) == 1:
            return found
        log_odds, error = self.equation.plan.sum_roughly(rows)
        sizes, sure = hold_sizes(found.probability, log_odds, error, least)
        if not sure.all():
            exact = self._summarise(rows.select(~sure), None)
            sizes[~sure] = exact.effective_sample_size
        return replace(found, effective_sample_size=sizes)

    def _read(self, columns: Columns) -> Iterator[Rows]:
        """Read rows, not too many at once."""
        if columns.size <= MOST_ROWS:
            yield self.equation.plan.read(columns)
            return
        for start in range(0, columns.size, MOST_ROWS):
            rows = np.arange(start, min(start + MOST_ROWS, columns.size))
            yield self.equation.plan.read(columns.select(rows))

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
            write_bytes_atomic(folder / name, content)
        files = {name: digest_bytes(content) for name, content in contents.items()}
        card = self.card.model_copy(update={"files": files}).model_dump_json(indent=1).encode()
        write_bytes_atomic(folder / CARD_FILE, card)
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


def join_parts(parts: Sequence[Prediction]) -> Prediction:
    """Join the predictions of blocks."""
    if len(parts) == 1:
        return parts[0]
    names = Prediction.__dataclass_fields__
    return Prediction(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def join_explanations(parts: Sequence[Explanation]) -> Explanation:
    """Join the explanations of blocks."""
    if len(parts) == 1:
        return parts[0]
    return Explanation(
        np.concatenate([part.intercept for part in parts]),
        parts[0].fields,
        np.concatenate([part.contributions for part in parts]),
    )


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
