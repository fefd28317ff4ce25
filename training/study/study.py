"""Studies: one typed TOML file that holds everything a run needs."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from features.base.errors import InputError, Problem, StudyError, list_problems
from features.base.files import read_toml
from features.dictionary.dictionary import Dictionary, load_dictionary
from features.dictionary.field import OFFERED_GROUPS, Group
from features.dictionary.outcome import Outcome, parse_outcome
from features.intake.names import check_names
from training.study.conditions import Condition, parse_conditions
from training.study.parts import (
    AttritionPart,
    CohortPart,
    FeaturePart,
    GatePart,
    Part,
    PublishedPart,
    TuningPart,
    UncertaintyPart,
    ValidationPart,
)

# Of what says whose assessment it is, these may be offered: a site's own level, and drift.
_OFFERED_IDENTITY = ("site", "assessed_on")


class Study(Part):
    """Everything that a run needs.

    Parameters
    ----------
    candidates
        In the order of preference: within one standard error of the best, the first one wins. If
        empty, :func:`training.candidates.registry.complete_study` fills in all of them.
    folder
        Where the study's relative paths start; not part of the file.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    question: str
    outcome: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    cohort: CohortPart = Field(default_factory=CohortPart)
    features: FeaturePart = Field(default_factory=FeaturePart)
    candidates: tuple[str, ...] = ()
    published: tuple[PublishedPart, ...] = ()
    validation: ValidationPart = Field(default_factory=ValidationPart)
    tuning: TuningPart = Field(default_factory=TuningPart)
    uncertainty: UncertaintyPart = Field(default_factory=UncertaintyPart)
    attrition: AttritionPart = Field(default_factory=AttritionPart)
    gate: GatePart = Field(default_factory=GatePart)
    folder: Annotated[Path, Field(exclude=True)] = Path()

    @property
    def awaits_outcomes(self) -> bool:
        """Whether no outcome is known yet."""
        return self.cohort.outcomes == "none-yet"

    def parse_outcome(self) -> Outcome:
        """Return the outcome, checked when the study was read."""
        return parse_outcome(self.outcome, self.dictionary)

    @cached_property
    def dictionary(self) -> Dictionary:
        """The fields and instruments that the study knows."""
        files = (self.cohort.instruments, self.cohort.dictionary)
        return load_dictionary(*map(self.locate, files))

    @cached_property
    def conditions(self) -> list[Condition]:
        """What the study requires of its courses, checked when it was read."""
        return parse_conditions(self.cohort.where, self.dictionary)[0]

    def locate(self, relative: str | None) -> Path | None:
        """Find a file named in the study."""
        return None if relative is None else self.folder / relative

    def list_exports(self) -> list[Path]:
        """List the files or folders of the cohort; none if the study names none."""
        paths = self.cohort.path
        named = (paths,) if isinstance(paths, str) else paths or ()
        return [self.folder / path for path in named]

    def list_fields(self) -> list[str]:
        """List the fields that the candidates may use, as far as a cohort records them."""
        fields = self.dictionary.fields.items()
        offered = [name for name, field in fields if field.group in OFFERED_GROUPS]
        offered += self.parse_outcome().early_scores
        chosen = offered if self.features.include is None else list(self.features.include)
        return [name for name in chosen if name not in self.features.exclude]


def read_study(path: Path, settings: Sequence[str] = ()) -> Study:
    """Read a study file.

    Parameters
    ----------
    settings
        ``key=value`` overrides with dotted keys, e.g. ``validation.folds=3``.

    Raises
    ------
    StudyError
        If the file is not TOML of that form, or asks for what does not exist; lists all problems.
    """
    table = read_toml(path, "a study file", StudyError)
    for setting in settings:
        _apply_setting(table, setting)
    return make_study(table, path.parent, path.name)


def make_study(table: Mapping[str, Any], folder: Path, source: str) -> Study:
    """Make a study of the table that a study file holds; raises as :func:`read_study` does.

    Parameters
    ----------
    source
        What errors call it.
    """
    try:
        study = Study.model_validate({**table, "folder": folder})
    except ValidationError as error:
        raise StudyError(list_problems(error), source) from None
    study = _read_published(study)
    if problems := _check_study(study):
        raise StudyError(problems, source)
    return study


def _read_published(study: Study) -> Study:
    # With the study, so that its runs record what was published, not the name of a file alone.
    parts = [
        part.model_copy(
            update={"content": read_toml(study.folder / part.file, "an equation file", StudyError)}
        )
        for part in study.published
    ]
    return study.model_copy(update={"published": tuple(parts)})


def _apply_setting(table: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise StudyError([Problem("--set", "form", "must be key=value")])
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise StudyError([Problem("--set", "form", f"{parent} has no parts")])
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    # A plain text, without the quotes that a shell would remove.
    except tomllib.TOMLDecodeError:
        table[last] = text


def _check_study(study: Study) -> list[Problem]:
    # What the schema alone cannot find: fields, categories and outcomes that do not exist.
    problems: list[Problem] = []
    outcome = None
    try:
        outcome = study.parse_outcome()
    except InputError as error:
        problems += error.problems
    for name in (*(study.features.include or ()), *study.features.exclude):
        problems += check_feature(name, study.dictionary, outcome)
    if outcome is not None and outcome.checkpoint and not list_early(study):
        message = f"{outcome.id} needs a score read by {outcome.checkpoint.key} among its features"
        problems.append(Problem("features", "early_score", message))
    if outcome is not None and outcome.checkpoint and study.awaits_outcomes:
        message = "no published evidence says what early scores tell; fit the baseline outcome"
        problems.append(Problem("cohort.outcomes", "update", message))
    return problems + parse_conditions(study.cohort.where, study.dictionary)[1]


def list_early(study: Study) -> list[str]:
    """List the early scores that a study's candidates may use; none for a baseline outcome."""
    early = study.parse_outcome().early_scores
    return [name for name in study.list_fields() if name in early]


def check_feature(
    name: str, dictionary: Dictionary, outcome: Outcome | None = None
) -> list[Problem]:
    """List what forbids that candidates read a field; empty if they may.

    An update outcome may use the scores read by its checkpoint; any other follow-up is leakage.
    """
    field = dictionary.cohort_fields.get(name)
    if outcome is not None and name in outcome.early_scores:
        return []
    if field is None:
        (problem,) = check_names([name], dictionary, dictionary.cohort_fields)
        return [replace(problem, field=f"features: {problem.field}")]
    if field.group is Group.FOLLOWUP:
        when = "is known only after the first dose"
        if outcome is not None and outcome.checkpoint is not None:
            when = f"may be read after {outcome.checkpoint.name}"
        message = f"{when}; as a feature it would be leakage"
        return [Problem(f"features: {name}", "leakage", message)]
    if field.group is Group.IDENTITY and name not in _OFFERED_IDENTITY:
        return [Problem(f"features: {name}", "identity", "says whose assessment it is")]
    return []
