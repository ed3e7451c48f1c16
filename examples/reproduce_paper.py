"""The experiments of the AnatPaste paper, from radiographs to tables and figures (Sato et al., arXiv 2205.04282).

    python examples/reproduce_paper.py                                      # phantom radiographs, a few minutes
    python examples/reproduce_paper.py --dataset zhanglab --root DOWNLOAD   # real ones; also chexpert, rsna
    python examples/reproduce_paper.py --table 1 3 --figure 3 4 5 --seeds 0 1 2 --jobs 2 ...
    python examples/reproduce_paper.py --out RUN --resume                   # go on after an interruption
    torchrun --nproc-per-node 4 examples/reproduce_paper.py --out RUN ...   # one process per GPU

A ResNet-18 learns to tell normal radiographs from their augmentations; a kernel density estimate over its features of
the normal training images then scores the test images. One training of one method is a run folder. Several, or any
table or figure, make a study: a folder with a run folder METHOD-seedN for each training. Open the report.html.
"""

import argparse
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch

from anatpaste_aug import datasets
from anatpaste_aug.detection import METHODS, PRESETS, TrainConfig, main_first, process_group
from anatpaste_aug.detection.augmentations import DRAWN, NEEDED
from anatpaste_aug.detection.jobs import run_jobs
from anatpaste_aug.detection.runs import begin_run, check_task, has_begun, is_finished, read_run, train_run
from anatpaste_aug.detection.study_report import check_study, write_study
from anatpaste_aug.files import check_writable

REAL = ("zhanglab", "chexpert", "rsna")
# Which datasets an option is for.
OPTIONS = {
    "root": REAL,
    "cache": REAL,
    "split": REAL,
    "name": REAL,
    "skip_unreadable": REAL,
    "white": REAL,
    "download": ("zhanglab",),
    "views": ("chexpert", "rsna"),
    "per_disease": ("chexpert",),
    "exclude_support_devices": ("chexpert",),
}

