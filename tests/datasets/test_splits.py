"""Split: its invariants, and its file."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from anatpaste_aug.datasets import DatasetError, Record, Split
from anatpaste_aug.datasets.splits import by_patient, draw


def record(name, label=0, patient=None, **more):
    return Record(f"{name}.png", label, patient or name, "train", **more)


def example():
    full = record("β é", 1, view="PA", sex="F", age=4, findings=("Edema", "Consolidation"))
    return Split("mine", "by hand", 7, (record("a"), record("b")), (record("c"), record("d", 1)), (full, record("e")))


# invariants


@pytest.mark.parametrize(
    ("train", "val", "test", "message"),
    [
        ((record("a", 1),), (), (), "train has 1 abnormal"),
        ((record("a"), record("a")), (), (), "more than once, such as a.png"),
        ((record("a", patient="p"),), (record("b", patient="p"),), (), "patient p is in both train and val"),
        ((), (record("a", patient="p"),), (record("b", patient="p"),), "patient p is in both val and test"),
    ],
)
def test_invalid_splits_are_errors(train, val, test, message):
    with pytest.raises(DatasetError, match=message):
        Split("mine", "by hand", 0, train, val, test)


# the file

texts = st.text(min_size=1, max_size=8)
records = st.builds(
    Record,
    path=st.uuids().map(str),
    label=st.integers(0, 1),
    patient=st.uuids().map(str),
    source=texts,
    view=st.none() | texts,
    sex=st.none() | texts,
    age=st.none() | st.integers(0, 120),
    findings=st.lists(texts, max_size=3).map(tuple),
    sha256=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(records, max_size=5), st.lists(records, max_size=5), texts, st.integers())
def test_round_trip(tmp_path_factory, val, test, text, seed):
    path = tmp_path_factory.mktemp("split") / "new" / "split.json"
    split = Split(text, text, seed, tuple(r for r in val if not r.label), (), tuple(test))
    split.save(path)
    assert Split.load(path) == split
    split.save(path)  # replaces
    assert [file.name for file in path.parent.iterdir()] == ["split.json"]


def test_one_record_per_line(tmp_path):
    example().save(tmp_path / "split.json")
    lines = (tmp_path / "split.json").read_text().splitlines()
    assert sum('"path": ' in line for line in lines) == 6
    assert lines[1] == '"format": "anatpaste_aug split",'
    assert json.loads("\n".join(lines))["counts"]["val"] == {"normal": 1, "abnormal": 1}


def change(**changes):
    def apply(content):
        content.update(changes)

    return apply


def change_row(**changes):
    def apply(content):
        content["val"][0].update(changes)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(format="else"), "not a split file of this package"),
        (change(version=2), "version 2; this release"),
        (change(seed="7"), "seed='7', expected int"),
        (change(seed=True), "seed=True"),
        (change(note="mine"), "missing or unknown entries: 'note'"),
        (lambda content: content.pop("val"), "missing or unknown entries: 'val'"),
        (lambda content: content["val"].pop(), "its counts are"),
        (change(train={}), "train is not a list"),
        (change(unreadable=3), "unreadable is not a list of paths and reasons"),
        (change(unreadable=[{"path": "a.png", "reason": ""}]), "reason='' of an unreadable image"),
        (change(train=[3]), "train has an entry that is not a record: 3"),
        (change_row(more=1), "val has an entry"),
        (change_row(findings=None), "val has an entry"),
        (change_row(label=5), "label=5"),
        (change_row(label=[]), r"label=\[\]"),
        (change_row(path="../../etc/passwd"), "leaves the dataset's root"),
        (change_row(patient="a"), "patient a is in both train and val"),
    ],
)
def test_damaged_content(tmp_path, damage, message):
    path = tmp_path / "split.json"
    example().save(path)
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message) as caught:
        Split.load(path)
    assert str(path) in str(caught.value)
    assert "again" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0", b"[]", b"3", b"[" * 100_000, b'{"format": NaN}'])
def test_foreign_file(tmp_path, content):
    (tmp_path / "split.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"split\.json"):
        Split.load(tmp_path / "split.json")


def test_truncated_and_missing_files(tmp_path):
    path = tmp_path / "split.json"
    example().save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="is not a split file, or is damaged"):
            Split.load(path)
    with pytest.raises(DatasetError, match=r"cannot read the split file .*nowhere"):
        Split.load(tmp_path / "nowhere.json")


def test_verify(tmp_path):
    split = Split("mine", "by hand", 0, tuple(record(f"{i}") for i in range(9)), (), ())
    with pytest.raises(DatasetError, match=r"9 of the split's 9 images are missing in .*: 0\.png, 1\.png.*\.\.\."):
        split.verify(tmp_path)
    for i in range(8):
        (tmp_path / f"{i}.png").touch()
    with pytest.raises(DatasetError, match=r"1 of the split's 9 images are missing in .*: 8\.png\. Complete"):
        split.verify(tmp_path)
    (tmp_path / "8.png").touch()
    split.verify(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        split.verify(tmp_path / "nowhere")


def test_hashes_detect_other_images(tmp_path):
    for name in "abcde":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    plain = Split("mine", "by hand", 0, (record("a"), record("b")), (record("c", 1),), (record("d"), record("e", 1)))
    split = plain.hashed(tmp_path)
    assert [r.sha256 for r in split.records()] == [hashlib.sha256(name.encode()).hexdigest() for name in "abcde"]
    split.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json")
    assert loaded == split == loaded.hashed(tmp_path)
    loaded.verify(tmp_path)
    (tmp_path / "d.png").write_bytes(b"x")
    for check in (loaded.verify, loaded.hashed):
        with pytest.raises(DatasetError, match=r"1 of the split's 5 images .* not those that .*: d\.png\. Download"):
            check(tmp_path)
    plain.verify(tmp_path)
    (tmp_path / "d.png").unlink()
    with pytest.raises(DatasetError, match="1 of the split's 5 images are missing"):
        plain.hashed(tmp_path)


def test_a_file_without_hashes_is_read(tmp_path):
    example().save(tmp_path / "split.json")
    content = json.loads((tmp_path / "split.json").read_text())
    for part in ("train", "val", "test"):
        for row in content[part]:
            del row["sha256"]
    (tmp_path / "split.json").write_text(json.dumps(content))
    assert Split.load(tmp_path / "split.json") == example()


# drawing


def people(*sizes):
    return [[record(f"{person}-{i}", patient=f"{person}") for i in range(size)] for person, size in enumerate(sizes)]


def test_draw_prefers_whole_patients():
    assert [r.path for r in draw(people(2, 3, 1), 3, 9)] == ["0-0.png", "0-1.png", "2-0.png"]


def test_draw_takes_a_part_only_where_it_must():
    assert [r.path for r in draw(people(4, 3), 2, 9)] == ["1-0.png", "1-1.png"]
    assert draw(people(4, 3), 2, 2) == []
    assert len(draw(people(1, 1), 5, 9)) == 2


def test_by_patient_depends_on_seed_and_names_only():
    records = [r for images in people(*[2] * 30) for r in images]
    order = [images[0].patient for images in by_patient(records, 0)]
    assert order != [images[0].patient for images in by_patient(records, 1)]
    half = [images[0].patient for images in by_patient(records[::-1][:30], 0)]
    assert half == [patient for patient in order if patient in set(half)]
