"""Designs made of courses by hand, without a cohort file."""

import numpy as np

from features.model.matrix import build_matrix, list_features
from training.study.design import Design, number_sites
from training.study.study import Study

BY_HAND = Study(name="by-hand", question="?", outcome="phq9.acute.response", seed=1)


def build_design(columns, fields, outcome, study=BY_HAND):
    """Build the design of courses whose outcome is given, each of another patient."""
    features = list_features(fields, columns.dictionary)
    sites, names = number_sites(columns)
    return Design(
        study=study,
        courses=columns,
        columns=columns,
        features=features,
        matrix=build_matrix(columns, features),
        outcome=outcome,
        improvement=outcome,
        patients=np.arange(columns.size),
        sites=sites,
        site_names=names,
        target=study.parse_outcome(),
    )
