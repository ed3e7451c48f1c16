"""RSNA: the two CSV files, the DICOM headers and their cache."""

import json
import os
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.real_data import DATA, needs

from anatpaste_aug.datasets import DatasetError, Record, index_rsna, load_images, rsna_task
from anatpaste_aug.datasets.rsna import index as rsna

pytest.importorskip("pydicom")
from helpers.files.dicom import dataset_of, save

ROOT = DATA / "rsna_layout"

NORMAL, OPACITY, OTHER = "Normal", "Lung Opacity", "No Lung Opacity / Not Normal"


def write_dicom(path, pixels, **tags):
    with warnings.catch_warnings(action="ignore"):  # RSNA's ages lack the Y of the standard
        save(path, dataset_of(pixels, **tags))


def make(folder, patients, end="\n"):
    """A raw layout of (patient, class, view, age) rows; Lung Opacity has a box and a second row."""
    (folder / "stage_2_train_images").mkdir(parents=True, exist_ok=True)
    classes, boxes = ["patientId,class"], ["patientId,x,y,width,height,Target"]
    for number, (patient, name, view, age) in enumerate(patients):
        tags = {"PatientSex": "F"} | ({"ViewPosition": view} if view else {}) | ({"PatientAge": age} if age else {})
        pixels = np.full((8, 8), 10 * number, np.uint8)
        write_dicom(folder / "stage_2_train_images" / f"{patient}.dcm", pixels, **tags)
        for _ in range(2 if name == OPACITY else 1):
            classes.append(f"{patient},{name}")
            boxes.append(f"{patient},1,2,3,4,1" if name == OPACITY else f"{patient},,,,,0")
    for file, lines in (("stage_2_detailed_class_info", classes), ("stage_2_train_labels", boxes)):
        (folder / f"{file}.csv").write_text(end.join(lines) + end, newline="")
    return folder


