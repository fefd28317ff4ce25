"""What a user's file adds: fields, agents, conditions, and scales that share their items."""

import pytest

from features.base.errors import DictionaryError
from features.dictionary.dictionary import combine_dictionaries, load_dictionary
from features.dictionary.field import Group
from features.dictionary.outcome import parse_outcome
from features.model.matrix import list_features
from features.records.assessment import parse_rows
from features.records.eligibility import RULES, check_eligibility

FORM = """
[instruments.dass21_{name}]
name = "DASS-21 {name}"
measures = "{name}"
item_highs = [3, 3, 3, 3, 3, 3, 3]
item_names = {items}
multiplier = 2
recall_days = 7
missing_items_allowed = 1
source = "Lovibond 1995"
"""
DEPRESSION, ANXIETY = (3, 5, 10, 13, 16, 17, 21), (2, 4, 7, 9, 15, 19, 20)


def write_dass(name, numbers):
    return FORM.format(name=name, items=[f"dass21_{number}" for number in numbers])


DASS = write_dass("depression", DEPRESSION) + write_dass("anxiety", ANXIETY)
FIELDS = """
[fields.prs]
kind = "number"
label = "Polygenic score"
range = [-6, 6]
unit = "SD"
step = 0.5
source = "made up"
prior = { spread = 0.2, step = 2 }

[fields.cyp2b6]
kind = "category"
label = "CYP2B6"
categories = ["poor", "normal"]
source = "made up"
group = "background"

[fields.carrier]
kind = "flag"
label = "Carrier"
source = "made up"

[fields.hours]
kind = "integer"
label = "Hours of therapy planned"
range = [0, 100]
source = "made up"
group = "regimen"
"""
AGENTS = """
[agents.psilocybin]
label = "Psilocybin"
routes = ["oral"]
screening = ["psychosis", "systolic"]
prior = { spread = 0.5 }

[agents.cbt]
label = "Cognitive behavioural therapy"
routes = []

[agents.lsd]
label = "LSD"
dose_mg = [0.02, 0.2]

[agents.valproate]
label = "Valproate"
dose_mg = [250, 3000]

[agents.arketamine]
label = "Arketamine"
screening = "all"

[conditions.ocd]
label = "Obsessive-compulsive disorder"
"""
BUILT_IN = load_dictionary()


@pytest.fixture
def read(load, make_assessment):
    """Read assessments with everything added: their columns, and fields and rules of problems."""

    def read(*changes):
        rows = [make_assessment(**change) for change in changes]
        columns, problems = parse_rows(rows, dictionary=load(DASS + FIELDS + AGENTS))
        return columns, [(problem.field, problem.rule) for problem in problems]

    return read


def answer(numbers, scores):
    return {f"dass21_{n}": score for n, score in zip(numbers, scores, strict=True)}


@pytest.mark.parametrize(
    ("scores", "total"),
    [
        ((3, 2, 2, 1, 1, 1, 0), 20),
        # 10 of six items are 11.67 of seven: 12, and twice that.
        ((3, 2, 2, 1, 1, 1, None), 24),
        ((3, 3, 3, 3, 3, 3, None), 42),
        ((3, 2, 2, 1, 1, None, None), None),
    ],
)
def test_a_total_is_a_multiple_of_its_items(read, scores, total):
    columns, problems = read(answer(DEPRESSION, scores))
    (derived,) = columns.get_numbers("dass21_depression").tolist()
    assert problems == []
    assert derived == total if total is not None else derived != derived


def test_the_plain_sum_is_not_the_total(read):
    items = answer(DEPRESSION, (3, 2, 2, 1, 1, 1, 0))
    refused = [("dass21_depression", "total")]
    assert read(items | {"dass21_depression": 20})[1] == []
    assert read(items | {"dass21_depression": 10})[1] == refused
    assert read({"dass21_depression": 11})[1] == [("dass21_depression", "multiple")]
    assert read({"dass21_depression": 12})[1] == []


def test_subscales_share_the_items_of_their_form(load, read):
    known = load(DASS)
    assert known.item_owners["dass21_3"] == ("dass21_depression",)
    assert known.fields["dass21_3"].label == "DASS-21 depression item 3"
    numbered = known.instruments["dass21_depression"].numbered_items
    assert (numbered[3], numbered.get(2), numbered.get(1)) == ("dass21_3", None, None)
    assert BUILT_IN.instruments["phq9"].numbered_items[9] == "phq9_9"
    outcome = parse_outcome("dass21_depression.acute.response", known)
    assert outcome.followup_field == "dass21_depression_acute"
    columns, _ = read(answer(DEPRESSION, [1] * 7) | answer(ANXIETY, [2] * 7))
    totals = [columns.get_numbers(f"dass21_{name}")[0] for name in ("depression", "anxiety")]
    assert totals == [14, 28]


