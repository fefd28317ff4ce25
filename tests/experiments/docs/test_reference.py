"""Reference pages agree with the code."""

from experiments.__main__ import app
from experiments.docs import reference


def test_pages_are_up_to_date():
    assert reference.find_stale(app) == []


def test_changed_page_is_noticed_and_rewritten(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    written = reference.write_pages(app)
    assert sorted(written) == sorted(tmp_path.iterdir())
    assert reference.find_stale(app) == []
    (tmp_path / "fields.md").write_text("old")
    assert [path.name for path in reference.find_stale(app)] == ["fields.md"]
    assert [path.name for path in reference.write_pages(app)] == ["fields.md"]
    assert reference.find_stale(app) == []