PATIENTS = [("a", NORMAL, "PA", "051Y"), ("b", OPACITY, "AP", "73"), ("c", OTHER, "pa", None), ("d", NORMAL, None, "")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_index(tmp_path, end):
    index = index_rsna(make(tmp_path / "rsna", PATIENTS, end).parent, progress=False)
    assert index.root == tmp_path / "rsna"
    missing = "2 of 8,851 Normal, 1 of 11,821 No Lung Opacity / Not Normal, 1 of 6,012 Lung Opacity"
    assert index.missing == missing
    where = "stage_2_train_images"
    assert list(index) == [
        Record(f"{where}/a.dcm", 0, "a", "train", view="PA", sex="F", age=51),
        Record(f"{where}/b.dcm", 1, "b", "train", view="AP", sex="F", age=73, findings=(OPACITY,)),
        Record(f"{where}/c.dcm", 1, "c", "train", view="PA", sex="F", findings=(OTHER,)),
        Record(f"{where}/d.dcm", 0, "d", "train", sex="F"),
    ]


def test_the_first_nonempty_view_is_used(tmp_path):
    make(tmp_path, PATIENTS)
    write_dicom(tmp_path / "stage_2_train_images" / "a.dcm", np.zeros((8, 8), np.uint8), ViewPosition=["", "AP", "PA"])
    assert index_rsna(tmp_path, progress=False).records[0].view == "AP"


def test_inverted_rescaled_and_windowed_pixels(tmp_path):
    folder = make(tmp_path, PATIENTS[:3]) / "stage_2_train_images"
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_dicom(folder / "a.dcm", ramp, PhotometricInterpretation="MONOCHROME1")
    # Rescaled to −1024 ... 4076, and the window from 0 to 255 cut out.
    raised = (ramp.astype(np.uint16) + 512) * 2
    tags = {"RescaleSlope": 0.5, "RescaleIntercept": -512, "WindowCenter": 128, "WindowWidth": 256}
    write_dicom(folder / "b.dcm", raised, **tags)
    write_dicom(folder / "c.dcm", raised, PhotometricInterpretation="MONOCHROME1", **tags)
    a, b, c = load_images(tmp_path, index_rsna(tmp_path, progress=False), 16, progress=False)[:, 0].numpy()
    np.testing.assert_array_equal(a, 255 - ramp)
    np.testing.assert_allclose(b.astype(int), ramp, atol=1)
    np.testing.assert_allclose(c.astype(int), 255 - ramp, atol=1)


# what may be wrong


def test_missing_images_are_counted_and_named(tmp_path):
    make(tmp_path, [(f"p{i}", NORMAL, "PA", None) for i in range(8)])
    for i in range(1, 8):
        (tmp_path / "stage_2_train_images" / f"p{i}.dcm").unlink()
    with pytest.raises(DatasetError, match=r"7 of 8 images are missing in .*p1\.dcm, .*p5\.dcm, \.\.\.\. Complete"):
        index_rsna(tmp_path, progress=False)


def test_damaged_headers_are_counted_and_named(tmp_path):
    make(tmp_path, PATIENTS)
    (tmp_path / "stage_2_train_images" / "b.dcm").write_bytes(b"<html>404</html>")
    with pytest.raises(DatasetError, match=r"1 of 4 DICOM headers cannot be read.*\n.*b\.dcm"):
        index_rsna(tmp_path, cache=tmp_path / "cache", progress=False)
    kept = json.loads((tmp_path / "cache" / "rsna-headers.json").read_text())
    assert [Path(path).stem for path in kept] == ["a", "c", "d"]  # unchanged files are not read again


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("detailed_class_info", "patientId,class\na,Normal\na,Lung Opacity\n", "line 3: a is Lung Opacity, but Normal"),
        ("detailed_class_info", "patientId,class\na,Healthy\n", "line 2: class='Healthy', expected one of Normal"),
        ("detailed_class_info", "patientId,class\n../a,Normal\n", "line 2: patientId='../a'"),
        ("detailed_class_info", "patientId\na\n", "has no column class"),
        ("train_labels", "patientId,Target\nz,0\n", "line 2: z is not in stage_2_detailed_class_info"),
        ("train_labels", "patientId,Target\na,1\n", "line 2: Target='1', but a is Normal"),
        ("train_labels", "patientId,Target\na,\n", "line 2: Target=''"),
        ("train_labels", "patientId,Target\na,0\n", "3 of the 4 patients in .* are not in .*such as b"),
    ],
)
def test_tables_that_contradict_each_other(tmp_path, file, lines, message):
    make(tmp_path, PATIENTS)
    (tmp_path / f"stage_2_{file}.csv").write_text(lines)
    with pytest.raises(DatasetError, match=message):
        index_rsna(tmp_path, progress=False)


def test_missing_files(tmp_path):
    with pytest.raises(DatasetError, match=r"no stage_2_detailed_class_info\.csv in"):
        index_rsna(tmp_path)
    make(tmp_path, PATIENTS)
    (tmp_path / "stage_2_train_labels.csv").unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*stage_2_train_labels\.csv"):
        index_rsna(tmp_path)


def test_missing_pydicom_names_the_extra(tmp_path, monkeypatch):
    make(tmp_path, PATIENTS)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r'pydicom: pip install "anatpaste_aug\[datasets\]"'):
        index_rsna(tmp_path, progress=False)


# the headers' cache


def test_only_headers_of_changed_files_are_read_again(tmp_path, monkeypatch):
    read: list[list[str]] = []
    original = rsna._read_all
    monkeypatch.setattr(
        rsna, "_read_all", lambda f, paths, progress: read.append(paths) or original(f, paths, progress)
    )
    make(tmp_path / "data", PATIENTS)
    run = [index_rsna(tmp_path / "data", cache=tmp_path / "new" / "cache", progress=False) for _ in range(2)]
    assert run[0] == run[1] == index_rsna(tmp_path / "data", progress=False)
    assert [len(paths) for paths in read] == [4, 4]  # the first and the one without a cache
    changed = tmp_path / "data" / "stage_2_train_images" / "a.dcm"
    write_dicom(changed, np.zeros((9, 9), np.uint8), ViewPosition="AP")
    os.utime(changed, ns=(1, 1))
    again = index_rsna(tmp_path / "data", cache=tmp_path / "new" / "cache", progress=False)
    assert read[2] == ["stage_2_train_images/a.dcm"]
    assert again.records[0].view == "AP"
    assert again.records[1:] == run[0].records[1:]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"stage_2_train_images/a.dcm": 3}', b"\xff"])