def test_an_item_may_count_in_several_scales(load, make_assessment):
    part = write_dass("part", DEPRESSION)
    known = load(DASS + part)
    assert known.item_owners["dass21_3"] == ("dass21_depression", "dass21_part")
    columns, _ = parse_rows([make_assessment(**answer(DEPRESSION, [1] * 7))], dictionary=known)
    assert columns.get_numbers("dass21_part")[0] == columns.get_numbers("dass21_depression")[0]


def test_an_item_has_one_range(list_rules):
    other = write_dass("part", DEPRESSION).replace("[3, 3,", "[4, 3,")
    assert list_rules(DASS + other) == {("dass21_part.item_highs", "duplicate")}


def test_added_fields_are_read_like_any_other(read, load):
    columns, problems = read({"prs": -1.25, "cyp2b6": "normal", "carrier": True, "hours": 12})
    assert problems == []
    read_back = {name: columns.get_numbers(name)[0] for name in ("prs", "cyp2b6", "carrier")}
    assert read_back == {"prs": -1.25, "cyp2b6": 1, "carrier": 1}
    known = load(FIELDS)
    assert known.fields["prs"].allowed == "a number from -6 to 6 SD"
    groups = [known.fields[name].group for name in ("prs", "cyp2b6", "hours")]
    assert groups == [Group.HISTORY, Group.BACKGROUND, Group.REGIMEN]
    names = [feature.name for feature in list_features(["prs", "cyp2b6"], known)]
    assert names == ["cyp2b6=poor", "cyp2b6=normal", "prs"]
    refused = [{"prs": 6.5}, {"cyp2b6": "rapid"}, {"hours": 1.5}]
    assert [read(change)[1] for change in refused] == [
        [("prs", "range")],
        [("cyp2b6", "category")],
        [("hours", "whole")],
    ]


def test_priors_are_found_by_field_and_category(load):
    known = load(FIELDS + AGENTS)
    assert (known.find_prior("prs").spread, known.find_prior("prs").step) == (0.2, 2)
    assert known.find_prior("agent", "psilocybin").spread == 0.5
    assert known.find_prior("agent", "ketamine") is known.find_prior("age") is None
    assert known.find_prior("agent", "cbt") is known.find_prior("carrier") is None


def test_agents_and_conditions_become_categories(load, read):
    known = load(AGENTS)
    built_in = BUILT_IN.fields["agent"].categories
    assert known.fields["agent"].categories == (
        *built_in,
        "psilocybin",
        "cbt",
        "lsd",
        "valproate",
        "arketamine",
    )
    assert known.fields["condition"].categories[-1] == "ocd"
    assert known.label_category("cbt") == "Cognitive behavioural therapy"
    assert known.label_category("usual_care") == "usual care"
    assert read({"agent": "cbt", "route": None, "condition": "ocd"})[1] == []


def test_an_instrument_may_be_of_an_added_condition(load):
    scale = write_dass("ocd", DEPRESSION).replace("multiplier", 'condition = "ocd"\nmultiplier')
    assert load(scale + AGENTS).instruments["dass21_ocd"].condition == "ocd"


@pytest.mark.parametrize(
    ("regimen", "problems"),
    [
        ({"agent": "cbt", "route": "iv"}, [("route", "agent")]),
        ({"agent": "cbt", "route": None, "dose_mg": 25}, [("dose_mg", "agent")]),
        ({"agent": "cbt", "route": None, "dose_mg_kg": 0.5}, [("dose_mg_kg", "agent")]),
        ({"agent": "psilocybin", "route": "oral", "dose_mg": 25}, []),
        ({"agent": "psilocybin", "route": None}, []),
        ({"agent": "psilocybin", "route": "iv"}, [("route", "agent")]),
        ({"agent": "arketamine", "route": "iv", "dose_mg_kg": 0.5}, []),
        ({"agent": "lsd", "route": None, "dose_mg": 0.1}, []),
        ({"agent": "lsd", "route": None, "dose_mg": 1}, [("dose_mg", "range")]),
        ({"agent": "valproate", "route": None, "dose_mg": 1500}, []),
        ({"agent": "ketamine", "dose_mg": 1500}, [("dose_mg", "range")]),
        ({"agent": None, "dose_mg": 0.1}, [("dose_mg", "range")]),
        ({"agent": "ketamine", "dose_mg": 1000}, []),
    ],
)
def test_a_regimen_is_possible_with_its_agent(read, regimen, problems):
    assert read(regimen)[1] == problems


