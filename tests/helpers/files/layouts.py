"""Small downloads of the three datasets. All images differ, so that swapped ones are detected."""

import io
import shutil
from itertools import count

import numpy as np
from PIL import Image

from anatpaste_aug.datasets.chexpert import index as chexpert
from anatpaste_aug.datasets.chexpert.index import DISEASES

BATCHES = (
    "CheXpert-v1.0 batch 1 (validate & csv)",
    "CheXpert-v1.0 batch 2 (train 1)",
    "CheXpert-v1.0 batch 3 (train 2)",
    "CheXpert-v1.0 batch 4 (train 3)",
)
"""The folders of CheXpert's full size, as its four archives unpack."""

NORMAL, OPACITY = "Normal", "Lung Opacity"


def pixels(number):
    return np.random.default_rng(number).integers(0, 256, (20, 20), dtype=np.uint8)


def write_chexpert(folder):
    """A raw layout of 40 normal and 20 abnormal training images, a third of each AP, and 2 + 2 to validate."""
    labels = ["No Finding", *DISEASES, "Support Devices"]
    others = [name for name in chexpert._LABELS if name not in labels]
    for source, normal, ill in (("train", 40, 20), ("valid", 2, 2)):
        lines = [",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *labels, *others])]
        for i in range(normal + ill):
            path = f"{source}/patient{i + 100 * (source == 'valid'):05d}/study1/view1_frontal.jpg"
            values = [""] * (len(labels) + len(others))
            values[0 if i < normal else 1 + i % 2] = "1.0"
            lines.append(
                ",".join([f"CheXpert-v1.0-small/{path}", "Male", "30", "Frontal", ["PA", "AP"][i % 3 == 2], *values])
            )
            file = folder / path
            file.parent.mkdir(parents=True)
            Image.fromarray(pixels(i + 1000 * (source == "valid"))).save(file)
        (folder / f"{source}.csv").write_text("\n".join(lines))
    return folder


def unpack_batches(merged, folder):
    """Convert a CheXpert with train.csv, valid.csv, train/ and valid/ to the layout of the four archives."""
    lists, *parts = (folder / name for name in BATCHES)
    for part in (lists, *parts):
        part.mkdir(parents=True)
    for name in ("train.csv", "valid.csv"):
        text = (merged / name).read_text().replace("CheXpert-v1.0-small/", "CheXpert-v1.0/")
        (lists / name).write_text(text)
    shutil.copytree(merged / "valid", lists / "valid")
    patients = sorted((merged / "train").iterdir())
    for i, patient in enumerate(patients):
        shutil.copytree(patient, parts[3 * i // len(patients)] / patient.name)
    return folder


def write_zhanglab(folder, train=(40, 20)):
    """A raw layout of 40 + 20 training and 5 + 5 test images, one per patient."""
    numbers = count()
    for source, normal, ill in (("train", *train), ("test", 5, 5)):
        for kind, files in (("NORMAL", normal), ("PNEUMONIA", ill)):
            place = folder / source / kind
            place.mkdir(parents=True)
            for i in range(files):
                name = f"IM-{i:04d}-0001.jpeg" if kind == "NORMAL" else f"person{i}_virus_{i}.jpeg"
                Image.fromarray(pixels(next(numbers))).save(place / name)
    return folder


NAMES = {
    "NORMAL": (
        *("IM-{p:04d}-0001", "IM-{p:04d}-0001-0001", "IM-{p:04d}-0001-0002"),
        *("NORMAL2-IM-{p:04d}-0001", "NORMAL2-IM-{p:04d}-0001-0001", "NORMAL2-IM-{p:04d}-0001-0002"),
    ),
    "PNEUMONIA": ("person{p}_bacteria_{i}", "person{p}_virus_{i}"),
}
NAMES_3 = {"NORMAL": ("NORMAL-{p}-0001", "NORMAL-{p}-0002"), "PNEUMONIA": ("BACTERIA-{p}-0001", "VIRUS-{p}-0002")}


def published_zhanglab_names(version=2, val=True):
    """Paths of the complete set, "train/NORMAL/IM-0000-0001.jpeg" and so on, in every form of published names.

    As many as published: 1,349 + 3,883 training and 234 + 390 test images. Every fourth patient has an image of each
    form, the others have one image. Version 2 is also Kaggle's, with 8 + 8 training images in val/ if ``val``.
    """
    paths = []
    for source, counts in (("train", (1349, 3883)), ("test", (234, 390))):
        for (kind, shapes), size in zip((NAMES if version == 2 else NAMES_3).items(), counts, strict=True):
            names = []
            for patient in count():
                chosen = shapes if patient % 4 == 0 else [shapes[patient % len(shapes)]]
                names += [shape.format(p=patient, i=len(names) + k) for k, shape in enumerate(chosen)]
                if len(names) >= size:
                    break
            names = names[:size]
            if version == 2 and (source, kind) == ("train", "PNEUMONIA"):
                names[-1] = "person447_virus_921_1"
            moved = 8 if val and source == "train" else 0
            paths += [f"val/{kind}/{name}.jpeg" for name in names[:moved]]
            paths += [f"{source}/{kind}/{name}.jpeg" for name in names[moved:]]
    return paths


def write_files(folder, paths):
    """Files that are no images; no two hold the same bytes, and all have one size."""
    for parent in {(folder / path).parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    for path in paths:
        (folder / path).write_bytes(path.encode().ljust(64))
    return folder


def write_rsna(folder):
    """A raw layout of 40 normal and 20 abnormal images, all PA."""
    place = folder / "stage_2_train_images"
    place.mkdir(parents=True)
    classes = [(f"p{i:02d}", NORMAL if i < 40 else OPACITY) for i in range(60)]
    for i, (patient, _) in enumerate(classes):
        (place / f"{patient}.dcm").write_bytes(dicom(pixels(i), ViewPosition="PA"))
    rows = "\n".join(f"{patient},{name}" for patient, name in classes)
    (folder / "stage_2_detailed_class_info.csv").write_text(f"patientId,class\n{rows}\n")
    rows = "\n".join(f"{patient},{int(name == OPACITY)}" for patient, name in classes)
    (folder / "stage_2_train_labels.csv").write_text(f"patientId,Target\n{rows}\n")
    return folder


def dicom(gray, **elements):
    """The bytes of a file with these pixels."""
    from helpers.files.dicom import dataset_of, save  # needs pydicom

    return save(io.BytesIO(), dataset_of(gray, **elements)).getvalue()
