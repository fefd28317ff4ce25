"""The report is one accessible page that reports everything missing as missing."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import pytest

from features.model.card import StudiedRange
from training.findings.checklist import answer_checklist
from training.findings.findings import (
    Criterion,
)
from training.measures.subgroups import Subgroup
from training.report.page import render_report
from training.report.rendering import read_style

OPTIONAL = (
    "calibration",
    "decision",
    "instability",
    "across_sites",
    "sample_size",
    "attrition",
    "flow",
    "champion",
    "recalibration",
    "version",
    "base_rate",
    "mean_estimate",
    "passed",
)
EMPTY = (
    "alarms",
    "candidates",
    "performance",
    "subgroups",
    "factors",
    "gate",
    "limitations",
    "checklist",
)
HEADINGS = [
    "Verdict",
    "For clinicians",
    "What it is for",
    "Average estimate",
    "How good it is",
    "What it must not be used for",
    "Does it pass the gate?",
    "Figures",
    "Which courses were analysed?",
    "Do observed proportions match the estimates?",
    "Is deciding by the model better than treating all, or none?",
    "How much would estimates change with other patients?",
    "How does it perform at new sites?",
    "Which fields influence the estimates?",
    "Is it calibrated in all groups of patients?",
    "For methodologists",
    "Performance",
    "Candidates",
    "Sample size",
    "Missing outcomes",
    "Recorded fields",
    "Recalibration",
    "The model",
    "Limitations",
    "Checklist",
]


def list_headings(page):
    """List headings with their levels, in page order."""
    return [
        (int(above[-1].tag[1]), text)
        for text, above in page.list_texts()
        if re.fullmatch(r"h\d", above[-1].tag)
    ]


def test_verdict_is_first_and_parts_are_in_order(findings, read):
    headings = list_headings(read(render_report(findings)))
    assert headings[0] == (1, findings.card.outcome.definition)
    assert [text for _, text in headings[1:]] == HEADINGS


def test_headings_leave_no_level_out(findings, read):
    levels = [level for level, _ in list_headings(read(render_report(findings)))]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("part", [*OPTIONAL, *EMPTY, "recorded"])
def test_missing_parts_leave_no_gap(full, read, part):
    nothing = None if part in OPTIONAL else ({} if part == "recorded" else ())
    page = read(render_report(full.model_copy(update={part: nothing})))
    headings = [text for _, text in list_headings(page)[1:]]
    assert headings == HEADINGS
    for section in page.find_all("section"):
        assert section.text.strip() != section.find("h2" if "figure" not in section.attributes.get(
            "class", "") else "h3").text  # fmt: skip


def test_simulated_data_are_marked_throughout(findings, read):
    """At the top, at the end, and at each figure."""
    page = read(render_report(findings))
    assert page.find("title").text.startswith("SIMULATED")
    assert "SIMULATED DATA" in page.find("header").text
    assert "SIMULATED DATA" in page.find("footer").text
    assert all("SIMULATED DATA" in figure.text for figure in page.find_all("figure"))


def test_real_data_are_not_called_simulated(full):
    card = full.card.model_copy(update={"data": "real"})
    changed = full.model_copy(
        update={
            "simulated": False,
            "card": card,
            "cohort": "A clinic.",
            "limitations": (),
            "checklist": (),
        }
    )
    assert "SIMULATED" not in render_report(changed)


def test_misuse_is_always_listed(findings, read):
    text = read(render_report(findings)).find("section", aria_labelledby="clinician").text
    for warning in ("Not to judge the benefit of treatment", "Never to refuse care", "prognosis"):
        assert warning in text


def test_failed_criteria_are_in_words_not_colour(full, read):
    text = read(render_report(full)).find("section", aria_labelledby="clinician").text
    assert "Not passed." in text
    assert "✗ failed" in text
    assert "✓ passed" in text
    assert "does not apply" in text
    assert full.gate[2].because in text


def test_undone_validations_have_a_reason(full, read):
    text = read(render_report(full)).find("section", aria_labelledby="methods").text
    reason = full.performance[-1].because
    assert f"Later courses: not done ({reason})." in text


def test_external_report_lists_no_undone_validations(make_findings, read):
    page = read(render_report(make_findings("external")))
    assert "External validation of a model" in page.find("header").text
    assert "not done (" not in page.find("section", aria_labelledby="methods").text


def test_nothing_is_loaded_from_anywhere(findings, read):
    page = read(render_report(findings))
    texts = render_report(findings)
    assert not re.search(r"https?:|//\w|\bsrc=|@import|<link|<script", texts)
    targets = [link.attributes["href"] for link in page.find_all("a")]
    assert all(target.startswith("#") for target in targets)
    places = re.findall(r'\bid="([^"]+)"', texts)
    assert {target[1:] for target in targets} <= set(places)
    assert len(places) == len(set(places))
    assert set(re.findall(r"url\(#([^)]+)\)", texts)) <= set(places)


def test_the_policy_allows_this_style_and_nothing_else(full, read):
    page = read(render_report(full))
    style = page.find("style").inside[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = page.find("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "style=" not in render_report(full)


def test_texts_of_the_findings_are_escaped(full):
    hostile = '<img src=x onerror="alert(1)">'
    site = full.across_sites.sites[0].model_copy(update={"name": hostile})
    across = full.across_sites.model_copy(update={"sites": (site,)})
    factor = full.factors[0].model_copy(update={"label": hostile})
    group = replace(full.subgroups[0], name=hostile, note=hostile)
    changed = full.model_copy(
        update={
            "verdict": hostile,
            "alarms": (hostile,),
            "limitations": (hostile,),
            "across_sites": across,
            "factors": (factor,),
            "subgroups": (group,),
            "recorded": {hostile: 0.5},
        }
    )
    assert "<img" not in render_report(changed)


def test_drawings_and_tables_say_what_they_are(findings, read):
    page = read(render_report(findings))
    assert page.find("html").attributes["lang"] == "en"
    for drawing in page.find_all("svg"):
        assert drawing.attributes["role"] == "img"
        names = drawing.attributes["aria-labelledby"].split()
        inner = [drawing.find("title"), drawing.find("desc")]
        assert [label.attributes["id"] for label in inner] == names
        assert all(label.text for label in inner)
    for figure in page.find_all("figure"):
        assert figure.find("figcaption").text
    for table in page.find_all("table"):
        assert table.find("caption").text
        assert all(cell.attributes.get("scope") in ("col", "row") for cell in table.find_all("th"))
        widths = {len([*row.find_all("th"), *row.find_all("td")]) for row in table.find_all("tr")}
        assert len(widths) == 1
    for box in page.find_all("div", class_="wide"):
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["aria-label"]


def read_schemes():
    """Read the colours of the light and of the dark scheme."""
    blocks = re.findall(r":root \{(.*?)\}", read_style(), re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in blocks]


def compute_contrast(colour_a, colour_b):
    """Compute contrast as WCAG 2 does."""

    def light(colour):
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(colour_a), light(colour_b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_the_standard_says():
    assert compute_contrast("#000000", "#ffffff") == pytest.approx(21)
    assert compute_contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_and_marks_have_enough_contrast(scheme):
    assert len(read_schemes()) == 2
    colours = read_schemes()[scheme]
    for text in ("ink", "muted", "accent", "up", "down", "alarm"):
        assert compute_contrast(colours[text], colours["paper"]) >= 4.5, text
    for text, behind in (("ink", "alarm-paper"), ("ink", "soft"), ("muted", "soft")):
        assert compute_contrast(colours[text], colours[behind]) >= 4.5, text
    assert compute_contrast(colours["line"], colours["paper"]) >= 3


def test_the_whole_checklist_is_in_the_report(full, read):
    table = next(
        table
        for table in read(render_report(full)).find_all("table")
        if table.find("caption").text == "TRIPOD+AI checklist"
    )
    numbers = [row.find("th").text for row in table.find("tbody").find_all("tr")]
    assert numbers == [item.number for item in answer_checklist(full)]


def with_agents(findings, *agents):
    ranges = [studied for studied in findings.card.ranges if studied.field != "agent"]
    ranges.append(StudiedRange(field="agent", categories=agents))
    card = findings.card.model_copy(update={"ranges": tuple(ranges)})
    return findings.model_copy(update={"card": card})


def test_other_treatments_are_not_called_ketamine(full):
    ketamine = render_report(with_agents(full, "ketamine", "esketamine"))
    other = with_agents(full, "other", "usual_care")
    assert "a patient treated with ketamine or esketamine is" in ketamine
    assert "a patient treated as those studied were (other, usual care) is" in render_report(other)
    targets = [item.answer for item in answer_checklist(other)]
    assert any("treated as those studied were (other, usual care)" in answer for answer in targets)


def test_many_unmarked_groups_share_one_line(full):
    small = [
        Subgroup(grouping="site", name=f"clinic {n}", courses=None, events=None, note="too few")
        for n in range(9)
    ]
    text = render_report(full.model_copy(update={"subgroups": (*full.subgroups, *small)}))
    drawing = text.partition('id="subgroups')[2].partition("</svg>")[0]
    assert "others" in drawing
    assert "clinic 3" not in drawing
    assert "clinic 3" in text


def test_optimism_of_the_slope_is_a_factor(full):
    corrected = full.find_performance("corrected").model_copy(update={"shrinkage": 0.8125})
    others = [performance for performance in full.performance if performance.way != "corrected"]
    text = render_report(full.model_copy(update={"performance": (corrected, *others)}))
    assert re.search(r'\u00d7 <data value="0.8125">0.81</data>', text)


def test_instability_describes_its_refits(full):
    facts = full.instability.model_copy(update={"method": "by hand"})
    text = render_report(full.model_copy(update={"instability": facts}))
    assert "refits of the model (by hand) predicted the same patients" in text


def test_criteria_that_count_something_show_whole_numbers(full):
    counted = Criterion(
        name="courses", question="courses", value=129, low=91, high=None, passed=True
    )
    text = render_report(full.model_copy(update={"gate": (counted,)}))
    assert '<data value="129.0">129</data>' in text