# What is added to, and what cannot change, when a study goes on.
ADDED = ("method", "seeds", "table", "figure")
FIXED = ("dataset", "name", "views", "per_disease", "exclude_support_devices", "split_seed", "preset", "backbone")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", choices=("phantom", *REAL), default="phantom")
    add("--root", type=Path, help="folder of the raw download; not needed for phantoms")
    add("--skip-unreadable", action="store_true", help="leave out images that cannot be read, and say which")
    add("--download", action="store_true", help="zhanglab: fetch it to --root first (1.15 GB)")
    add("--cache", type=Path, help="folder that keeps decoded images for the next run")
    add("--views", choices=("PA", "all"), help="chexpert, rsna: default PA, as in the paper")
    add("--per-disease", action="store_true", help="chexpert: the test set of --table 2, at least 300 of each disease")
    add("--exclude-support-devices", action="store_true", help="chexpert: no normals with devices")
    add("--name", help="how results name the data, where it is not the published set")
    add("--split", type=Path, help="split.json of another run, to repeat its split")
    add("--white", type=int, metavar="N", help="of 16-bit PNG and TIFF that don't tell it; default: looked for")
    add("--method", nargs="+", default=[], metavar="METHOD", help=f"{', '.join(METHODS)}; default: what the rest needs")
    add("--seeds", "--seed", nargs="+", default=["0"], metavar="SEED", help="of weights and augmentations; a run each")
    add("--table", nargs="+", type=int, choices=(1, 2, 3), default=[], help="methods; diseases or views; ablations")
    add("--figure", nargs="+", type=int, choices=(1, 3, 4, 5), default=[], help="pasted, ROC, scores, Grad-CAM")
    add("--pretrained", type=Path, metavar="FILE", help="weights of the backbone, a baseline in --table")
    add("--jobs", type=int, default=1, metavar="N", help="trainings side by side, each with its share of the cores")
    add("--preset", choices=PRESETS, help="default: demo for phantoms, cpu for a dataset")
    add("--backbone", default="resnet18", help="any timm model name")
    add("--split-seed", type=int, default=0, help="of the split; for phantoms, of all images")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--amp", action="store_true", help="mixed precision in training: GPUs, CPUs with AMX")
    add("--sync-bn", action="store_true", help="torchrun on GPUs: BatchNorm over the whole batch")
    add("--tensorboard", action="store_true", help="log to OUT/tensorboard")
    add("--checkpoint-every", type=int, metavar="N", help="updates; default: only at validations")
    add("--out", type=Path, help="run folder, must be new or empty; default: a new one below runs/")
    add("--resume", action="store_true", help="go on with --out and its settings; what a study does can be added to")
    given = sys.argv[1:] if argv is None else list(argv)
    command = shlex.join(["python", "examples/reproduce_paper.py", *given])
    parser.set_defaults(command=command, study=False, methods=[])
    arguments = parser.parse_args(given)
    before, earlier = {}, {}
    if arguments.resume:
        begun = arguments.out and arguments.out / "config.json"
        if not begun or not begun.is_file():
            parser.error("--resume needs --out RUN, the folder of a run that has begun and is not complete")
        before = json.loads(begun.read_text())
        if set(given) - {"--out", str(arguments.out), "--resume"}:
            before["command"] += f"\n{command}"
        earlier = {name: before.pop(name, None) or [] for name in (*ADDED, "methods")}
        parser.set_defaults(**before, seeds=[])
        arguments = parser.parse_args(given)
    check(parser, arguments, earlier)
    if before and (changed := [name for name in FIXED if str(before.get(name)) != str(getattr(arguments, name))]):
        parser.error(f"--{changed[0].replace('_', '-')} is another in {begun}; name a new folder")
    return arguments


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace, earlier: dict[str, list]) -> None:
    """Ends with an error for what cannot be, and fills in what follows from the rest and from earlier calls."""
    torchrun = "RANK" in os.environ
    arguments.seeds, arguments.method = listed(arguments.seeds), listed(arguments.method)
    if not all(seed.isdecimal() for seed in arguments.seeds):
        parser.error(f"--seeds takes numbers from 0 up, got {' '.join(arguments.seeds)}")
    asked = [f"table {number}" for number in arguments.table] + [f"figure {number}" for number in arguments.figure]
    if unknown := [name for name in arguments.method if name not in METHODS]:
        parser.error(f"--method {unknown[0]}: choose from {', '.join(METHODS)}")
    needed = dict.fromkeys(name for each in asked for name in NEEDED[each])
    wanted = arguments.method or list(needed) or ([] if asked or earlier else ["anatpaste"])
    if asked == ["figure 1"]:
        wanted = []  # methods are drawn, not trained
    arguments.methods = listed([*earlier.get("methods", []), *wanted])
    for name in ADDED:
        setattr(arguments, name, list(dict.fromkeys([*earlier.get(name, []), *getattr(arguments, name)])))
    arguments.table, arguments.figure = sorted(set(arguments.table)), sorted(set(arguments.figure))
    arguments.study |= bool(asked) or len(arguments.methods) * len(arguments.seeds) > 1
    if arguments.dataset != "phantom" and arguments.root is None:
        parser.error(f"--dataset {arguments.dataset} needs --root DIR")
    for option, owners in OPTIONS.items():
        if getattr(arguments, option) and arguments.dataset not in owners:
            parser.error(f"--{option.replace('_', '-')} needs --dataset {' or '.join(owners)}")
    if arguments.pretrained and not arguments.table:
        parser.error("--pretrained needs --table")
    if arguments.jobs < 1 or (arguments.jobs > 1 and torchrun):
        parser.error(f"--jobs {arguments.jobs}: at least 1, and not under torchrun")
    if not arguments.study:
        arguments.jobs = 1
    arguments.per_disease |= arguments.dataset == "chexpert" and 2 in arguments.table
    if arguments.per_disease and {1, 3} & set(arguments.table):
        parser.error("--table 2 of chexpert has a test set of its own (--per-disease): give it an --out of its own")
    arguments.preset = arguments.preset or ("demo" if arguments.dataset == "phantom" else "cpu")
    if torchrun and arguments.out is None:
        parser.error("torchrun needs --out, so that all processes have the same folder")
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    arguments.out = arguments.out or Path("runs") / f"{arguments.dataset}-{arguments.preset}-{stamp}"
    if arguments.resume and not arguments.study and is_finished(arguments.out):
        parser.error("--resume needs --out RUN, the folder of a run that has begun and is not complete")
    if arguments.resume and arguments.study and any(arguments.out.glob("*.pt")):
        parser.error(f"--out {arguments.out} holds a single training; name a new folder for several, tables or figures")
    fresh = not arguments.resume and os.environ.get("RANK", "0") == "0"  # process 0 creates it, the others may find it
    if fresh and arguments.out.exists() and not is_empty(arguments.out):
        parser.error(f"--out {arguments.out} exists and is not an empty folder; name a new one, or --resume")


def is_empty(folder: Path) -> bool:
    """A folder without files, or with those of a call that was killed before it had begun."""
    return folder.is_dir() and all(path.match(".*.tmp") for path in folder.iterdir())


def listed(words: Sequence[str]) -> list[str]:
    """Words between spaces or commas, each once."""
    return list(dict.fromkeys(part for word in words for part in str(word).split(",") if part))


