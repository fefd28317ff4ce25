"""Registered models in a notebook: estimates, explanations, findings and the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.base.arrays import Flags, Numbers
from features.base.errors import AssessmentError, MappingError, Problem
from features.base.foreign import translate_errors
from features.model.card import ModelCard
from features.model.estimate import MIN_SAMPLE_SIZE
from features.model.estimator import Estimates, Estimator
from features.records.cohort import Batch, read_batches
from features.records.columns import Columns, concatenate_columns
from features.records.eligibility import Eligibility, Notice, check_eligibility
from features.records.short_forms import ShortForms
from features.sources.tables import wrap_table
from ketamine_response.cohorts import Cohort, MappingLike, check_dictionary, open_mapping
from ketamine_response.frames import make_table
from ketamine_response.guest import visit
from serving.batch.score import NO_MODEL
from training.card import RegisteredCard, write_model_card
from training.findings.findings import Findings
from training.registry.reference import parse_reference
from training.registry.registry import RegisteredModel, Registry

Errors = Literal["raise", "column"]


@dataclass(frozen=True)
class _Rows:
    """Assessments as columns: those that are valid, and what is wrong with the others."""

    columns: Columns
    # Whether each row of the host's is valid, ``bool[rows]``.
    valid: Flags
    index: Any
    # Problems of each row, in words; empty if it is valid.
    errors: list[str]

    def restore(self, frame: pd.DataFrame, errors: Errors) -> pd.DataFrame:
        """Give a frame of the valid rows a row for each of the host's, and their index."""
        frame = frame.set_index(np.flatnonzero(self.valid)).reindex(range(len(self.valid)))
        frame.index = self.index
        if errors == "column":
            frame["errors"] = pd.array([text or None for text in self.errors], "str")
        return frame


