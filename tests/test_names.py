"""File names in terminals, pictures and tables."""

from pathlib import Path

import pytest

from anatpaste_aug.names import in_table, printable, shorten


@pytest.mark.parametrize("name", ["a.png", "Thorax seitlich ü.jpeg", "胸部/1.dcm", "a b&<c>'\"$.png", ""])
def test_ordinary_names_stay_as_they_are(name):
    assert printable(name) == shorten(name) == in_table(name) == name


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\udcff", "\x00"])
def test_signs_that_do_something_are_spelled_out(sign):
    for shown in (printable(f"a{sign}b.png"), shorten(f"{'x' * 50}{sign}b.png")):
        assert shown.isprintable()
        shown.encode()
        assert shown.encode().decode("unicode_escape").endswith(f"{sign}b.png")


@pytest.mark.parametrize("first", "=+-@\t\r\n＝＋－＠")
def test_no_cell_begins_as_a_formula_and_all_name_the_same_file(first, tmp_path, monkeypatch):
    name = f"{first}1+1.png"
    (tmp_path / name).write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert in_table(name) == f"./{name}"
    assert Path(in_table(name)).read_text() == "mine"


def test_long_names_keep_their_end():
    assert shorten("x" * 40 + "end.png", 10) == "…xxend.png"
