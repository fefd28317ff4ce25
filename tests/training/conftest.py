"""What the tests of training share: designs with a known truth."""

import numpy as np
import pytest

from features.assessment import read_assessments
from features.matrix import build_matrix, list_features
from features.outcome import parse_outcome
from training.design import Design, number_sites


@pytest.fixture
def make_design():
    """Courses whose outcome follows PHQ-9, and their site where asked for."""

    def make(size=300, strength=0.15, site_effects=(), seed=1, missing=0.1):
        generator = np.random.default_rng(seed)
        rows = []
        for number in range(size):
            row = {
                "patient_id": f"p{number}",
                "condition": "depression",
                "phq9": int(generator.integers(5, 28)),
            }
            for name, low, high in (("age", 20, 80), ("bmi", 18, 45), ("gad7", 0, 21)):
                if generator.random() > missing:
                    row[name] = int(generator.integers(low, high + 1))
            row["bipolar"] = bool(generator.random() < 0.2)
            if site_effects:
                row["site"] = f"site-{number % len(site_effects)}"
            rows.append(row)
        columns = read_assessments(rows)
        sites, names = number_sites(columns)
        effects = np.array(site_effects)[sites] if site_effects else np.zeros(size)
        log_odds = strength * (columns.get_numbers("phq9") - 16) + effects
        outcome = (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)
        features = list_features(["age", "bmi", "phq9", "gad7", "bipolar"])
        return Design(
            columns=columns,
            features=features,
            matrix=build_matrix(columns, features),
            outcome=outcome,
            patients=np.arange(size),
            sites=sites,
            site_names=names,
            severity=[feature.name for feature in features].index("phq9"),
            target=parse_outcome("phq9.acute.response"),
        )

    return make
