"""Findings made by hand: rich, sparse, of the base rate, of another cohort; all SIMULATED."""

import json
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest

from features.dictionary.outcome import parse_outcome
from features.model.card import (
    IntervalFacts,
    Measure,
    ModelCard,
    OutcomeFacts,
    Population,
    StudiedRange,
)
from features.model.matrix import list_features
from training.findings.checklist import answer_checklist
from training.findings.findings import (
    AcrossSites,
    Attrition,
    BaselineGap,
    Bin,
    CalibrationFacts,
    ChampionFacts,
    Compared,
    Criterion,
    CurvePoint,
    DecisionFacts,
    FactorFacts,
    Findings,
    Flow,
    InstabilityFacts,
    Performance,
    SampleSizeFacts,
    Scenario,
    SiteFacts,
    TableFlow,
)
from training.measures.closed_test import RecalibrationFacts
from training.measures.decision import DecisionPoint
from training.measures.instability import InstabilityBand
from training.measures.sites import Pooled
from training.measures.subgroups import Subgroup
from training.study.conditions import Exclusion

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def around(value, reach, scale=1.0):
    return Measure(value=value, low=value - reach * scale, high=value + reach * scale)


def make_card(candidate="evidence_prior", data="simulated"):
    outcome = parse_outcome("phq9.acute.response")
    return ModelCard(
        name=outcome.id,
        outcome=OutcomeFacts(**outcome.describe()),
        candidate=candidate,
        data=data,
        study="demo",
        question="Who responds to ketamine by the end of the acute series?",
        created="2026-01-01T00:00:00+00:00",
        seed=20260101,
        population=Population(
            courses=1187, events=561, patients=1104, sites=9, without_outcome=413,
            weighted_rate=0.45871,
        ),
        features=list_features(["phq9", "age", "bmi", "failed_antidepressants"]),
        sites=("site-01", "site-02", "a very long name of a clinic by the sea"),
        ranges=(
            StudiedRange(field="condition", categories=("depression", "anxiety")),
            StudiedRange(field="age", low=20, high=80),
            StudiedRange(field="bmi", low=17.5, high=52.5),
            StudiedRange(field="agent", categories=("ketamine",)),
            StudiedRange(field="route", categories=("iv", "im", "intranasal")),
        ),
        interval=IntervalFacts(level=0.8, method="middle 80% of 200 re-fits", redevelopments=200),
        performance={candidate: {"auc": Measure(value=0.65)}},
        validation="4 times 5-fold cross-validation, patients held out",
        verdict="Better than the base rate.",
        data_digest="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        versions={"ketamine-response": "0.1.0", "python": "3.11.2", "numpy": "2.3.1"},
        files={"arrays.npz": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"},
    )  # fmt: skip


def make_measures(shift=0.0, reach=1.0):
    return {
        "auc": around(0.65123 - shift, 0.03171, reach),
        "log_loss": around(0.66512 + shift, 0.01213, reach),
        "brier": around(0.23617 + shift, 0.00611, reach),
        "scaled_brier": around(0.05419 - shift, 0.02317, reach),
        "ratio": around(1.01317 + shift, 0.06119, reach),
        "intercept": around(0.02131 + shift, 0.12233, reach),
        "slope": around(0.97113 - shift, 0.21317, reach),
        "ici": around(0.02317, 0.01113, reach),
        "e50": around(0.02113, 0.01013, reach),
        "e90": around(0.04317, 0.02113, reach),
        "emax": Measure(value=0.08919),
    }


def make_performance():
    def made(way, method, shift, optimism=None):
        return Performance(
            way=way, method=method, courses=1187, events=561, measures=make_measures(shift),
            optimism=optimism or {},
        )  # fmt: skip

    optimism = dict.fromkeys(("auc", "scaled_brier", "slope"), 0.0113)
    return (
        made("apparent", "on the courses learned from", -0.011),
        made("corrected", "bootstrap, 200 re-developments", 0.0, optimism),
        made("nested", "4 times 5 folds, patients held out, every choice repeated inside", 0.004),
        made("sites", "9 sites held out one by one", 0.021),
        Performance(
            way="temporal", method="", courses=0, events=0, measures={},
            because="fewer than half of the courses have a date",
        ),
    )  # fmt: skip


def make_calibration():
    estimates = np.linspace(0.2213, 0.7531, 40)
    observed = 0.47 + 0.9 * (estimates - 0.47) + 0.02 * np.sin(9 * estimates)
    reach = 0.03 + 0.6 * (estimates - 0.47) ** 2
    points = [
        CurvePoint(estimate=e, observed=o, low=o - r, high=o + r)
        for e, o, r in zip(estimates.tolist(), observed.tolist(), reach.tolist(), strict=True)
    ]
    random = np.random.default_rng(1)
    at = np.linspace(0.2213, 0.7531, 15)
    versions = [
        tuple((0.47 + b * (at - 0.47) + a).tolist())
        for a, b in zip(random.normal(0, 0.02, 40), random.normal(0.9, 0.2, 40), strict=True)
    ]
    versions[3] = (None, None, *versions[3][2:7], None, *versions[3][8:])
    versions[4] = (None,) * 15
    counts = (0, 0, 0, 0, 12, 41, 77, 133, 181, 203, 190, 144, 101, 62, 31, 12, 0, 0, 0, 0)
    bins = [Bin(low=n / 20, high=(n + 1) / 20, courses=count) for n, count in enumerate(counts)]
    return CalibrationFacts(
        way="nested", points=points, histogram=bins, at=at.tolist(), versions=versions
    )


def make_decision():
    thresholds = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]
    points, lines = [], []
    random = np.random.default_rng(2)
    for t in thresholds:
        treat_all = 0.4731 - 0.5269 * t / (1 - t)
        model = max(treat_all, 0.0) + 0.035 * np.exp(-(((t - 0.46) / 0.1) ** 2)) - 0.004
        gain = around(model - max(treat_all, 0.0), 0.0181)
        points.append(
            DecisionPoint(
                threshold=t, treated=1 - t * 0.9, benefit=around(model, 0.0211),
                treat_all=around(treat_all, 0.0301), standardised=around(model / 0.4731, 0.0441),
                gain=gain,
            )
        )  # fmt: skip
        lines.append(model + random.normal(0, 0.008, 40))
    return DecisionFacts(way="nested", points=points, versions=np.array(lines).T.tolist())


