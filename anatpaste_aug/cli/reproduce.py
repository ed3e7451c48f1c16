"""The experiments of the AnatPaste paper, from radiographs to tables and figures (Sato et al., arXiv 2205.04282).

    python -m anatpaste_aug reproduce                                      # phantom radiographs, a few minutes
    python -m anatpaste_aug reproduce --dataset zhanglab --root DOWNLOAD   # real ones; also chexpert, rsna
    python -m anatpaste_aug reproduce --dataset folder --root DIR          # your own: train/good, test/good, ...
    python -m anatpaste_aug reproduce --dataset folder --normal DIR        # normal images alone
    python -m anatpaste_aug reproduce --table 1 3 --figure 3 4 5 --seeds 0 1 2 --jobs 2 ...
    python -m anatpaste_aug reproduce --out RUN --resume                   # continue after an interruption
    torchrun --nproc-per-node 4 -m anatpaste_aug reproduce --out RUN ...   # one process per GPU

A network learns to distinguish normal radiographs from their augmentations; the features of an image are then compared
with those of the normal training images (preset paper: ResNet-18 and a kernel density estimate). One training of one
method is a run folder. Several, or any table or figure, make a study: a folder with a run folder METHOD-seedN for each
training. Open the report.html.

Exit code: 0 on success; 1 if some of several trainings failed; 2 for an invalid argument, file or device, before
anything is trained.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anatpaste_aug.cli.command_line import CommandLine, Incomplete
from anatpaste_aug.cli.reproduce_arguments import add_options, complete, folder_names, recorded

if TYPE_CHECKING:
    from anatpaste_aug.datasets import DetectionTask
    from anatpaste_aug.detection import PretextConfig, TrainConfig
    from anatpaste_aug.detection.studies.runs import Run

    Plan = dict[Path, tuple[str, TrainConfig]]

USAGE = "%(prog)s [--dataset NAME --root DIR] [--preset NAME] [--out RUN] [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> None:
    reproduce(arguments.parser)


def reproduce(parser: CommandLine) -> Path:
    """Run the experiments that the command line asks for.

    Args:
        parser: The parser with the options of `add_arguments`; ``parser.given`` are the arguments.

    Returns:
        The folder of the run or the study.

    Raises:
        ValueError, OSError, ImportError: An argument, file, folder, device or package is invalid; nothing was written.
        Incomplete: Some of several trainings failed.
    """
    from anatpaste_aug.cli.reproduce_checks import check_all, load_task, method_settings, settings_of
    from anatpaste_aug.detection import process_group
    from anatpaste_aug.detection.studies.runs import check_task, is_finished, read_run
    from anatpaste_aug.detection.training.workers import main_first

    arguments = complete(parser, parser.given)
    config = settings_of(arguments)
    methods = method_settings(arguments, config)
    check_all(arguments, config, methods)
    arguments.detectors = {name: dataclasses.asdict(each) for name, each in methods.items() if each.kind != config.kind}
    plan: Plan = {
        folder: (method, dataclasses.replace(methods[method], seed=seed))
        for folder, (method, seed) in folder_names(arguments).items()
    }
    with process_group(config.device) as main_process:
        with main_first():
            task = load_task(arguments, config.image_size)
            check_task(task)
            runs = {folder: read_run(folder, task, plan[folder][1]) for folder in plan if is_finished(folder)}
            pending = [folder for folder in plan if folder not in runs]
            if main_process:
                print(f"{task.name}: {task.protocol}", *filter(None, [task.note]), sep="\n")
                print(*(f"left out: {bad}\n" for bad in task.unreadable), sep="", end="", file=sys.stderr)
                _begin(arguments, config, plan, task)
        try:
            _train(arguments, task, plan, pending, main_process)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"continue with --out {arguments.out} --resume") from None
    if arguments.study and main_process:
        print(_evaluate(arguments, task, config, plan, runs))
    return Path(arguments.out)


def _begin(arguments: argparse.Namespace, config: "PretextConfig", plan: "Plan", task: "DetectionTask") -> None:
    """Create the folders, each with a file of the options that --resume reads."""
    from anatpaste_aug.detection.studies.runs import begin_run, has_begun

    options = recorded(arguments)
    if arguments.study:
        begin_run(arguments.out, options | dataclasses.asdict(config), task)
        options |= {"table": [], "figure": [], "pretrained": None, "jobs": 1, "study": False}
    processes = {"processes": int(os.environ.get("WORLD_SIZE", "1"))}
    for folder, (method, training) in plan.items():
        if not has_begun(folder, task):
            detectors = {name: each for name, each in arguments.detectors.items() if name == method}
            own = {"method": [method], "methods": [method], "seeds": [str(training.seed)], "detectors": detectors}
            begin_run(folder, options | own | dataclasses.asdict(training) | processes, task)


def _train(
    arguments: argparse.Namespace, task: "DetectionTask", plan: "Plan", pending: list[Path], main_process: bool
) -> None:
    from anatpaste_aug.detection.studies.runs import train_run
    from anatpaste_aug.detection.training.jobs import run_jobs

    if arguments.jobs > 1:
        again = [sys.executable, "-m", "anatpaste_aug", "reproduce", "--resume", "--out"]
        commands = {folder.name: [*again, str(folder)] for folder in pending}
        failed = run_jobs(commands, {folder.name: folder / "output.txt" for folder in pending}, arguments.jobs)
        if failed:
            names = ", ".join(failed)
            raise Incomplete(f"failed: {names}; the others are finished. Continue with --out {arguments.out} --resume")
        return
    options = {name: getattr(arguments, name) for name in ("command", "checkpoint_every", "tensorboard")}
    for folder in pending:
        text = train_run(folder, task, *plan[folder], main=main_process, **options)
        if main_process:
            print(text)


def _evaluate(
    arguments: argparse.Namespace, task: "DetectionTask", config: "PretextConfig", plan: "Plan", runs: "dict[Path, Run]"
) -> str:
    from anatpaste_aug.detection.studies.methods import FIGURE_1_METHODS, METHODS
    from anatpaste_aug.detection.studies.runs import read_run
    from anatpaste_aug.detection.studies.study_report import write_study

    return write_study(
        arguments.out,
        task,
        [runs.get(folder) or read_run(folder, task, own) for folder, (_, own) in plan.items()],
        config,
        tables=arguments.table,
        figures=arguments.figure,
        drawn_methods=[name for name in arguments.method if METHODS[name].transforms] or FIGURE_1_METHODS,
        weights_file=arguments.pretrained,
        command=arguments.command,
    )
