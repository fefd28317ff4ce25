"""Designs for tests, made of columns and outcomes without a cohort file."""

import numpy as np

from features.model.matrix import build_matrix, list_features
from training.study.design import Design, number_sites


def make_plain_design(columns, fields, outcome, study):
    """Make a design of courses of different patients, whose improvement is the outcome itself."""
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
