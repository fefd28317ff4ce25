"""The registry of candidates: every kind of model that a study may compare.

A candidate is a subclass of :class:`training.candidates.base.Candidate`, in a module of this
package or in an installed package that names it in its ``pyproject.toml``::

    [project.entry-points."ketamine_response.candidates"]
    my_candidate = "my_package.my_module:MyCandidate"
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from features.base.errors import Problem, StudyError
from training import candidates
from training.candidates.base import Candidate
from training.candidates.published.candidate import import_equations
from training.candidates.tuning import UNTUNED, Tuning
from training.study.study import Study

ENTRY_POINTS = "ketamine_response.candidates"
BASE_RATE = "base_rate"
# A registered model may be of a candidate whose package is not installed here.
_UNKNOWN_COLOUR = "#444444"


@cache
def list_candidates() -> Mapping[str, type[Candidate]]:
    """List every candidate by name, in the order of preference.

    Raises
    ------
    StudyError
        If an installed package names something that is not a candidate; lists all problems.
    """
    known = dict(list_built_in())
    problems = []
    for entry in entry_points(group=ENTRY_POINTS):
        loaded, fault = _load_entry(entry)
        fault = fault or _find_fault(loaded, entry.name, known)
        if fault:
            problems.append(Problem(f"entry point {entry.name}", "candidate", fault))
        else:
            known[entry.name] = loaded
    if problems:
        raise StudyError(problems, source=ENTRY_POINTS)
    return _order(known.values())


def list_built_in() -> Mapping[str, type[Candidate]]:
    """List the candidates of this package alone, in the order of preference."""
    return _order(_list_own())


def make_candidates(tuning: Tuning = UNTUNED) -> dict[str, Candidate]:
    """Make every candidate, in the order of preference."""
    return {name: candidate(tuning) for name, candidate in list_candidates().items()}


def make_study_candidates(study: Study, tuning: Tuning = UNTUNED) -> dict[str, Candidate]:
    """Make every candidate, and the published equations of a study, in the order of preference.

    Raises
    ------
    StudyError
        If a published equation breaks a rule, or bears the name of a candidate.
    """
    known, imported = make_candidates(tuning), import_equations(study)
    if taken := sorted(set(known) & set(imported)):
        message = "this name is taken by a candidate"
        raise StudyError([Problem(f"name: {n}", "duplicate", message) for n in taken], study.name)
    every = sorted([*known.values(), *imported.values()], key=_give_rank)
    return {candidate.name: candidate for candidate in every}


def complete_study(study: Study) -> Study:
    """Fill in the candidates of a study that names none: all, in the order of preference.

    Raises
    ------
    StudyError
        If the study names a candidate that does not exist, or not the base rate, or not an equation
        that it imports.
    """
    known = make_study_candidates(study)
    if not study.candidates:
        return study.model_copy(update={"candidates": tuple(known)})
    allowed = f"must be one of {', '.join(known)}"
    problems = [
        Problem(f"candidates.{index}", "literal_error", allowed)
        for index, name in enumerate(study.candidates)
        if name not in known
    ]
    if BASE_RATE not in study.candidates:
        problems.append(Problem("candidates", BASE_RATE, "must compare with base_rate"))
    # The study decides their place in the order of preference.
    problems += [
        Problem("candidates", "published", f"must name {name}, which `published` imports")
        for name in import_equations(study)
        if name not in study.candidates
    ]
    if problems:
        raise StudyError(problems, study.name)
    return study


def label_candidate(name: str, study: Study | None = None) -> str:
    """Return what reports call a candidate; its name if it is not known here, or to the study."""
    candidate = _find_candidate(name, study)
    return name if candidate is None else candidate.label


def colour_candidate(name: str, study: Study | None = None) -> str:
    """Return a candidate's colour in figures; grey if it is not known here, or to the study."""
    candidate = _find_candidate(name, study)
    return _UNKNOWN_COLOUR if candidate is None else candidate.colour


def _find_candidate(name: str, study: Study | None) -> Candidate | type[Candidate] | None:
    imported = import_equations(study) if study is not None else {}
    return list_candidates().get(name) or imported.get(name)


def _order(known: Iterable[type[Candidate]]) -> Mapping[str, type[Candidate]]:
    return MappingProxyType(
        {candidate.name: candidate for candidate in sorted(known, key=_give_rank)}
    )


def _give_rank(candidate: Candidate | type[Candidate]) -> tuple[int, str]:
    return candidate.preference, candidate.name


def _list_own() -> Iterator[type[Candidate]]:
    # Found, not listed: a new candidate is one new file, and no list can fall out of step.
    for module in pkgutil.walk_packages(candidates.__path__, f"{candidates.__name__}."):
        for member in vars(importlib.import_module(module.name)).values():
            # Without a name of its own, it is made for each study: a published equation.
            is_candidate = (
                inspect.isclass(member)
                and issubclass(member, Candidate)
                and hasattr(member, "name")
            )
            if is_candidate and not inspect.isabstract(member) and member.__module__ == module.name:
                yield member


def _load_entry(entry: EntryPoint) -> tuple[Any, str]:
    try:
        return entry.load(), ""
    # Whatever goes wrong while a user's module is imported is the user's to see and mend.
    except Exception as error:
        return None, f"{entry.value} cannot be imported: {type(error).__name__}: {error}"


def _find_fault(loaded: Any, name: str, known: Mapping[str, type[Candidate]]) -> str:
    if not (inspect.isclass(loaded) and issubclass(loaded, Candidate)):
        return "must be a subclass of training.candidates.base.Candidate"
    if lacking := sorted(loaded.__abstractmethods__):
        return f"must define {' and '.join(lacking)}"
    if getattr(loaded, "name", None) != name:
        return f'its class must say name = "{name}"'
    if not getattr(loaded, "label", ""):
        return "its class must say label, what reports call it"
    if not re.fullmatch("#[0-9a-fA-F]{6}", getattr(loaded, "colour", "")):
        return "its class must say colour, such as #00588f"
    if name in known:
        return "this name is taken by another candidate"
    return ""