class Model:
    """One version of a registered model, checked against its digests.

    :func:`load_model` loads one, and :class:`FitResult` holds one. A notebook displays its model
    card.

    Attributes
    ----------
    card
        Facts that travel with the model: outcome, population, studied ranges, performance.
    findings
        What validation found; None if it was registered without.
    version
        Its number in the registry.
    aliases
        Such as ``champion``, when it was loaded.
    """

    def __init__(
        self,
        registered: RegisteredModel,
        findings: Findings | None,
        aliases: Sequence[str] = (),
        min_sample_size: float = MIN_SAMPLE_SIZE,
    ) -> None:
        self.registered, self.findings, self.aliases = registered, findings, tuple(aliases)
        self.card: ModelCard = registered.model.card
        self.version = registered.version
        self._estimator = Estimator(registered.model, registered.version, min_sample_size)

    @property
    def name(self) -> str:
        """Name of the registered model: its outcome."""
        return self.card.name

    @property
    def digest(self) -> str:
        """SHA-256 of the model."""
        return self.registered.model.digest

    def predict(
        self,
        assessments: Any,
        mapping: MappingLike = None,
        *,
        ignore_unknown: bool = False,
        errors: Errors = "raise",
    ) -> pd.DataFrame:
        """Estimate the probability of the outcome for each assessment, as the service does.

        Parameters
        ----------
        assessments
            A data frame, a cohort that was read, one assessment as a dictionary, or a list of such.
        mapping
            How the frame's own columns become the project's, as :func:`read_cohort` takes it. One
            that joins tables or derives fields is for :func:`read_cohort` alone.
        ignore_unknown
            Whether columns that are not fields are left out, instead of refused.
        errors
            ``raise``: a row that breaks a rule stops the call, with every problem of every row.
            ``column``: it has no estimate, and its problems are in the column ``errors``.

        Returns
        -------
        DataFrame
            A row per assessment, with the index of the frame given.

            ``probability``
                Of the outcome if treated; missing if the model abstains.
            ``low``, ``high``
                Interval for the patient's own probability, at the level of the card.
            ``effective_sample_size``
                Patients like this one whose event rate would be as precise.
            ``base_rate``
                Event rate of the patients studied.
            ``abstained``, ``abstained_fields``
                Why there is no probability, and the fields behind it: ``eligibility``,
                ``baseline_missing``, ``early_score_missing``, ``outside_studied_range``,
                ``too_little_evidence``, or ``no_model`` if the condition was not studied.
            ``prorated``
                Totals derived from part of their items.
            ``eligibility``, ``not_screened``
                Rules that apply, as ``action:rule``, and rules that could not be checked.
            ``data``
                ``SIMULATED`` if model or patient is, else ``real``.

        Raises
        ------
        InputError
            If a column is not a field, or looks like a direct identifier; with
            ``errors="raise"`` also if a row breaks a rule. ``problems`` are all of them.
        """
        rows = self._read(assessments, mapping, ignore_unknown, errors)
        eligibility = check_eligibility(rows.columns)
        estimates = self._estimator.estimate(rows.columns, eligibility, "interval")
        return rows.restore(_tabulate_estimates(rows.columns, estimates, eligibility), errors)

    def explain(
        self,
        assessments: Any,
        mapping: MappingLike = None,
        *,
        ignore_unknown: bool = False,
        errors: Errors = "raise",
    ) -> pd.DataFrame:
        """Split the log-odds of each estimate by field; parameters as of :meth:`predict`.

        Returns
        -------
        DataFrame
            A row per assessment: ``intercept``, and what each field that the model reads adds to
            it. A row's sum is the log-odds of its probability. Missing if the model abstains.
        """
        rows = self._read(assessments, mapping, ignore_unknown, errors)
        estimates = self._estimator.estimate(rows.columns, check_eligibility(rows.columns))
        explanation = estimates.explanation
        assert explanation is not None  # of full detail
        answered = ~estimates.withheld
        names = ("intercept", *explanation.fields)
        parts = np.full((rows.columns.size, len(names)), np.nan)
        split = np.column_stack([explanation.intercept, explanation.contributions])
        parts[estimates.rows[answered]] = split[answered]
        return rows.restore(pd.DataFrame(parts, columns=list(names)), errors)

    def describe(self) -> str:
        """Write the model card in Markdown, as ``python -m training card`` does."""
        card, digest = self.card, self.digest
        return write_model_card(
            RegisteredCard(self.version, self.aliases, digest, card, self.findings)
        )

    def _repr_markdown_(self) -> str:
        return self.describe()

    def __repr__(self) -> str:
        """Show outcome, version, and whether it is simulated."""
        label = "SIMULATED, " if self.card.simulated else ""
        return f"Model({label}{self.name} version {self.version}: {self.card.candidate})"

    def _read(
        self, assessments: Any, mapping: MappingLike, ignore_unknown: bool, errors: Errors
    ) -> _Rows:
        if errors not in ("raise", "column"):
            problem = Problem("errors", "category", "must be one of: raise, column")
            raise AssessmentError([problem], source="predict")
        dictionary = self.card.dictionary
        if isinstance(assessments, Cohort):
            size = len(assessments)
            columns = check_dictionary(assessments, dictionary).columns
            return _Rows(columns, np.ones(size, dtype=bool), range(size), [""] * size)
        frame = _make_rows(assessments)
        mapper = open_mapping(mapping, dictionary)
        if not mapper.is_plain:
            message = (
                "joins or derives: read the cohort by it with read_cohort, and predict for that"
            )
            raise MappingError([Problem("mapping", "tables", message)], source="predict")
        with translate_errors():
            table = wrap_table(make_table(frame), "frame")
            batches = list(read_batches(table, mapper, ignore_unknown, dictionary))
        index = frame.index if isinstance(frame, pd.DataFrame) else None
        return _collect_rows(batches, index, errors)


def _make_rows(assessments: Any) -> Any:
    if isinstance(assessments, Mapping):
        assessments = [assessments]
    if isinstance(assessments, Sequence) and not isinstance(assessments, str):
        return pd.DataFrame.from_records(list(assessments))
    return assessments


