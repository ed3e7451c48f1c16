"""CSV files of downloads, and the folders that contain them."""

import pytest

from anatpaste_aug.datasets import DatasetError
from anatpaste_aug.datasets.files.tables import find_folder, parse_age, read_rows


def rows(path, content, columns=("b", "a"), encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return list(read_rows(path, columns))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_line_ends_marks_spaces_and_empty_lines(tmp_path, end, encoding):
    content = end.join(["a, b,other", "1,2,3", "", ' é ,"x, y",', ",,"])
    found = rows(tmp_path / "t.csv", content, encoding=encoding)
    assert [values for _, values in found] == [("2", "1"), ("x, y", "é")]
    assert [line for line, _ in found] == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column b, a"),
        ("a\n1\n", "has no column b: download it again"),
        ("a,b,c\n1,2,3\n1,2\n", "line 3: 2 instead of 3 values"),
        ("a,b\n1,2,3\n", "line 2: 3 instead of 2 values"),
    ],
)
def test_damaged_tables_are_errors(tmp_path, content, message):
    with pytest.raises(DatasetError, match=rf"t\.csv.*{message}"):
        rows(tmp_path / "t.csv", content)


def test_files_that_are_no_text_or_missing(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,2\n")
    with pytest.raises(DatasetError, match=r"t\.csv is not a CSV file, or is damaged"):
        list(read_rows(tmp_path / "t.csv", ("a",)))
    with pytest.raises(DatasetError, match=r"cannot read .*nowhere\.csv"):
        list(read_rows(tmp_path / "nowhere.csv", ("a",)))


@pytest.mark.parametrize("below", ["", "set", "downloads/set"])
def test_the_folder_is_found_at_most_two_levels_down(tmp_path, below):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "t.csv").touch()
    (folder := tmp_path / below).mkdir(parents=True, exist_ok=True)
    (folder / "t.csv").touch()
    assert find_folder(str(tmp_path), "t.csv", "t.csv") == folder


def test_a_missing_folder(tmp_path):
    (tmp_path / "a.zip").touch()
    (tmp_path / "one" / "two" / "three").mkdir(parents=True)
    (tmp_path / "one" / "two" / "three" / "t.csv").touch()
    for root, message in (("nowhere", "does not exist: give"), ("a.zip", "is a file: unpack it"), ("", "no t.csv in")):
        with pytest.raises(DatasetError, match=message):
            find_folder(tmp_path / root, "t.csv", "this and that")


def test_several_folders(tmp_path):
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").touch()
    with pytest.raises(DatasetError, match=r"several downloads below .*large.*small\. Give one"):
        find_folder(tmp_path, "t.csv", "")


@pytest.mark.parametrize(
    ("text", "years"), [("48", 48), ("048Y", 48), ("48.0", 48), ("", None), ("6 M", None), ("-1", None), ("abc", None)]
)
def test_ages(text, years):
    assert parse_age(text) == years
