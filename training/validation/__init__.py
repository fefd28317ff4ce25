"""Validation: the whole procedure repeated on other courses, and what came of it, as findings.

A *unit* of work is one development of the procedure on some courses, asked about others: a fold of
cross-validation, a bootstrap sample, all sites but one, the earlier courses. What a unit said is
kept until the run has ended, so that a killed run goes on where it was.
"""
