"""The options of ``reproduce``, how they combine, and those of a run that is resumed."""

import argparse
import json
import os
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from anatpaste_aug.cli.command_line import CommandLine
from anatpaste_aug.cli.values import COUNT, SEED, fraction, whole

__all__ = ["add_options", "complete", "folder_names", "recorded"]

_PAPER = ("zhanglab", "chexpert", "rsna")
_REAL = (*_PAPER, "folder")
# Option -> the datasets that it applies to.
_OPTIONS = {
    "root": _REAL,
    "cache": _REAL,
    "split": _REAL,
    "name": _REAL,
    "skip_unreadable": _REAL,
    "white": _REAL,
    "download": ("zhanglab",),
    "views": ("chexpert", "rsna"),
    "per_disease": ("chexpert",),
    "exclude_support_devices": ("chexpert",),
    "normal": ("folder",),
    "abnormal": ("folder",),
    "manifest": ("folder",),
}

# Options that a resumed study adds to, and those that must not change.
_ADDED = ("method", "seeds", "table", "figure")
_FIXED = (
    *("dataset", "name", "views", "per_disease", "exclude_support_devices", "split_seed"),
    *("preset", "backbone", "score", "reference", "stages", "average_views"),
    *("normal", "abnormal", "manifest", "segmenter", "select", "false_positive_rate"),
)

# Written out, since the modules that define them take seconds to import; a test compares them.
METHOD_NAMES = (
    "anatpaste, anatpaste-noseg, anatpaste-noblur, anatpaste-noseg-noblur, anatpaste-donors, cutpaste, cutpaste-scar, "
    "cutpaste-union, cutpaste-3way, fpi, pii, nsa, anat-fpi, anat-pii, anat-nsa, f-anogan, ganomaly, "
    "squid"
)
SELECT_NAMES = ("auroc", "pretext", "last")
PRESET_NAMES = ("paper", "cpu", "fast", "demo", "smoke")
SCORE_NAMES = ("kde", "knn", "mahalanobis")
REFERENCE_NAMES = ("train", "val")


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dataset", choices=("phantom", *_REAL), default="phantom")
    add("--root", type=Path, help="the raw download; folder: what contains train/good, test/good, test/FINDING")
    add("--normal", type=Path, metavar="DIR", help="folder: normal images that are not divided yet, instead of --root")
    add("--abnormal", type=Path, metavar="DIR", help="folder: abnormal ones beside --normal; may be left out")
    add("--manifest", type=Path, metavar="CSV", help="folder: columns path, label, split, patient, view, finding")
    add("--segmenter", metavar="NAME", help="where to paste: lungs, lung-field, none, or a folder of masks (lungs)")
    add("--skip-unreadable", action="store_true", help="leave out images that cannot be read, and list them")
    add("--download", action="store_true", help="zhanglab: download it to --root first (1.15 GB)")
    add("--cache", type=Path, help="folder that keeps decoded images for later runs")
    add("--views", choices=("PA", "all"), help="chexpert, rsna: default PA, as in the paper")
    add("--per-disease", action="store_true", help="chexpert: the test set of --table 2, at least 300 of each disease")
    add("--exclude-support-devices", action="store_true", help="chexpert: no normals with devices")
    add("--name", help="name of the data in results, if it is not the published set")
    add("--split", type=Path, help="split.json of another run, to repeat its split")
    add(
        "--white",
        type=int,
        metavar="N",
        help="white in 16-bit PNG and TIFF files that do not specify it; default: inferred",
    )
    methods = f"{METHOD_NAMES}; default: those that --table and --figure need, or anatpaste"
    add("--method", nargs="+", default=[], metavar="METHOD", help=methods)
    add("--seeds", "--seed", nargs="+", default=["0"], metavar="SEED", help="one run each (0)")
    add("--table", nargs="+", type=int, choices=(1, 2, 3), default=[], help="methods; diseases or views; ablations")
    add("--figure", nargs="+", type=int, choices=(1, 3, 4, 5), default=[], help="augmentations, ROC, scores, Grad-CAM")
    add("--pretrained", type=Path, metavar="FILE", help="pretrained weights of the backbone, for a baseline in --table")
    add("--jobs", type=COUNT, default=1, metavar="N", help="number of trainings to run at once; they share the cores")
    add("--preset", choices=PRESET_NAMES, help="default: demo for phantoms, fast for a dataset")
    add("--backbone", help="any timm model name; default: the preset's")
    add("--score", choices=SCORE_NAMES, help="score of the features; default: the preset's")
    add(
        "--reference",
        choices=REFERENCE_NAMES,
        help="normal images that the score compares with: those of the training (default), or those of the validation, "
        "for test images from another source than the training images",
    )
    add("--stages", nargs="+", type=whole(0), metavar="N", help="stages of the backbone to take features from")
    add("--average-views", action=argparse.BooleanOptionalAction, help="average features of flipped and shifted views")
    add("--split-seed", type=SEED, default=0, help="seed of the split or, for phantoms, of all images (0)")
    add(
        "--select",
        choices=SELECT_NAMES,
        help="how the best weights are chosen; default: auroc, or last without abnormal images",
    )
    add("--false-positive-rate", type=fraction, metavar="X", help="of the threshold, on validation images (0.05)")
    add("--device", help="such as cpu or cuda; default: cuda if there is a GPU")
    add("--amp", action="store_true", help="train in mixed precision, on GPUs and on CPUs with AMX")
    add("--sync-bn", action="store_true", help="BatchNorm over the whole batch, with torchrun on GPUs")
    add("--tensorboard", action="store_true", help="log to OUT/tensorboard")
    add("--checkpoint-every", type=COUNT, metavar="N", help="also save every N updates; default: only at validations")
    add("--out", type=Path, help="new or empty run folder; default: a new one in runs/")
    add(
        "--resume",
        action="store_true",
        help="continue the run in --out with its settings; seeds, methods, tables and figures can be added",
    )


