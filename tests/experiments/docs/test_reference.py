"""Reference pages are what the code says."""

from experiments.docs import reference


def test_pages_are_up_to_date():
    assert reference.find_stale() == []


def test_a_changed_page_is_noticed_and_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    assert len(reference.write_pages()) == len(reference.PAGES)
    assert reference.find_stale() == []
    (tmp_path / "fields.md").write_text("old")
    assert [path.name for path in reference.find_stale()] == ["fields.md"]
    assert [path.name for path in reference.write_pages()] == ["fields.md"]
    assert reference.find_stale() == []