def load_task(arguments: argparse.Namespace, size: int) -> datasets.DetectionTask:
    if arguments.dataset == "phantom":
        return datasets.phantom_task(size, seed=arguments.split_seed)
    options = {"seed": arguments.split_seed, "cache": arguments.cache}
    options["white"] = arguments.white
    options["on_error"] = "skip" if arguments.skip_unreadable else "raise"
    if arguments.split:
        options["split"] = datasets.Split.load(arguments.split)
    if arguments.name:
        options["name"] = arguments.name
    if arguments.dataset == "zhanglab":
        if arguments.download:
            datasets.download_zhanglab(arguments.root)
        return datasets.zhanglab_task(arguments.root, size, **options)
    options["views"] = arguments.views or "PA"
    if arguments.dataset == "rsna":
        return datasets.rsna_task(arguments.root, size, **options)
    return datasets.chexpert_task(
        arguments.root,
        size,
        protocol="diseases" if arguments.per_disease else "overall",
        exclude_support_devices=arguments.exclude_support_devices,
        **options,
    )


def plan_runs(arguments: argparse.Namespace, config: TrainConfig) -> dict[Path, tuple[str, TrainConfig]]:
    """Folder -> method and settings of each training; a single one has --out to itself."""
    chosen = [(method, int(seed)) for method in arguments.methods for seed in arguments.seeds]
    folders = [arguments.out / f"{method}-seed{seed}" if arguments.study else arguments.out for method, seed in chosen]
    return {
        folder: (method, dataclasses.replace(config, seed=seed, num_classes=METHODS[method].num_classes))
        for folder, (method, seed) in zip(folders, chosen, strict=True)
    }


def begin_all(
    arguments: argparse.Namespace,
    config: TrainConfig,
    plan: dict[Path, tuple[str, TrainConfig]],
    task: datasets.DetectionTask,
) -> None:
    """Makes the folders, each with the options that --resume takes from there."""
    options = {name: value for name, value in vars(arguments).items() if name not in ("out", "resume")}
    processes = {"processes": int(os.environ.get("WORLD_SIZE", "1"))}
    if arguments.study:
        begin_run(arguments.out, options | dataclasses.asdict(config), task)
        options |= {"table": [], "figure": [], "pretrained": None, "jobs": 1, "study": False}
    for folder, (method, training) in plan.items():
        if not has_begun(folder, task):
            own = {"method": [method], "methods": [method], "seeds": [str(training.seed)]}
            begin_run(folder, options | own | dataclasses.asdict(training) | processes, task)


def train_side_by_side(arguments: argparse.Namespace, folders: list[Path]) -> None:
    commands = {folder.name: [sys.executable, __file__, "--out", str(folder), "--resume"] for folder in folders}
    failed = run_jobs(commands, {folder.name: folder / "output.txt" for folder in folders}, arguments.jobs)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the others are done. Go on with --out {arguments.out} --resume")


def main(argv: Sequence[str] | None = None) -> Path:
    """Runs what the command line asks for; the folder of the run or the study."""
    arguments = parse_arguments(argv)
    given = {field.name for field in dataclasses.fields(TrainConfig)} & vars(arguments).keys()  # all, in a run's folder
    settings = PRESETS[arguments.preset] | {name: getattr(arguments, name) for name in given}
    config = TrainConfig(**settings | {"seed": int(arguments.seeds[0])})
    plan = plan_runs(arguments, config)
    for folder in filter(None, (arguments.out, arguments.cache)):
        check_writable(folder)  # now, not after hours of work
    with process_group(config.device) as main_process:
        with main_first():
            task = load_task(arguments, config.image_size)
            check_task(task)
            runs = {folder: read_run(folder, task, plan[folder][1]) for folder in plan if is_finished(folder)}
            pending = [folder for folder in plan if folder not in runs]
            if arguments.study:
                check_study(task, config, arguments.figure, arguments.pretrained)
            if main_process:
                print(f"{task.name}: {task.protocol}", *filter(None, [task.note]), sep="\n")
                print(*(f"left out: {bad}\n" for bad in task.unreadable), sep="", end="", file=sys.stderr)
                begin_all(arguments, config, plan, task)
        if arguments.jobs > 1:
            train_side_by_side(arguments, pending)
        else:
            for folder in pending:
                wishes = {name: getattr(arguments, name) for name in ("command", "checkpoint_every", "tensorboard")}
                told = train_run(folder, task, *plan[folder], main=main_process, **wishes)
                if main_process:
                    print(told)
    if arguments.study and main_process:
        told = write_study(
            arguments.out,
            task,
            [runs.get(folder) or read_run(folder, task, own) for folder, (_, own) in plan.items()],
            config,
            tables=arguments.table,
            figures=arguments.figure,
            drawn=arguments.method or DRAWN,
            weights_file=arguments.pretrained,
            command=arguments.command,
        )
        print(told)
    return arguments.out


if __name__ == "__main__":
    main()
