"""Commands print what the pages show: how-to guides and explanations, after the demonstration."""

import pytest
from pages import HOW_TO, name_page

REAL_DATA = "bring-your-own-cohort.md"


@pytest.mark.parametrize("page", HOW_TO, ids=name_page)
def test_commands_print_what_the_page_shows(clone, page):
    """They start no server: test_tutorial.py starts some on the same ports, at the same time."""
    if page.name == REAL_DATA and not (clone.folder / "ds005917").exists():
        pytest.skip("REAL TRIALS ABSENT: shared/data is not beside this checkout")
    clone.check(page)
    assert clone.server is None
