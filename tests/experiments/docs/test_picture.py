"""A figure of a report is photographed in a real browser."""

import shutil

import pytest

from experiments.docs.picture import take_report_picture
from features.base.errors import UnavailableError

HAS_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def test_without_a_report_there_is_no_picture(tmp_path):
    with pytest.raises(UnavailableError, match="needs the HTML file"):
        take_report_picture(tmp_path / "report.html", tmp_path / "report.png")


@pytest.mark.skipif(not HAS_CHROMIUM, reason="NO CHROMIUM: no picture was taken")
def test_calibration_curve_is_photographed(tmp_path):
    figure = (
        '<section class="figure" aria-labelledby="{}"><svg width="60" height="40"></svg></section>'
    )
    figures = "".join(figure.format(name) for name in ("flow", "calibration"))
    (tmp_path / "report.html").write_text(f"<!doctype html><body>{figures}", "utf-8")
    out = take_report_picture(tmp_path / "report.html", tmp_path / "images" / "report.png")
    assert out.read_bytes().startswith(b"\x89PNG")
