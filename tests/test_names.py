"""File names in terminals, pictures and tables."""

from pathlib import Path

import pytest
from anatpaste_aug.names import in_table

from anatpaste_aug.files import shown


@pytest.mark.parametrize("name", ["a.png", "Thorax seitlich ü.jpeg", "胸部/1.dcm", "a b&<c>'\"$.png", ""])
def test_ordinary_names_stay_as_they_are(name):
    assert shown(name) == in_table(name) == name


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\udcff", "\x00"])
def test_signs_that_do_something_are_spelled_out(sign):
    text = shown(f"a{sign}b.png")
    assert text.isprintable()
    assert text.encode().decode("unicode_escape") == f"a{sign}b.png"


@pytest.mark.parametrize("first", "=+-@\t\r\n＝＋－＠")
def test_no_cell_begins_as_a_formula_and_all_name_the_same_file(first, tmp_path, monkeypatch):
    name = f"{first}1+1.png"
    (tmp_path / name).write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert in_table(name) == f"./{name}"
    assert Path(in_table(name)).read_text() == "mine"