def make_instability():
    bands = [
        InstabilityBand(
            courses=119, estimate=e, low=e - 0.061 - 0.1 * abs(e - 0.47),
            high=min(e + 0.073 + 0.1 * abs(e - 0.47), 1), error=0.0317 + 0.05 * abs(e - 0.47),
        )
        for e in (0.2911, 0.3517, 0.3911, 0.4213, 0.4517, 0.4819, 0.5111, 0.5513, 0.6017, 0.6919)
    ]  # fmt: skip
    return InstabilityFacts(
        versions=200, level=0.8, error=0.0371, threshold=0.5, flips=0.1319, bands=bands
    )


def make_sites():
    names = ["site-01", "site-02", "a very long name of a clinic by the sea", "site-04", "site-05"]
    values = [0.61, 0.68, 0.66, 0.71, 0.58]
    sites = [
        SiteFacts(
            name=name, courses=211 - 30 * n, events=97 - 14 * n,
            measures={"auc": around(auc, 0.05 + 0.02 * n),
                      "ratio": Measure(value=0.8 + 0.15 * n, low=0.6 + 0.1 * n, high=1.1 + 0.4 * n),
                      "slope": around(0.9 + 0.05 * n, 0.41)},
        )
        for n, (name, auc) in enumerate(zip(names, values, strict=True))
    ]  # fmt: skip
    wide = {"auc": around(0.66, 0.16), "ratio": Measure(value=1.5, low=0.19, high=5.7)}
    sites.append(SiteFacts(name="site-06", courses=41, events=17, measures=wide))
    sites.append(SiteFacts(name="site-07", courses=None, events=None, note="too few"))
    pooled = {
        "auc": Pooled(
            mean=around(0.6511, 0.0317), next_site=around(0.6511, 0.0919), spread=0.1117,
            inconsistency=0.2213, sites=6, left_out=1,
        ),
        "ratio": Pooled(
            mean=Measure(value=1.0417, low=0.8711, high=1.2453),
            next_site=Measure(value=1.0417, low=0.5513, high=1.9671), spread=0.2117,
            inconsistency=0.5513, sites=6, left_out=1,
        ),
    }  # fmt: skip
    return AcrossSites(sites=sites, pooled=pooled)


