"""Everything that the commands do, as functions for notebooks and programs.

::

    import ketamine_response as kr

    study = kr.Study("my_study.toml")
    result = kr.fit_study(study)
    model = kr.load_model("phq9.acute.response")
    model.predict(frame)

These names are stable; anything else in the packages may change. Errors are those of
:mod:`features.base.errors`: an ``InputError`` has all its ``problems``, and none holds a patient's
value. Calls leave the host's process as it was: environment, loggers, MLflow's address and run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.base.errors import (
        ArtifactError,
        InputError,
        KetamineResponseError,
        Problem,
        UnavailableError,
    )
    from ketamine_response.champions import History, history, promote, rollback
    from ketamine_response.cohorts import Cohort, read_cohort, simulate, simulate_with_truth
    from ketamine_response.fitting import FitResult, fit_study
    from ketamine_response.mappings import check_mapping, suggest_mapping
    from ketamine_response.models import Model, load_model
    from ketamine_response.reports import Report
    from ketamine_response.scoring import Scores, score
    from ketamine_response.studies import Study
    from ketamine_response.validating import ValidationResult, validate

__all__ = [
    "ArtifactError",
    "Cohort",
    "FitResult",
    "History",
    "InputError",
    "KetamineResponseError",
    "Model",
    "Problem",
    "Report",
    "Scores",
    "Study",
    "UnavailableError",
    "ValidationResult",
    "check_mapping",
    "fit_study",
    "history",
    "load_model",
    "promote",
    "read_cohort",
    "rollback",
    "score",
    "simulate",
    "simulate_with_truth",
    "suggest_mapping",
    "validate",
]

# Imported on first use (PEP 562): MLflow and scikit-learn take seconds.
_MODULES = {
    "ketamine_response.cohorts": ("read_cohort", "Cohort", "simulate", "simulate_with_truth"),
    "ketamine_response.mappings": ("suggest_mapping", "check_mapping"),
    "ketamine_response.studies": ("Study",),
    "ketamine_response.fitting": ("fit_study", "FitResult"),
    "ketamine_response.models": ("load_model", "Model"),
    "ketamine_response.validating": ("validate", "ValidationResult"),
    "ketamine_response.champions": ("promote", "rollback", "history", "History"),
    "ketamine_response.scoring": ("score", "Scores"),
    "ketamine_response.reports": ("Report",),
    "features.base.errors": (
        "KetamineResponseError",
        "InputError",
        "UnavailableError",
        "ArtifactError",
        "Problem",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not at the top: `bentoml serve ketamine_response:latest` first imports a module of that name,
    # and a Bento brings a `features` of its own.
    home = import_module("features.base.home")
    # In a quiet environment, which MLflow reads as it is imported: no telemetry.
    with home.visit_home():
        value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