def test_a_damaged_cache_is_rebuilt(tmp_path, content):
    make(tmp_path, PATIENTS)
    (tmp_path / "rsna-headers.json").write_bytes(content)
    index = index_rsna(tmp_path, cache=tmp_path, progress=False)
    assert [record.view for record in index] == ["PA", "AP", "PA", None]
    assert len(json.loads((tmp_path / "rsna-headers.json").read_text())) == 4


def test_the_complete_set_lacks_nothing():
    classes = [(NORMAL, 0, 8851), (OTHER, 1, 11821), (OPACITY, 1, 6012)]
    made = tuple(Record("a", label, "a", "train", findings=(name,)) for name, label, n in classes for _ in range(n))
    assert rsna.RsnaIndex(ROOT, made).missing == ""
    assert rsna.RsnaIndex(ROOT, made[1:]).missing == "8,850 of 8,851 Normal"


def test_leftovers_in_the_download(tmp_path):
    make(tmp_path / "rsna", PATIENTS)
    for folder in (tmp_path / "rsna", tmp_path / "rsna" / "stage_2_train_images"):
        for name in (
            "a.dcm:Zone.Identifier",
            "._a.dcm",
            "Thumbs.db",
            "stage_2_detailed_class_info.csv:Zone.Identifier",
        ):
            (folder / name).write_bytes(b"x")
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stage_2_detailed_class_info.csv").write_bytes(b"x")
    assert len(index_rsna(tmp_path, progress=False)) == 4


# as a task


def test_dicom_that_were_anonymized_again(tmp_path):
    patients = [(f"p{i:02d}", NORMAL if i < 12 else OPACITY, None, None) for i in range(20)]
    make(tmp_path, patients)
    for i, value in enumerate(("", "ANONYMIZED", None)):
        path = tmp_path / "stage_2_train_images" / f"p{i:02d}.dcm"
        write_dicom(path, np.full((8, 8), i, np.uint8), PatientSex="", PatientAge="", ViewPosition=value)
    with pytest.raises(DatasetError, match=r'cannot split 0 normal \+ 0 .*Use --views all \(views="all"\)'):
        rsna_task(tmp_path, 16, progress=False)
    (tmp_path / "stage_2_train_images" / "p01.dcm").unlink()
    options = {"on_error": "skip", "progress": False}
    with pytest.raises(DatasetError, match=r"No image has a view \(DICOM without ViewPosition\): use --views all"):
        rsna_task(tmp_path, 16, **options)
    task = rsna_task(tmp_path, 16, views="all", **options)
    assert task.counts()["test, abnormal"] == 2
    assert "view unknown 2 + 2" in task.protocol


def test_the_remedy_names_unreadable_images_if_too_few_are_left(tmp_path):
    make(tmp_path, [(f"p{i:02d}", NORMAL if i < 6 else OPACITY, "PA", None) for i in range(9)])
    kept = (tmp_path / "stage_2_train_images" / "p00.dcm").read_bytes()
    for i in range(4):
        (tmp_path / "stage_2_train_images" / f"p{i:02d}.dcm").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"cannot split 2 normal.*Download the 4 images again that cannot be read"):
        rsna_task(tmp_path, 16, on_error="skip", progress=False)
    for i in range(4):
        (tmp_path / "stage_2_train_images" / f"p{i:02d}.dcm").write_bytes(kept)
    assert rsna_task(tmp_path, 16, progress=False).counts()["training, normal"] == 4


@needs("rsna_layout")
def test_real_layout():
    index = index_rsna(ROOT.parent, progress=False)
    assert Counter((record.label, record.view) for record in index) == {
        (0, "PA"): 75,
        (0, "AP"): 176,
        (1, "PA"): 132,
        (1, "AP"): 109,
    }