def make_subgroups():
    def row(grouping, name, courses, events, ratio, detectable):
        return Subgroup(
            grouping=grouping, name=name, courses=courses, events=events, estimate=0.4713,
            ratio=Measure(value=ratio, low=ratio / 1.19, high=ratio * 1.19),
            auc=around(0.6417, 0.0513), detectable=detectable,
        )  # fmt: skip

    return (
        row("age", "18 to 29", 201, 88, 0.9317, 1.3117),
        row("age", "30 to 44", 377, 181, 1.0313, 1.2319),
        row("age", "45 to 59", 341, 160, 0.9919, 1.2417),
        Subgroup(grouping="age", name="75 and over", courses=None, events=None,
                      note="hidden: its counts would give away another row's"),
        row("sex", "female", 733, 351, 1.0217, 1.1913),
        row("sex", "male", 431, 200, 0.9713, 1.2113),
        Subgroup(grouping="sex", name="other", courses=None, events=None, note="too few"),
        Subgroup(grouping="condition", name="anxiety", courses=28, events=13, note="too few"),
    )  # fmt: skip


def make_gate():
    def criterion(name, question, value, low, high, passed, because=""):
        return Criterion(
            name=name, question=question, value=value, low=low, high=high, passed=passed,
            because=because,
        )  # fmt: skip

    return (
        criterion("log_loss_difference", "Is it better than the base rate?", -0.02117, None, -0.005,
                  True),
        criterion("calibration_slope", "Is the slope near 1?", 0.96713, 0.8, 1.2, True),
        criterion("next_site_slope", "Is it at the next site?", 0.71317, 0.8, 1.2, False,
                  "the slope to be expected at the next site is below 0.8"),
        criterion("external", "Was it validated elsewhere?", None, 1, None, None,
                  "no external cohort was given"),
    )  # fmt: skip


def make_attrition():
    return Attrition(
        courses=1600, missing=413, unmeasured=37,
        gaps=(BaselineGap(field="age", label="Age", feature="age", difference=-0.2117),
              BaselineGap(field="bmi", label="BMI", feature="bmi", difference=0.1313)),
        effective=1051.7, largest=3.917,
        scenarios=[
            Scenario(odds_ratio=o, missing_rate=0.47 * o**0.5, base_rate=0.47 * o**0.1,
                          predicted=0.4713, intercept=0.31 * np.log(o), slope=0.96)
            for o in (1.0, 0.75, 0.5, 0.4545454545, 0.33)
        ],
        assumption="given what is recorded, whether an outcome is reported does not depend on it",
    )  # fmt: skip


def make_flow():
    excluded = [
        Exclusion("where.condition", "Condition treated: other than depression or anxiety", 131),
        Exclusion("where.age.missing", "Age: not recorded", 17),
        Exclusion("baseline", "Without a baseline PHQ-9", 37),
        Exclusion("awaiting", "Without a known outcome", 413),
        Exclusion("where.few", "Other conditions of the study, few courses each", 7),
    ]
    tables = [
        TableFlow(
            table="visits", read=9317, used=9211,
            excluded=[Exclusion("intake.windows", "Outside every window", 106)],
        ),
        TableFlow(table="people", read=1811, used=1811),
    ]  # fmt: skip
    return Flow(
        tables=tables,
        patients_excluded=[Exclusion("intake.join", "Patient in other tables only (people)", 19)],
        read=1792, excluded=excluded, analysed=1187, events=561, non_events=626, patients=1104,
        sites=9,
    )  # fmt: skip


