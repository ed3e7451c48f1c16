"""Files with the same content on two sides."""

import itertools
import random

from anatpaste_aug.datasets.files.twins import File, find_twins, is_same


def write(root, contents):
    for name, content in contents.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    return [File(name, len(content)) for name, content in contents.items()]


def test_pairs_are_those_of_comparing_all(tmp_path):
    draw = random.Random(0)
    sides = [{f"{side}/{i}": bytes(draw.choices(b"ab", k=draw.randint(0, 3))) for i in range(12)} for side in "xy"]
    found = find_twins(tmp_path, *(write(tmp_path, side) for side in sides))
    pairs = {(a, b) for (a, m), (b, n) in itertools.product(sides[0].items(), sides[1].items()) if m == n != b""}
    assert set(found) <= pairs
    assert sorted(b for _, b in found) == sorted({b for _, b in pairs})  # each of the second side once


def test_the_file_of_the_same_name_comes_first(tmp_path):
    first = write(tmp_path, {"x/a": b"1", "x/b": b"1"})
    second = write(tmp_path, {"y/b": b"1", "y/c": b"1"})
    assert find_twins(tmp_path, first, second) == [("x/a", "y/c"), ("x/b", "y/b")]


def test_only_files_of_one_size_are_read(tmp_path):
    assert find_twins(tmp_path, [File("nowhere", 3)], [File("neither", 4)]) == []


def test_unreadable_files_are_no_twins(tmp_path):
    (known,) = write(tmp_path, {"x/a": b"1"})
    assert find_twins(tmp_path, [known, File("x/gone", 1)], [File("y/gone", 1)]) == []
    assert not is_same(tmp_path / "x" / "a", tmp_path / "y")
