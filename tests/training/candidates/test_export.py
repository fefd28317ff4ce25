"""Export: what ONNX gives is what scikit-learn gives, or there is no file."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from training.candidates import export
from training.candidates.export import (
    MAX_DIFFERENCE,
    ExportError,
    blank_values,
    export_classifier,
)

GENERATOR = np.random.default_rng(2)
MATRIX = GENERATOR.normal(size=(300, 8)).astype(np.float32)
MATRIX[:, 0] = np.round(MATRIX[:, 0] * 5 + 17)
EVENT = (MATRIX[:, 0] / 5 + MATRIX[:, 1] + GENERATOR.logistic(size=300) > 3.4).astype(int)
MATRIX[GENERATOR.random(MATRIX.shape) < 0.2] = np.nan
# Never missing in training, and so without a way of its own for a missing value.
MATRIX[:, 5] = GENERATOR.normal(size=300)


def impute(*steps):
    return make_pipeline(SimpleImputer(), *steps)


def name_steps(estimator):
    """Name a classifier, or a pipeline's steps."""
    return "-".join(getattr(estimator, "named_steps", [type(estimator).__name__]))


TAKE_MISSING = (
    DecisionTreeClassifier(random_state=1),
    ExtraTreeClassifier(random_state=1),
    RandomForestClassifier(30, random_state=1),
    ExtraTreesClassifier(30, random_state=1),
    HistGradientBoostingClassifier(max_iter=20, random_state=1),
    CalibratedClassifierCV(RandomForestClassifier(10, random_state=1), cv=3),
    StackingClassifier([("forest", RandomForestClassifier(10, random_state=1))], cv=3),
)
IMPUTED = (
    impute(StandardScaler(), LogisticRegression()),
    impute(LogisticRegression(max_iter=2000)),
    impute(RandomForestClassifier(30, random_state=1)),
    impute(GradientBoostingClassifier(n_estimators=20, random_state=1)),
    impute(StandardScaler(), MLPClassifier((5,), max_iter=2000, random_state=1)),
    impute(StandardScaler(), KNeighborsClassifier(20)),
    impute(GaussianNB()),
)


@pytest.mark.parametrize("estimator", [*TAKE_MISSING, *IMPUTED], ids=name_steps)
def test_exported_classifier_agrees_with_scikit_learn(estimator):
    """Also on rows that it has not seen, with values missing that never were."""
    exported = export_classifier(estimator.fit(MATRIX, EVENT), MATRIX)
    others = blank_values(np.roll(MATRIX, 1, axis=0) + np.float32(0.25))
    for rows in (MATRIX, others):
        own = estimator.predict_proba(rows)[:, 1]
        assert exported.predict_probability(rows) == pytest.approx(own, abs=1e-5)


def test_our_correction_of_the_converter_is_still_needed(monkeypatch):
    """When this fails, skl2onnx converts missing values itself: remove `_convert_trees`."""
    forest = RandomForestClassifier(30, random_state=1).fit(MATRIX, EVENT)
    monkeypatch.setattr(export, "_TREES", ())
    with pytest.raises(ExportError, match="largest difference is 0"):
        export_classifier(forest, MATRIX)


def test_wrong_export_is_refused_with_the_largest_difference(monkeypatch):
    """As if a converter had exchanged the classes."""
    tree = DecisionTreeClassifier(max_depth=2, random_state=1).fit(MATRIX, EVENT)
    swapped = DecisionTreeClassifier(max_depth=2, random_state=1).fit(MATRIX, 1 - EVENT)
    convert = export._convert
    monkeypatch.setattr(export, "_convert", lambda estimator, width: convert(swapped, width))
    p = tree.predict_proba(np.concatenate([MATRIX, blank_values(MATRIX)]))[:, 1]
    with pytest.raises(ExportError) as refused:
        export_classifier(tree, MATRIX)
    assert f"the largest difference is {np.abs(1 - 2 * p).max():.2g}" in str(refused.value)
    assert f"at most {MAX_DIFFERENCE:g} is allowed" in str(refused.value)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=1)), "no scaler"),
        (impute(StandardScaler(), GaussianProcessClassifier()), "onnxruntime cannot run"),
        (make_pipeline(SimpleImputer(add_indicator=True), GaussianNB()), "cannot run|difference"),
    ],
    ids=["rounded thresholds", "operator unknown to onnxruntime", "indicators dropped"],
)
def test_what_cannot_be_exported_exactly_is_refused(estimator, message):
    with pytest.raises(ExportError, match=message):
        export_classifier(estimator.fit(MATRIX, EVENT), MATRIX)


def test_class_without_converter_is_refused():
    class Own(GaussianNB):
        pass

    with pytest.raises(ExportError, match="skl2onnx cannot convert it"):
        export_classifier(Own().fit(np.nan_to_num(MATRIX), EVENT), np.nan_to_num(MATRIX))