def complete(parser: CommandLine, argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments, derive others from them, and add the settings of a resumed run.

    Invalid combinations exit through ``parser.error``; nothing is written.
    """
    command = shlex.join([*parser.prog.split(), *argv])
    parser.set_defaults(command=command, study=False, methods=[], detectors={})
    arguments = parser.parse_args(argv)
    before: dict[str, Any] = {}
    earlier: dict[str, list[Any]] = {}
    if arguments.resume:
        before = _settings_before(parser, arguments.out)
        if set(argv) - {"--out", str(arguments.out), "--resume", "--debug"}:
            before["command"] = f"{before['command']}\n{command}"
        earlier = {name: before.pop(name, None) or [] for name in (*_ADDED, "methods")}
        parser.set_defaults(**before, table=[], figure=[], method=[], seeds=[])
        arguments = parser.parse_args(argv)
    _check_methods(parser, arguments, earlier)
    _check_data(parser, arguments)
    _check_processes(parser, arguments)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    arguments.out = arguments.out or Path("runs") / f"{arguments.dataset}-{arguments.preset}-{stamp}"
    if changed := [name for name in _FIXED if before and str(before.get(name)) != str(getattr(arguments, name))]:
        option = "--" + changed[0].replace("_", "-")
        parser.error(f"{option} is {before.get(changed[0])} in {arguments.out}; give that, or a new folder as --out")
    more = any(getattr(arguments, name) != earlier.get(name) for name in _ADDED)
    more |= str(arguments.pretrained) != str(before.get("pretrained"))
    _check_folder(parser, arguments, more=more)
    return arguments


def recorded(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options that a run folder records, to repeat or resume the run."""
    fresh = argparse.ArgumentParser()
    add_options(fresh)
    names = [*vars(fresh.parse_args([])), "command", "study", "methods", "detectors"]
    return {name: getattr(arguments, name) for name in names if name not in ("out", "resume")}


def folder_names(arguments: argparse.Namespace) -> dict[Path, tuple[str, int]]:
    """Return folder -> (method, seed) of each training; --out is the folder of a single one."""
    chosen = [(method, int(seed)) for method in arguments.methods for seed in arguments.seeds]
    if not arguments.study:
        return {arguments.out: chosen[0]}
    return {arguments.out / f"{method}-seed{seed}": (method, seed) for method, seed in chosen}


def _settings_before(parser: CommandLine, out: Path | None) -> dict[str, Any]:
    """Read the settings of the run in a folder."""
    if out is None:
        parser.error("--resume needs --out RUN, the folder of an unfinished run")
    if not out.is_dir():
        parser.error(f"--resume: {out} is not a folder; give that of a run, or leave out --resume to start one")
    try:
        before = json.loads((out / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        parser.error(f"--resume: {out} contains no run (no config.json); leave out --resume and name a new folder")
    except (OSError, ValueError) as error:
        parser.error(f"--resume: {out / 'config.json'} cannot be read ({error}); start again in a new folder")
    if not isinstance(before, dict) or not {"command", "dataset", "seeds"} <= before.keys():
        parser.error(f"--resume: {out / 'config.json'} is not that of a run; give the folder of a run")
    return before


def _check_methods(parser: CommandLine, arguments: argparse.Namespace, earlier: dict[str, list[Any]]) -> None:
    """Complete and check methods, seeds, tables and figures; add those of earlier calls."""
    from anatpaste_aug.detection import METHODS
    from anatpaste_aug.detection.studies.methods import REQUIRED_METHODS

    arguments.seeds, arguments.method = _split_words(arguments.seeds), _split_words(arguments.method)
    if not all(seed.isdecimal() and len(seed) < 19 for seed in arguments.seeds):
        parser.error(f"--seeds takes numbers from 0 up, got {' '.join(arguments.seeds)}")
    arguments.seeds = _split_words(str(int(seed)) for seed in arguments.seeds)
    if unknown := [name for name in arguments.method if name not in METHODS]:
        parser.error(f"--method {unknown[0]}: choose from {', '.join(METHODS)}")
    asked = [f"table {number}" for number in arguments.table] + [f"figure {number}" for number in arguments.figure]
    needed = dict.fromkeys(name for each in asked for name in REQUIRED_METHODS[each])
    wanted = arguments.method or list(needed) or ([] if asked or earlier else ["anatpaste"])
    if asked == ["figure 1"]:
        wanted = []  # methods are drawn, not trained
    arguments.methods = _split_words([*earlier.get("methods", []), *wanted])
    for name in _ADDED:
        setattr(arguments, name, list(dict.fromkeys([*earlier.get(name, []), *getattr(arguments, name)])))
    arguments.table, arguments.figure = sorted(set(arguments.table)), sorted(set(arguments.figure))
    arguments.study |= bool(asked) or len(arguments.methods) * len(arguments.seeds) > 1
    if arguments.pretrained and not arguments.table:
        parser.error("--pretrained needs --table")


def _check_data(parser: CommandLine, arguments: argparse.Namespace) -> None:
    if arguments.dataset in _PAPER and arguments.root is None:
        parser.error(f"--dataset {arguments.dataset} needs --root DIR")
    for option, owners in _OPTIONS.items():
        if getattr(arguments, option) and arguments.dataset not in owners:
            parser.error(f"--{option.replace('_', '-')} needs --dataset {' or '.join(owners)}")
    if arguments.dataset == "folder":
        given = [name for name in ("root", "normal", "manifest") if getattr(arguments, name) is not None]
        if given not in (["root"], ["normal"], ["manifest"], ["root", "manifest"]):
            parser.error(
                "--dataset folder needs --root DIR (train/good, test/good, test/FINDING), --normal DIR with or without "
                "--abnormal DIR, or --manifest CSV with or without --root DIR"
            )
        if arguments.abnormal is not None and arguments.normal is None:
            parser.error("--abnormal DIR needs --normal DIR: the detector learns from normal images")
    arguments.per_disease |= arguments.dataset == "chexpert" and 2 in arguments.table
    if arguments.per_disease and {1, 3} & set(arguments.table):
        parser.error("--table 2 of chexpert has its own test set (--per-disease); run it separately")
    arguments.preset = arguments.preset or ("demo" if arguments.dataset == "phantom" else "fast")


def _check_processes(parser: CommandLine, arguments: argparse.Namespace) -> None:
    torchrun = "RANK" in os.environ
    if arguments.jobs > 1 and torchrun:
        parser.error(f"--jobs {arguments.jobs} cannot be combined with torchrun; leave out one of them")
    if torchrun and arguments.out is None:
        parser.error("torchrun needs --out, so that all processes have the same folder")
    if not arguments.study:
        arguments.jobs = 1


def _check_folder(parser: CommandLine, arguments: argparse.Namespace, *, more: bool) -> None:
    """Check that the run can start or resume in its folder; ``more``: whether something was added to a study."""
    from anatpaste_aug.detection.studies.runs import is_finished

    out: Path = arguments.out
    if not arguments.resume:
        # Under torchrun, process 0 creates it, possibly before the others check.
        if os.environ.get("RANK", "0") == "0" and out.exists() and not _is_empty(out):
            begun = ", or --resume" if (out / "config.json").is_file() else ""
            parser.error(f"--out {out} exists and is not an empty folder; name a new one{begun}")
    elif arguments.study and any(out.glob("*.pt")):
        parser.error(f"--out {out} contains a single training; name a new one for several, tables or figures")
    elif is_finished(out) and not arguments.study:
        parser.error(f"--resume: the run in {out} is finished, see {out / 'report.html'}; name a new --out for another")
    elif is_finished(out) and not more and all(map(is_finished, folder_names(arguments))):
        hint = "add --seeds, --method, --table or --figure, or name a new --out"
        parser.error(f"--resume: the study in {out} is finished, see {out / 'report.html'}; {hint}")


def _is_empty(folder: Path) -> bool:
    """Return whether a folder is empty, except for temporary files of an interrupted start."""
    return folder.is_dir() and all(path.match(".*.tmp") for path in folder.iterdir())


def _split_words(words: Any) -> list[str]:
    """Split words at commas, and drop repeated ones."""
    return list(dict.fromkeys(part for word in words for part in str(word).split(",") if part))
