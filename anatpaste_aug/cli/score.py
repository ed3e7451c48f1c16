"""Score radiographs with a trained detector. Research software, not a medical device.

Writes scores.csv (one line per image: score, threshold, decision and warning) and, for each image, a picture with its
anomaly map: Grad-CAM, which shows where the network sees an augmentation, or the reconstruction error. Scores are
scaled: 0 is the lowest and 1 the highest score of the validation images; if these are all normal, the threshold is 0.5,
and 1 lies as far above it as 0 lies below. A warning names images that are unlike those of the training: inverted, on
their side, not frontal, far from the training images at low resolution, or with a score far outside of 0 to 1.

    python -m anatpaste_aug score --model runs/zhanglab-fast chest.png a.dcm
    python -m anatpaste_aug score --model RUN FOLDER -o scores --weights last --no-cam
    python -m anatpaste_aug score --model RUN FOLDER --reference NORMALS

With --reference, the scores compare with normal images from the same source as the given images, such as the same
hospital. Scale, threshold (the score that 5 % of them reach, or the training's --false-positive-rate) and warnings are
then those of the reference images.

The table is written to scores.partial.csv in between, and renamed to scores.csv when all images are scored.

Exit code: 0 if all images were scored; 1 if some could not be read (listed at the end); 2 if nothing could be scored.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anatpaste_aug.cli.command_line import blame
from anatpaste_aug.cli.values import device

if TYPE_CHECKING:
    import torch

    from anatpaste_aug.detection import Detector
    from anatpaste_aug.detection.evaluation.domain import Domain

USAGE = "%(prog)s --model RUN [-o FOLDER] [options] IMAGE ..."
_BATCH = 32  # images in memory at once
_SIDE = 5.0  # inches that an image is wide in a picture
_FAR = 1.0  # how far outside of the range of the validation scores, in parts of it, a score is no longer plausible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, DICOM, ..., or folders")
    parser.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder of a training")
    parser.add_argument("-o", "--out", type=Path, default=Path("scores"), help="new or empty folder (scores)")
    parser.add_argument(
        "--weights",
        choices=("best", "last"),
        default="best",
        help="best: chosen by validation images; last: at the end of training (best)",
    )
    parser.add_argument(
        "--white", type=int, metavar="N", help="white in 16-bit files that do not specify it (that of the training)"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="normal images from the source of IMAGE, to compare with instead of the training images: a few dozen",
    )
    parser.add_argument("--no-cam", action="store_true", help="do not draw pictures")
    parser.add_argument("--device", type=device, default="cpu", help="where the network runs, such as cuda (cpu)")


def run(arguments: argparse.Namespace) -> int:
    import torch

    from anatpaste_aug.datasets import read_gray
    from anatpaste_aug.datasets.files.sixteen_bits import check_white
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
        detector: Detector = load_detector(arguments.model, arguments.weights, arguments.device)
    detector.white = white or detector.white
    if arguments.reference is not None:
        with blame("--reference"):
            detector = _adapted(detector, arguments.reference, paths)
    source = "training" if arguments.reference is None else "reference"
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
        remarks = _remarks(images, predictions.scaled.tolist(), detector.domain, source)
        for path, score, abnormal, remark in zip(
            batch, predictions.scaled.tolist(), predictions.abnormal, remarks, strict=True
        ):
            rows.append(
                {
                    "image": spreadsheet_safe(str(path)),
                    "score": repr(score),
                    "threshold": repr(calibration.scaled_threshold),
                    "decision": "abnormal" if abnormal else "normal",
                    "warning": remark,
                    "picture": "" if arguments.no_cam else spreadsheet_safe(pictures[path]),
                    "note": DISCLAIMER,
                }
            )
            print(f"{shown(path)}: {_decision(rows[-1])}{remark and f' ({remark})'}")
        if not arguments.no_cam:
            maps = detector.anomaly_map(images)
        _write(partial, rows)
        if not arguments.no_cam:
            for path, row, heat in zip(batch, rows[-len(batch) :], maps, strict=True):
                # The original, not what it was resized to for the network.
                original = torch.from_numpy(read_gray(path, white=detector.white))
                cam_figure(
                    out / pictures[path],
                    [original.unsqueeze(0)],
                    heat.unsqueeze(0),
                    titles=[_decision(row)],
                    names=[path.name],
                    map_name=detector.map_name,
                    side=_SIDE,
                    note=" ".join(filter(None, [row["warning"] and f"Warning: {row['warning']}.", DISCLAIMER])),
                )
    if rows:
        partial.replace(out / "scores.csv")
        print(f"wrote {out / 'scores.csv'}", file=sys.stderr)
    if unlike := sum(bool(row["warning"]) for row in rows):
        print(
            f"{unlike} of {len(rows)} images look unlike the {source} images, so their scores mean little: see the "
            "column warning",
            file=sys.stderr,
        )
    if failures:
        print(f"{len(failures)} could not be read", *map(shown, failures), sep="\n  ", file=sys.stderr)
    return 0 if not failures else 1 if rows else 2


def _adapted(detector: "Detector", folder: Path, scored: Sequence[Path]) -> "Detector":
    """Return the detector with a score that compares with the normal images in a folder, which are not to be scored."""
    from anatpaste_aug.detection import PretextDetector
    from anatpaste_aug.files import shown

    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give one with normal images")
    paths = list(_image_paths([folder]))
    if both := {path.resolve() for path in paths} & {path.resolve() for path in scored}:
        raise ValueError(
            f"{shown(min(both))} is also among the images to score, and would be compared with itself; leave it out of "
            "one of them"
        )
    if not isinstance(detector, PretextDetector):
        raise ValueError("this detector does not compare with normal images; leave the option out")
    failures: list[str] = []
    _, images = _read(paths, detector, failures)
    if failures:
        raise ValueError(f"{failures[0]}; repair or remove it")
    return detector.adapt(images)


def _check_cam(detector: "Detector") -> None:
    """Check before any work that the detector has anomaly maps."""
    import torch

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
        # File names may have bytes that are not valid text; they are escaped, for example as \udcff.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _decision(row: dict[str, Any]) -> str:
    return f"{row['decision']}, score {float(row['score']):.3f}, threshold {float(row['threshold']):.3f}"


def _remarks(
    images: "torch.Tensor", scores: Sequence[float], domain: "Domain | None", source: str = "training"
) -> list[str]:
    """Return a warning for each image that is unlike the images that the detector knows, else an empty text.

    Args:
        images: N×1×S×S uint8.
        scores: N scaled scores.
        domain: The training or reference images; None if unknown.
        source: Name of these images.
    """
    from anatpaste_aug.inspection.heuristics import appearance
    from anatpaste_aug.inspection.report import view_suspicion

    look = appearance(images[:, 0].float() / 255)
    distances = None if domain is None else domain.distances(images).tolist()
    remarks = []
    for i, (frontal, sideways, score) in enumerate(
        zip(look.frontal.tolist(), look.sideways.tolist(), scores, strict=True)
    ):
        reasons = [] if (view := view_suspicion(frontal, sideways)) is None else [view.reason]
        if domain is not None and distances is not None and distances[i] > domain.limit:
            reasons.append(f"unlike the {source} images: distance {distances[i]:.2f}, limit {domain.limit:.2f}")
        if not -_FAR <= score <= 1 + _FAR:
            scale = "validation" if source == "training" else source
            reasons.append(f"score far {'above' if score > 0 else 'below'} those of all {scale} images")
        remarks.append("; ".join(reasons))
    return remarks


def _image_paths(given: Sequence[Path]) -> Iterator[Path]:
    """Yield the given images and those in the given folders, without repetitions."""
    from anatpaste_aug.datasets.files.listing import list_images

    paths: dict[Path, None] = {}
    for path in given:
        images = [path / name for name in list_images(path)[0]] if path.is_dir() else [path]
        if not images:
            raise ValueError(f"{path} contains no images; give a folder that does, or image files")
        paths |= dict.fromkeys(images)
    yield from paths


def _picture_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a file name for each picture; images with the same name are numbered."""
    used: set[str] = set()
    names = {}
    for path in paths:
        number, name = 1, f"{path.stem}.png"
        while name.lower() in used:  # file systems may not distinguish A.png from a.png
            number += 1
            name = f"{path.stem}-{number}.png"
        used.add(name.lower())
        names[path] = name
    return names


def _read(paths: Sequence[Path], detector: "Detector", failures: list[str]) -> "tuple[list[Path], torch.Tensor]":
    """Return the readable files and their N×1×S×S images; add the others to ``failures``."""
    import torch

    from anatpaste_aug.datasets import DatasetError, read_gray

    good, arrays = [], []
    for path in paths:
        try:
            arrays.append(torch.from_numpy(read_gray(path, detector.image_size, white=detector.white)))
            good.append(path)
        except DatasetError as error:
            failures.append(str(error))
    return good, torch.stack(arrays).unsqueeze(1) if arrays else torch.empty(0)
