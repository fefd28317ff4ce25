"""How a text file is written, found from its bytes."""

import pytest

from training.drafting.sniffing import sniff_text

ROWS = "patient_id;phq9;age\na;17;44,5\nb;12;39,0\n"


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (b"patient_id,phq9\na,17\n", {}),
        (ROWS.encode(), {"delimiter": ";", "decimal": ","}),
        (ROWS.replace(",", ".").encode(), {"delimiter": ";"}),
        (b"sep=;\n" + ROWS.encode(), {"decimal": ","}),
        (
            ROWS.replace("age", "größe").encode("cp1252"),
            {"encoding": "windows-1252", "delimiter": ";", "decimal": ","},
        ),
        (b"a\tb\n1\t2\n", {"delimiter": "\t"}),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}),
        (b'"x;y",b\n"1;2",2\n', {}),
    ],
)
def test_form_is_what_differs_from_the_usual(head, form):
    assert sniff_text(head, ",") == form


def test_letter_cut_in_two_is_still_utf8():
    assert sniff_text("a,größe\n1,ö".encode()[:-1], ",") == {}
