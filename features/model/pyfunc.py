"""How MLflow, Spark and ``mlflow models serve`` load a model, and estimate as the service does.

MLflow calls :func:`_load_pyfunc` with the folder that :meth:`ResponseModel.save` wrote.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.base.errors import AssessmentError
from features.intake.names import check_names
from features.model.estimator import Estimator
from features.model.response_model import ResponseModel
from features.records.arrow import parse_arrow
from features.records.eligibility import check_eligibility
from features.records.rules import validate

ANSWER_COLUMNS = ("probability", "low", "high", "effective_sample_size")


class ResponseFunction:
    """A model that takes and returns data frames, as MLflow wants it."""

    def __init__(self, model: ResponseModel) -> None:
        self.model = model
        self._estimator = Estimator(model)

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> Any:
        """Return `ANSWER_COLUMNS` for each row of a pandas frame of assessments.

        They are NaN where the service would give no probability; `AssessmentError` if a row breaks
        a rule.
        """
        table = pa.Table.from_pandas(frame, preserve_index=False)
        dictionary = self.model.card.dictionary
        fields = [
            dictionary.fields[name] for name in table.column_names if name in dictionary.names
        ]
        parsed = {field.name: parse_arrow(field, table[field.name]) for field in fields}
        columns, problems = validate(table.num_rows, parsed, dictionary)
        if problems := check_names(table.column_names, dictionary) + problems:
            raise AssessmentError(problems, source="assessments")
        estimates = self._estimator.estimate(columns, check_eligibility(columns), "interval")
        answered = ~estimates.withheld
        answer = {name: np.full(columns.size, np.nan) for name in ANSWER_COLUMNS}
        for name, values in answer.items():
            values[estimates.rows[answered]] = getattr(estimates.prediction, name)[answered]
        # The frame's own class builds the answer, so that this module needs no pandas.
        return type(frame)(answer)


def _load_pyfunc(path: str) -> ResponseFunction:
    return ResponseFunction(ResponseModel.load(Path(path)))
