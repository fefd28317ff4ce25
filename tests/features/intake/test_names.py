"""Names of columns: which are accepted."""

import pytest

from features.dictionary.dictionary import load_dictionary
from features.intake.names import check_names

BUILT_IN = load_dictionary()


def list_rules(name):
    problems = check_names([name], BUILT_IN, BUILT_IN.cohort_fields)
    return [problem.rule for problem in problems]


IDENTIFIERS = """
    name first_name LastName patient_name PatientName surname dob date_of_birth birth_date
    BirthDate phone mobile_phone e_mail Email home_address street postcode zip_code ssn MRN
    medical_record_number nhs_number passport site_contact_name study_patient_name drug_user_name
    visit_rater_name redcap_user_name event_phone
""".split()
LEAKS = """
    cadss dissociation_40min meq30_total sessions_completed infusions_completed early_response
    response_week6 responder remission hamd17_last days_in_treatment per_protocol
    antidepressant_start_day n_parental_treatments bdi_end pgi_improvement_week1 hamd17_locf
""".split()
UNKNOWN = """
    crp val66met site_name drug_name madrs_total smoker redcap_event_name visit_name arm_name
    VisitName study_arm_name form_name field_name instrument_name event_name_2 treatment_group_name
    center_name name_of_visit redcap_repeat_instrument_name medication_brand_name
""".split()


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_direct_identifier_is_refused(name):
    assert [problem.rule for problem in check_names([name], BUILT_IN, BUILT_IN.cohort_fields)] == [
        "identifier"
    ]


@pytest.mark.parametrize("name", LEAKS)
def test_column_after_first_dose_is_refused_as_leakage(name):
    assert list_rules(name) == ["leakage"]


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_unknown_column_is_listed(name):
    assert list_rules(name) == ["unknown"]


def test_every_known_name_is_welcome():
    assert check_names(BUILT_IN.cohort_fields, BUILT_IN, BUILT_IN.cohort_fields) == []


def test_a_near_miss_gets_the_right_name():
    (problem,) = check_names(["Failed_Antidepressant"], BUILT_IN, BUILT_IN.cohort_fields)
    assert problem.message.endswith("did you mean failed_antidepressants?")


def test_thousands_of_unknown_names_are_judged_quickly():
    strange = [f"x{number}" for number in range(20_000)]
    assert len(check_names(strange, BUILT_IN, BUILT_IN.cohort_fields)) == 20_000


def test_a_strange_name_is_shown_short_and_printable():
    (problem,) = check_names(["\x1b[31m" + "y" * 500], BUILT_IN, BUILT_IN.cohort_fields)
    assert len(problem.field) <= 64
    assert problem.field.isprintable()


def test_long_and_unprintable_names_are_shortened_in_messages():
    (problem,) = check_names(["y" * 100], BUILT_IN)
    assert problem.field == "y" * 64
    (problem,) = check_names(["a\x07b"], BUILT_IN)
    assert problem.field == "ab"


def test_only_the_first_strange_names_get_a_hint():
    """Looking for a hint takes milliseconds, and a client may send thousands."""
    for others, hinted in ((7, True), (8, False)):
        problem = check_names([*["zzz"] * others, "phq_9"], BUILT_IN)[-1]
        assert ("did you mean phq9?" in problem.message) is hinted


def test_unreadable_follow_up_has_its_reason():
    (problem,) = check_names(["phq9_day1"], BUILT_IN)
    assert (problem.rule, "last 14 days" in problem.message) == ("recall", True)


def test_a_follow_up_is_leakage_in_an_assessment():
    (problem,) = check_names(["phq9_month6"], BUILT_IN)
    assert problem.rule == "leakage"
    assert check_names(["phq9_month6"], BUILT_IN, BUILT_IN.cohort_fields) == []
