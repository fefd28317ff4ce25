"""Who is refused; the rules themselves are in tests/spec/eligibility.md."""

from features.records.assessment import read_assessments
from features.records.eligibility import check_eligibility


def test_a_row_is_refused_by_any_rule_that_refuses(make_assessment):
    rows = [{}, {"psychosis": True}, {"systolic": 150}, {"mania": True, "psychosis": True}]
    refused = check_eligibility(read_assessments([make_assessment(**row) for row in rows]))
    assert refused.find_refused().tolist() == [False, True, False, True]