def make_factors():
    named = {
        "phq9": ("PHQ-9 total", 0.3117, 1.0),
        "failed_antidepressants": ("Failed antidepressants", 0.2713, 0.9117),
        "bmi": ("Body mass index", 0.1917, 0.7713),
        "age": ("Age", 0.1119, 1.0),
        "family_alcohol_use_disorder": ("Alcohol use disorder in the family", 0.0713, 0.4117),
    }
    return [
        FactorFacts(field=field, label=label, deviation=around(size, 0.0531), recorded=recorded)
        for field, (label, size, recorded) in named.items()
    ]


def make_candidates():
    def compared(name, label, chosen, difference, picked):
        return Compared(
            name=name, label=label, chosen=chosen, measures=make_measures(-difference / 10),
            difference=difference, error=0.00413, picked=picked,
        )  # fmt: skip

    return (
        compared("base_rate", "Base rate", False, 0.0, 0.0),
        compared("evidence_prior", "Published evidence, updated", True, -0.02117, 0.8117),
        compared("xgboost", "Boosted trees", False, -0.0113, 0.1883),
    )


def make_full():
    made = Findings(
        purpose="development",
        profile="full",
        card=make_card(),
        version="7",
        verdict="The model is better than the base rate and calibrated where it was learned. At a "
        "new site it may be too extreme. Show it to no clinician before it was recalibrated.",
        alarms=("The AUC of xgboost is above 0.78, more than any honest validation reached.",),
        cohort="1,187 courses of depression or anxiety at 9 simulated clinics.",
        courses=1187,
        events=561,
        patients=1104,
        simulated=True,
        base_rate=0.47262,
        mean_estimate=0.47013,
        candidates=make_candidates(),
        performance=make_performance(),
        calibration=make_calibration(),
        decision=make_decision(),
        instability=make_instability(),
        across_sites=make_sites(),
        subgroups=make_subgroups(),
        sample_size=SampleSizeFacts(
            parameters=31, effective=11.317, prevalence=0.47262, auc=0.65123,
            courses={"overfitting": 3617, "apparent_fit": 1291, "base_rate": 384},
            binding="overfitting",
            verdict="1,187 courses are fewer than the 3,617 that so many coefficients need.",
        ),
        factors=make_factors(),
        attrition=make_attrition(),
        flow=make_flow(),
        recorded={"phq9": 1.0, "age": 1.0, "failed_antidepressants": 0.9117, "bmi": 0.7713,
                  "family_alcohol_use_disorder": 0.4117},
        champion=ChampionFacts(version="6", candidate="base_rate", difference=-0.02117,
                               error=0.00413),
        gate=make_gate(),
        passed=False,
        recalibration=RecalibrationFacts(intercept=0.0213, slope=0.9317, version="8"),
        limitations=("Patients are simulated.", "No cohort from elsewhere was at hand."),
    )  # fmt: skip
    return with_checklist(made)


def with_checklist(findings):
    return findings.model_copy(update={"checklist": answer_checklist(findings)})


def make_minimal():
    return Findings(
        purpose="development",
        profile="quick",
        card=make_card(),
        verdict="Nothing could be tested: no outcome is known yet.",
        cohort="None yet.",
        courses=0,
        events=0,
        patients=0,
        simulated=True,
        performance=(),
    )


def make_base_rate():
    losses = {name: make_measures()[name] for name in ("log_loss", "brier", "scaled_brier")}
    constant = {**losses, "auc": Measure(value=None), "slope": Measure(value=None)}
    bins = [Bin(low=n / 20, high=(n + 1) / 20, courses=1187 * (n == 9)) for n in range(20)]
    return with_checklist(
        make_full().model_copy(
            update={
                "card": make_card("base_rate"),
                "verdict": "No candidate predicts response: every patient gets the base rate.",
                "alarms": (),
                "candidates": tuple(
                    candidate.model_copy(update={"chosen": candidate.name == "base_rate"})
                    for candidate in make_candidates()
                ),
                "performance": (
                    Performance(way="nested", method="5 folds", courses=1187, events=561,
                                measures=constant),
                ),
                "calibration": CalibrationFacts(way="nested", points=(), histogram=bins),
                "instability": InstabilityFacts(versions=200, level=0.8, error=0.0117),
                "across_sites": None,
                "subgroups": (),
                "factors": (),
                "sample_size": SampleSizeFacts(
                    parameters=31, effective=None, prevalence=0.47262, auc=None, courses={},
                    binding=None, verdict="The base rate is known to within 3 points.",
                ),
                "recalibration": None,
            }
        )
    )  # fmt: skip