def _collect_rows(batches: Sequence[Batch], index: Any, errors: Errors) -> _Rows:
    columns = concatenate_columns([batch.columns for batch in batches])
    problems = [problem for batch in batches for problem in batch.problems]
    forms = ShortForms()
    forms.add(columns)
    general = list(forms.explain_short())
    if general or (problems and errors == "raise"):
        raise AssessmentError([*problems, *general], source="frame")
    texts = _describe_rows(problems, columns.size)
    valid = np.array([not text for text in texts], dtype=bool)
    rows = range(columns.size) if index is None else index
    return _Rows(columns.select(valid), valid, rows, texts)


def _describe_rows(problems: Sequence[Problem], size: int) -> list[str]:
    texts: list[list[str]] = [[] for _ in range(size)]
    for problem in problems:
        for row in problem.rows:
            texts[row - 1].append(f"{problem.field} ({problem.rule}): {problem.message}")
    return ["; ".join(parts) for parts in texts]


def _tabulate_estimates(
    columns: Columns, estimates: Estimates, eligibility: Eligibility
) -> pd.DataFrame:
    answered = ~estimates.withheld
    prediction, count = estimates.prediction, columns.size

    def spread(values: Numbers, shown: Any = slice(None)) -> Numbers:
        filled = np.full(count, np.nan)
        filled[estimates.rows[shown]] = values[shown]
        return filled

    def place(texts: Sequence[str | None], rest: str | None = None) -> Any:
        filled = np.full(count, rest, dtype=object)
        filled[estimates.rows] = np.array([*texts, None], dtype=object)[:-1]
        return pd.array(filled, "str")

    reasons, fields = estimates.list_abstentions()
    notices = eligibility.list_notices()
    rate = estimates.model.card.population.base_rate
    made_up = estimates.model.card.simulated | (columns.get_numbers("simulated") == 1)
    return pd.DataFrame(
        {
            "probability": spread(prediction.probability, answered),
            "low": spread(prediction.low, answered),
            "high": spread(prediction.high, answered),
            "effective_sample_size": spread(prediction.effective_sample_size, answered),
            "base_rate": spread(np.full(len(estimates.rows), rate)),
            "abstained": place(reasons, NO_MODEL),
            "abstained_fields": place(fields),
            "prorated": place([" ".join(names) or None for names in estimates.prorated]),
            "eligibility": pd.array([_join_notices(row, applying=True) for row in notices], "str"),
            "not_screened": pd.array(
                [_join_notices(row, applying=False) for row in notices], "str"
            ),
            "data": pd.array(np.where(made_up, "SIMULATED", "real").astype(object), "str"),
        }
    )


def _join_notices(notices: Sequence[Notice], applying: bool) -> str | None:
    kept = [notice for notice in notices if (notice["action"] != "not_screened") == applying]
    names = [f"{n['action']}:{n['rule']}" if applying else n["rule"] for n in kept]
    return " ".join(names) or None


def load_model(
    model: str,
    *,
    home: str | Path | None = None,
    min_sample_size: float = MIN_SAMPLE_SIZE,
) -> Model:
    """Load a registered model, checked against its digests.

    Parameters
    ----------
    model
        ``OUTCOME``, which means its champion, ``OUTCOME@ALIAS`` or ``OUTCOME@VERSION``.
    home
        Folder of data and runs; by default as the commands find it.
    min_sample_size
        Effective sample size below which no probability is given.

    Raises
    ------
    InputError
        If there is no such outcome or alias.
    UnavailableError
        If the registry has no such version.
    ArtifactError
        If the model or its findings are damaged.
    """
    reference = parse_reference(model)
    with visit(home) as entered:
        registry = Registry(entered)
        return open_version(registry, registry.load_reference(reference), min_sample_size)


def open_version(
    registry: Registry, registered: RegisteredModel, min_sample_size: float = MIN_SAMPLE_SIZE
) -> Model:
    """Add findings and aliases to a version that was loaded."""
    name, version = registered.model.card.name, registered.version
    findings = registry.read_findings(name, version)
    return Model(registered, findings, registry.list_aliases(name, version), min_sample_size)
