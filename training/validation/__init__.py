"""Validation: a study's procedure repeated, a model on another cohort, and the findings of both.

A *unit* is one run of the procedure: fitted on some courses, it predicts others. Units are the
folds of cross-validation, bootstrap samples, all sites but one, and the earlier courses. Each
result is kept until the run has ended, so that a killed run resumes.
"""
