"""A scikit-learn pipeline behind FastAPI, as people usually write it; fitted when it starts.

``uvicorn --factory experiments.benchmarks.serving.contestants.fastapi_pipeline:build_pipeline_app``
"""

from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from features.base.home import enter_home
from features.dictionary.dictionary import load_dictionary
from features.records.assessment import make_assessment_model
from training.study.study import read_study

_STUDY = Path(__file__).parents[3] / "studies" / "demo.toml"
_CATEGORIES = ("site", "sex", "agent", "route")
# The simulated training cohort, in the home.
_COHORT = "cohort.parquet"


def build_pipeline_app() -> FastAPI:
    """Fit the pipeline, build the application around it."""
    included = read_study(_STUDY).features.include or ()
    names = [name for name in included if name != "assessed_on"]
    model = _fit_pipeline(pd.read_parquet(enter_home().folder / _COHORT), names)
    app, assessment_model = FastAPI(openapi_url=None), make_assessment_model(load_dictionary())

    @app.get("/readyz")
    def answer_ready() -> None:
        """Answer once the application runs."""

    @app.post("/predict")
    def predict(assessment: assessment_model) -> dict[str, float]:  # type: ignore[valid-type]
        """Answer one assessment."""
        frame = _prepare_frame(pd.DataFrame([assessment.model_dump()]), names)  # type: ignore[attr-defined]
        return {"probability": float(model.predict_proba(frame)[0, 1])}

    return app


def _prepare_frame(frame: Any, names: list[str]) -> Any:
    return frame[names].astype({name: float for name in names if name not in _CATEGORIES})


def _fit_pipeline(cohort: Any, names: list[str]) -> Any:
    known = cohort.dropna(subset=["phq9", "phq9_acute"])
    numbers = [name for name in names if name not in _CATEGORIES]
    categories = [name for name in names if name in _CATEGORIES]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            (
                "categories",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(handle_unknown="ignore"),
                ),
                categories,
            ),
        ]
    )
    model = CalibratedClassifierCV(make_pipeline(columns, LogisticRegression(max_iter=1000)))
    model.fit(_prepare_frame(known, names), 2 * known["phq9_acute"] <= known["phq9"])
    return model
