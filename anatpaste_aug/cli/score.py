"""Score radiographs with a trained detector. Research software, not a medical device.

Writes scores.csv (one line per image: score, threshold and decision) and, for each image, a picture with its anomaly
map: Grad-CAM, which shows where the network sees an augmentation, or the reconstruction error.

    python -m anatpaste_aug score --model runs/zhanglab-cpu chest.png a.dcm
    python -m anatpaste_aug score --model RUN FOLDER -o scores --weights last --no-cam

The table is written from time to time as scores.partial.csv, which becomes scores.csv once all images are scored.

Exit code: 0 if all images were scored; 1 if some could not be read (named at the end); 2 if nothing could be scored.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from anatpaste_aug.cli.command_line import blame
from anatpaste_aug.cli.values import device

if TYPE_CHECKING:
    from anatpaste_aug.detection import Detector

USAGE = "%(prog)s --model RUN [-o FOLDER] [options] IMAGE ..."
_BATCH = 32  # images in memory at once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, DICOM, ..., or folders")
    parser.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder of a training")
    parser.add_argument("-o", "--out", type=Path, default=Path("scores"), help="new or empty folder (scores)")
    parser.add_argument(
        "--weights",
        choices=("best", "last"),
        default="best",
        help="best: chosen by validation images; last: of the training's end (best)",
    )
    parser.add_argument("--white", type=int, metavar="N", help="of 16-bit files that don't tell it (the training's)")
    parser.add_argument("--no-cam", action="store_true", help="write no pictures")
    parser.add_argument("--device", type=device, default="cpu", help="where the network runs, such as cuda (cpu)")


def run(arguments: argparse.Namespace) -> int:
    from anatpaste_aug.datasets.sixteen_bits import check_white
    from anatpaste_aug.detection import DISCLAIMER, load_detector
    from anatpaste_aug.detection.reporting.explanation_figures import cam_figure
    from anatpaste_aug.files import check_writable, shown, spreadsheet_safe

    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder; name a new one with -o")
    with blame("--out"):
        check_writable(out)
    white = check_white(arguments.white)
    paths = list(_image_paths(arguments.images))
    with blame("--model"):
        detector = load_detector(arguments.model, arguments.weights, arguments.device)
    detector.white = white or detector.white
    calibration = detector.calibration
    if not arguments.no_cam:
        _check_cam(detector)
    print(DISCLAIMER, file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "scores.partial.csv"
    pictures = _picture_names(paths)
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    for start in range(0, len(paths), _BATCH):
        batch, images = _read(paths[start : start + _BATCH], detector, failures)
        if not batch:
            continue
        predictions = detector.predict(images)
        for path, raw, scaled, abnormal in zip(batch, *predictions, strict=True):
            rows.append(
                {
                    "image": spreadsheet_safe(str(path)),
                    "score": repr(float(raw)),
                    "threshold": repr(calibration.threshold),
                    "scaled_score": f"{scaled:.6f}",
                    "scaled_threshold": f"{calibration.scaled_threshold:.6f}",
                    "decision": "abnormal" if abnormal else "normal",
                    "picture": "" if arguments.no_cam else spreadsheet_safe(pictures[path]),
                    "note": DISCLAIMER,
                }
            )
            print(f"{shown(path)}: {_decision(rows[-1])}")
        if not arguments.no_cam:
            maps = detector.anomaly_map(images)
        _write(partial, rows)
        if not arguments.no_cam:
            for i, (path, row) in enumerate(zip(batch, rows[-len(batch) :], strict=True)):
                one = slice(i, i + 1)
                cam_figure(
                    out / pictures[path],
                    images[one],
                    maps[one],
                    titles=[_decision(row)],
                    names=[path.name],
                    note=DISCLAIMER,
                )
    if rows:
        partial.replace(out / "scores.csv")
        print(f"wrote {out / 'scores.csv'}", file=sys.stderr)
    if failures:
        print(f"{len(failures)} could not be read", *map(shown, failures), sep="\n  ", file=sys.stderr)
    return 0 if not failures else 1 if rows else 2


def _check_cam(detector: "Detector") -> None:
    """Check before any work that the detector has anomaly maps."""
    side = detector.image_size
    try:
        detector.anomaly_map(torch.zeros(1, 1, side, side, dtype=torch.uint8))
    except ValueError as error:
        what = detector.map_name
        raise ValueError(f"no {what} for this network ({error}); score without pictures: --no-cam") from error


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    from anatpaste_aug.files import atomic_path

    with (
        atomic_path(path) as temporary,
        # A name may hold bytes that are no text: they are written as \udcff, say.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _decision(row: dict[str, Any]) -> str:
    score, threshold = float(row["scaled_score"]), float(row["scaled_threshold"])
    return f"{row['decision']}, score {score:.3f}, threshold {threshold:.3f}"


def _image_paths(given: Sequence[Path]) -> Iterator[Path]:
    """Yield the given images, and those in the given folders, each once."""
    from anatpaste_aug.datasets.listing import list_images

    paths: dict[Path, None] = {}
    for path in given:
        found = [path / name for name in list_images(path)[0]] if path.is_dir() else [path]
        if not found:
            raise ValueError(f"{path} holds no images; give a folder that does, or image files")
        paths |= dict.fromkeys(found)
    yield from paths


def _picture_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A file name for each picture; images of one name, in different folders or formats, are numbered."""
    used: set[str] = set()
    names = {}
    for path in paths:
        number, name = 1, f"{path.stem}.png"
        while name.lower() in used:  # file systems may not tell A.png from a.png
            number += 1
            name = f"{path.stem}-{number}.png"
        used.add(name.lower())
        names[path] = name
    return names


def _read(paths: Sequence[Path], detector: "Detector", failures: list[str]) -> tuple[list[Path], torch.Tensor]:
    """What can be read, N×1×S×S; what cannot is added to ``failures``."""
    from anatpaste_aug.datasets import DatasetError, read_gray

    good, arrays = [], []
    for path in paths:
        try:
            arrays.append(torch.from_numpy(read_gray(path, detector.image_size, white=detector.white)))
            good.append(path)
        except DatasetError as error:
            failures.append(str(error))
    return good, torch.stack(arrays).unsqueeze(1) if arrays else torch.empty(0)
