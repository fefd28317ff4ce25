"""Response models: a card and an equation, on disk and in memory.

This is the one inference path: training evaluates exactly what serving runs. On disk a model is
``card.json``, ``terms.npz`` and, for a model with trees, ``trees-*.ubj``, or for one exported from
scikit-learn ``classifier-*.onnx``, numbered by version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from features.base.errors import ArtifactError
from features.base.files import digest_bytes
from features.dictionary.dictionary import Dictionary
from features.model.artifact import CARD_FILE, read_file, read_files, write_files
from features.model.card import ModelCard
from features.model.classifier import ExportedClassifier
from features.model.equation import ALL_VERSIONS, MODEL_ALONE, Equation, Explanation
from features.model.matrix import translate_features
from features.model.plan import Rows
from features.model.prediction import (
    Prediction,
    compare_sizes,
    join_predictions,
    summarise_versions,
)
from features.model.terms import TERMS_FILE, dump_terms, parse_terms
from features.model.trees import dump_booster, parse_booster
from features.records.columns import Columns

# Rows that are read, and of which all versions are summed, at a time: few enough that what is
# computed stays in the processor's cache.
READ_ROWS, SUM_ROWS = 512, 128
_CLASSIFIER_FILE = "classifier-{:04d}.onnx"


@dataclass(frozen=True)
class ResponseModel:
    """A fitted model with its card."""

    card: ModelCard
    equation: Equation
    # SHA-256 of the card as stored, and so of the whole model; empty before it is saved.
    digest: str = ""

    def read_with(self, dictionary: Dictionary) -> "ResponseModel":
        """Return the model for columns that were read with another dictionary than the card's.

        Categories have other positions there if it knows the additions of several models.
        """
        known = self.card.dictionary
        if dictionary is known:
            return self
        features = translate_features(self.equation.features, known, dictionary)
        return replace(self, equation=replace(self.equation, features=features))

    def predict(self, columns: Columns) -> Prediction:
        """Estimate probabilities with their intervals."""
        level = self.card.interval.level
        return join_predictions([self._summarise(rows, level) for rows in self._read(columns)])

    def predict_briefly(self, columns: Columns, min_sample_size: float = 0.0) -> Prediction:
        """Estimate probabilities without intervals.

        Effective sample sizes are only as exact as it takes to be on the right side of
        `min_sample_size`. If that is 0 they are NaN, and re-developments are not computed.
        """
        return join_predictions(
            [self._compare(rows, min_sample_size) for rows in self._read(columns)]
        )

    def predict_and_explain(self, columns: Columns) -> tuple[Prediction, Explanation]:
        """Estimate probabilities with their intervals, and split the log-odds by field."""
        level, equation = self.card.interval.level, self.equation
        blocks = list(self._read(columns))
        predictions = [self._summarise(rows, level) for rows in blocks]
        explanations = [equation.split_rows(rows) for rows in blocks]
        return join_predictions(predictions), _join_explanations(explanations)

    def _summarise(
        self, rows: Rows, level: float | None, versions: slice = ALL_VERSIONS
    ) -> Prediction:
        blocks = self.equation.compute_blocks(rows, versions, SUM_ROWS)
        return join_predictions([summarise_versions(log_odds, level) for log_odds in blocks])

    def _compare(self, rows: Rows, limit: float) -> Prediction:
        if limit and not self.equation.straight:
            return self._summarise(rows, None)
        prediction = self._summarise(rows, None, MODEL_ALONE)
        if not limit or len(self.equation.terms.intercept) == 1:
            return prediction
        # Fast path of `_summarise` in single precision; rows too near the limit take the exact one.
        # On the same side of the limit by tests/features/model/test_response_model.py.
        log_odds, error = self.equation.plan.sum_roughly(rows)
        sizes, sure = compare_sizes(prediction.probability, log_odds, error, limit)
        if not sure.all():
            exact = self._summarise(rows.select(~sure), None)
            sizes[~sure] = exact.effective_sample_size
        return replace(prediction, effective_sample_size=sizes)

    def _read(self, columns: Columns) -> Iterator[Rows]:
        if columns.size <= READ_ROWS:
            yield self.equation.plan.read(columns)
            return
        for start in range(0, columns.size, READ_ROWS):
            rows = np.arange(start, min(start + READ_ROWS, columns.size))
            yield self.equation.plan.read(columns.select(rows))

    def save(self, folder: Path) -> str:
        """Write the model into a new folder, and return its digest.

        It is the SHA-256 of the card, which holds those of the other files.
        """
        folder.mkdir(parents=True)
        contents = {TERMS_FILE: dump_terms(self.equation.terms)}
        for number, booster in enumerate(self.equation.boosters):
            contents[f"trees-{number:04d}.ubj"] = dump_booster(booster)
        for number, classifier in enumerate(self.equation.classifiers):
            if classifier is not None:
                contents[_CLASSIFIER_FILE.format(number)] = classifier.content
        card = self.card.model_copy(update={"files": write_files(folder, contents)})
        return write_files(folder, {CARD_FILE: card.model_dump_json(indent=1).encode()})[CARD_FILE]

    @classmethod
    def load(cls, folder: Path, digest: str | None = None) -> "ResponseModel":
        """Read a model and check every byte of it; without its registered digest, trust the card.

        Raises
        ------
        ArtifactError
            If a file is missing, damaged, of another format, or not the model registered.
        """
        raw = read_file(folder, CARD_FILE)
        # Before anything is parsed: a card that was altered is not read.
        if digest is not None and digest_bytes(raw) != digest:
            raise ArtifactError(f"{CARD_FILE} does not match its registered digest")
        try:
            card = ModelCard.model_validate_json(raw)
        except ValidationError:
            # Without the cause: pydantic quotes what it could not read.
            raise ArtifactError(f"{CARD_FILE} is not a card of format 1") from None
        contents = read_files(folder, card.files)
        terms = parse_terms(contents.pop(TERMS_FILE, b""))
        classifiers = _take_classifiers(contents, len(terms.intercept))
        boosters = tuple(parse_booster(contents[name]) for name in sorted(contents))
        equation = Equation(card.features, card.sites, terms, boosters, classifiers)
        return cls(card, equation, digest_bytes(raw))


def _take_classifiers(
    contents: dict[str, bytes], versions: int
) -> tuple[ExportedClassifier | None, ...]:
    # They are not run here, nor onnxruntime needed: a registry and a store only pass them on.
    taken = [contents.pop(_CLASSIFIER_FILE.format(number), None) for number in range(versions)]
    if not any(taken):
        return ()
    return tuple(None if content is None else ExportedClassifier(content) for content in taken)


def _join_explanations(parts: Sequence[Explanation]) -> Explanation:
    if len(parts) == 1:
        return parts[0]
    return Explanation(
        np.concatenate([part.intercept for part in parts]),
        parts[0].fields,
        np.concatenate([part.contributions for part in parts]),
    )