def make_external():
    return with_checklist(
        Findings(
            purpose="external",
            profile="full",
            card=make_card(),
            version="7",
            verdict="On a cohort elsewhere the model ranks as before, but its estimates are high.",
            cohort="203 simulated courses of a clinic that took no part in the development.",
            courses=203,
            events=77,
            patients=203,
            simulated=True,
            base_rate=0.37931,
            mean_estimate=0.46113,
            performance=(
                Performance(way="external", method="the registered model as it is", courses=203,
                            events=77, measures=make_measures(0.03, 2.0)),
            ),
            calibration=make_calibration().model_copy(
                update={"way": "external", "at": (), "versions": ()}
            ),
            decision=make_decision().model_copy(update={"way": "external", "versions": ()}),
            recalibration=RecalibrationFacts(intercept=-0.2917, slope=0.9317),
            limitations=("One clinic.",),
        )
    )  # fmt: skip


MADE = {
    "full": make_full,
    "minimal": make_minimal,
    "base_rate": make_base_rate,
    "external": make_external,
}


# Elements without an end tag.
VOID = ("meta", "link", "br", "img", "hr", "input")


@dataclass(frozen=True)
class Element:
    """An element with its children: other elements, and texts."""

    tag: str
    attributes: dict
    inside: list

    def find_all(self, tag, **attributes):
        """Find elements by tag and by classes or other attributes, in order."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        for child in self.inside:
            if isinstance(child, Element):
                own = {k: v.split() if k == "class" else [v] for k, v in child.attributes.items()}
                if child.tag == tag and all(v in own.get(k, []) for k, v in wanted.items()):
                    yield child
                yield from child.find_all(tag, **attributes)

    def find(self, tag, **attributes):
        return next(self.find_all(tag, **attributes))

    def list_texts(self, above=()):
        """List every text with the elements around it, the innermost last."""
        for child in self.inside:
            if isinstance(child, Element):
                yield from child.list_texts((*above, self))
            elif child.strip():
                yield child.strip(), (*above, self)

    @property
    def text(self):
        # As a browser shows it: line breaks of the source are spaces.
        return re.sub(r"[ \n]+", " ", " ".join(text for text, _ in self.list_texts()))


class Reader(HTMLParser):
    """Reads a page into elements, and fails on one that is not closed."""

    def __init__(self):
        super().__init__()
        self.open = [Element("", {}, [])]

    def handle_starttag(self, tag, attrs):
        made = Element(tag, dict(attrs), [])
        self.open[-1].inside.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        self.open[-1].inside.append(data)


def read_page(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]


@pytest.fixture(scope="session")
def read():
    """Read a page into elements."""
    return read_page


@pytest.fixture(scope="session")
def list_values():
    """List every number, or every text, of the findings' JSON."""

    def listed(findings, kind):
        values, left = [], [json.loads(findings.model_dump_json())]
        while left:
            item = left.pop()
            if isinstance(item, dict):
                left += [*item.values(), *item]
            elif isinstance(item, list):
                left += item
            elif isinstance(item, kind) and not isinstance(item, bool):
                values.append(item)
        return values

    return listed


@pytest.fixture(scope="session", params=list(MADE))
def findings(request):
    """Each kind of findings in turn."""
    return MADE[request.param]()


@pytest.fixture(scope="session")
def full():
    """Findings with every part."""
    return make_full()


@pytest.fixture(scope="session")
def make_findings():
    """Makes findings of a kind by name."""
    return lambda name: MADE[name]()


# Per module: Playwright runs only once at a time in a process.
@pytest.fixture(scope="module")
def browser():
    """A real Chromium."""
    if CHROMIUM is None:
        pytest.skip("NO CHROMIUM: the report was not looked at (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        yield launched
        launched.close()
