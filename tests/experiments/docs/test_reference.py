"""Reference pages agree with the code."""

import pytest

from experiments.__main__ import app
from experiments.docs import reference
from features.base.errors import KetamineResponseError


def test_pages_are_up_to_date():
    reference.check_pages(app)


def test_changed_page_is_noticed_and_rewritten(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    written = reference.write_pages(app)
    assert sorted(written) == sorted(tmp_path.iterdir())
    reference.check_pages(app)
    (tmp_path / "fields.md").write_text("old")
    with pytest.raises(KetamineResponseError, match=r"pages: fields\.md;"):
        reference.check_pages(app)
    assert [path.name for path in reference.write_pages(app)] == ["fields.md"]
    reference.check_pages(app)