def test_rules_of_ketamine_are_not_those_of_other_agents(read):
    """Every rule is met by the patient; each agent keeps those that hold for it."""
    patient = {"psychosis": True, "pregnancy": True, "systolic": 190, "age": 17, "phq9_9": 3}
    agents = ("ketamine", "arketamine", "psilocybin", "cbt")
    columns, problems = read(*(patient | {"agent": agent, "route": None} for agent in agents))
    assert problems == []
    rules = [
        {notice["rule"] for notice in notices if notice["action"] != "not_screened"}
        for notices in check_eligibility(columns).list_notices()
    ]
    always, psychosis = {"under_18", "suicidal_intent"}, {"psychosis"}
    pressure = {"severe_hypertension", "hypertension"}
    assert rules[0] == rules[1] == always | psychosis | pressure | {"pregnancy"}
    assert rules[2] == always | psychosis | pressure
    assert rules[3] == always
    assert {rule.name for rule in RULES if rule.every_agent} == always


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (FIELDS.replace("[fields.prs]", "[fields.age]"), ("fields.age", "duplicate")),
        (FIELDS.replace("[fields.prs]", "[fields.phq9_3]"), ("fields.phq9_3", "duplicate")),
        (FIELDS.replace("[fields.prs]", "[fields.phq9_day1]"), ("fields.phq9_day1", "duplicate")),
        (FIELDS.replace("[fields.prs]", "[fields.PRS]"), ("fields.PRS.key", "name")),
        (FIELDS.replace("[fields.prs]", "[fields.surname]"), ("fields.surname", "identifier")),
        (FIELDS.replace("[fields.prs]", "[fields.early_response]"), (
            "fields.early_response", "leakage")),
        (FIELDS.replace("range = [-6, 6]", ""), ("fields.prs", "parts")),
        (FIELDS.replace("[-6, 6]", "[6, -6]"), ("fields.prs", "parts")),
        (FIELDS.replace("step = 0.5", "step = 12"), ("fields.prs", "parts")),
        (FIELDS.replace("step = 0.5", "typical = [7, 1]"), ("fields.prs", "parts")),
        (FIELDS.replace('["poor", "normal"]', '["poor"]'), ("fields.cyp2b6", "parts")),
        (FIELDS.replace('["poor", "normal"]', '["poor", "null"]'), (
            "fields.cyp2b6.categories.1", "name")),
        (FIELDS.replace("[0, 100]", "[0, 99.5]"), ("fields.hours", "parts")),
        (FIELDS.replace('kind = "flag"', 'kind = "text"'), (
            "fields.carrier.kind", "literal_error")),
        (FIELDS.replace("spread = 0.2,", "spread = 0.2, mean = 1,"), (
            "fields.prs.prior.mean", "extra_forbidden")),
        (FIELDS.replace("spread = 0.2", "spread = 0"), ("fields.prs.prior.spread", "greater_than")),
        (AGENTS.replace("agents.cbt", "agents.placebo"), ("agents.placebo", "duplicate")),
        (AGENTS.replace("[0.02, 0.2]", "[2, 1]"), ("agents.lsd", "parts")),
        (AGENTS.replace("routes = []", "routes = []\ndose_mg = [1, 2]"), ("agents.cbt", "parts")),
        (AGENTS.replace('["oral"]', '["rectal"]'), ("agents.psilocybin.routes", "category")),
        (AGENTS.replace('"systolic"]', '"age"]'), ("agents.psilocybin.screening", "category")),
        (AGENTS.replace("conditions.ocd", "conditions.ptsd"), ("conditions.ptsd", "duplicate")),
        ('[agent.cbt]\nlabel = "CBT"', ("agent", "unknown")),
        ('[agents.cbt]\nlabel = "CBT"\n[extra]\na = 1', ("extra", "unknown")),
    ],
)  # fmt: skip
def test_what_contradicts_is_refused(list_rules, text, problem):
    assert list_rules(text) == {problem}


def test_a_field_may_be_of_an_earlier_treatment(load):
    text = FIELDS.replace("[fields.prs]", "[fields.prior_response_ect]")
    assert "prior_response_ect" in load(text).fields


def test_a_key_that_does_not_fit_is_explained(load):
    with pytest.raises(DictionaryError, match="each followed by a letter"):
        load(DASS.replace("dass21_anxiety", "dass_21"))


def test_additions_of_several_models_are_combined(load):
    first, second = load(FIELDS + AGENTS), load('[agents.tms]\nlabel = "TMS"', "other.toml")
    both = combine_dictionaries([first, second, BUILT_IN, first])
    assert both.fields["agent"].categories[-2:] == ("arketamine", "tms")
    assert "prs" in both.fields
    changed = load(AGENTS.replace('"Psilocybin"', '"Other"'), "changed.toml")
    with pytest.raises(DictionaryError, match="is a category of agent already"):
        combine_dictionaries([first, changed])


def test_a_field_built_in_since_adds_nothing(load):
    bmi = BUILT_IN.fields["bmi"]
    text = f"""
    [fields.bmi]
    kind = "number"
    label = "{bmi.label}"
    range = [10, 100]
    unit = "{bmi.unit}"
    loinc = "{bmi.loinc}"
    source = "{bmi.source}"
    group = "background"
    """
    assert load(text).fields == BUILT_IN.fields
