"""Every number in the report is in the JSON."""

import re

import pytest

from features.dictionary.dictionary import load_dictionary
from training.findings.words import MEASURES, SAMPLE_SIZES
from training.report.page import render_report

# Numbers in fixed prose.
PROSE = ("TRIPOD+AI (2024)", "SHA-256", "chance would give 50")
OURS = [*(text for words in MEASURES.values() for text in words[:2]), *SAMPLE_SIZES.values()]


def list_shown(page):
    """List each number shown: its exact value, and its text."""
    for text, above in page.list_texts():
        behind = above[-1].attributes.get("value" if above[-1].tag == "data" else "data-value")
        if behind is not None:
            yield float(behind), text


def read_number(text):
    """Read a number shown: its unit, its value, and that of its last digit."""
    plain = text.replace("\u00a0", " ").replace("\u2212", "-").replace(",", "")
    number, unit = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)((?:%| of 100| points)?)", plain).groups()
    return (100 if unit else 1), float(number), 10.0 ** -len(number.partition(".")[2])


def test_every_number_is_one_of_the_json(findings, read, list_values):
    known = {float(number) for number in list_values(findings, (int, float))}
    shown = list(list_shown(read(render_report(findings))))
    assert shown
    assert [(value, text) for value, text in shown if value not in known] == []


def test_every_number_is_rounded_correctly(findings, read):
    for value, text in list_shown(read(render_report(findings))):
        unit, number, last = read_number(text)
        assert abs(unit * value - number) <= last / 2 + 1e-9, (value, text)


def test_no_other_number_is_shown(findings, read, list_values):
    labels = [field.label for field in load_dictionary().fields.values()]
    words = sorted({*list_values(findings, str), *PROSE, *OURS, *labels}, key=len, reverse=True)
    for text, above in read(render_report(findings)).list_texts():
        if not any(is_exempt(element) for element in above) and text not in words:
            rest = text
            for word in words:
                rest = rest.replace(word, "") if len(word) > 3 else rest
            assert not re.search(r"\d", rest), f"{rest!r} of {text!r}"


def is_exempt(element):
    """Numbers with a value are tested above; ticks are positions on an axis, not findings."""
    attributes = element.attributes
    hidden = attributes.get("aria-hidden") == "true"
    return hidden or element.tag in ("style", "data", "time") or "data-value" in attributes


def test_date_is_that_of_the_json(full, read):
    (time,) = read(render_report(full)).find_all("time")
    assert time.attributes["datetime"] == full.card.created
    assert full.card.created.startswith(time.text)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("full", "Of patients given an estimate of 28%, about 31 of 100 responded (25% to 36%)."),
        ("full", "It is better than the base rate, by more than sampling error explains"),
        ("full", "In about 65 of 100 pairs of a patient who responded and one who did not"),
        ("full", "Weighted for missing outcomes, the base rate is 47%."),
        ("external", "The base rate is 38%. The average estimate is 46%."),
        ("external", "but sampling error alone could explain that"),
        ("base_rate", "Every patient gets the base rate"),
        ("base_rate", "It does not discriminate"),
        ("minimal", "Its performance is unknown: nothing was tested."),
    ],
)
def test_clinicians_read_plain_sentences(make_findings, read, name, sentence):
    page = read(render_report(make_findings(name)))
    section = page.find("section", aria_labelledby="clinician")
    assert sentence in re.sub(
        r"\s+([.,):])", r"\1", section.text.replace("\u00a0", " ").replace("( ", "(")
    )


def test_difference_within_sampling_error_is_not_called_better(full, read):
    def read_section(difference):
        candidates = tuple(
            candidate.model_copy(update={"difference": difference})
            if candidate.chosen
            else candidate
            for candidate in full.candidates
        )
        changed = full.model_copy(update={"candidates": candidates})
        return read(render_report(changed)).find("section", aria_labelledby="clinician").text

    assert "but sampling error alone could explain that" in read_section(-0.0082)
    assert "by more than sampling error explains" in read_section(-0.0083)
    assert "It is no better than the base rate" in read_section(0.0)
