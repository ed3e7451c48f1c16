"""Run the paper's protocol on one dataset by the command line, and append a line to a file of results."""

import argparse
import json
import os
import shlex
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from measuring import environment, say

from anatpaste_aug.cli import CommandLine
from anatpaste_aug.cli.reproduce import USAGE, add_arguments, reproduce

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.jsonl"


def run(dataset: str, about: str, tables: Sequence[int], argv: Sequence[str] | None = None) -> int:
    """Run the tables on a dataset and record them.

    Args:
        dataset: Its name on the command line.
        about: Text for ``--help``.
        tables: The default tables, unless the command line names others or resumes a run.
        argv: The command line; None is that of this process.

    Returns:
        The exit code.
    """
    parser = CommandLine(about, prog=f"python benchmarks/{dataset}.py", usage=USAGE)
    add_arguments(parser)
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"one line is appended; default: {RESULTS}")
    parser.set_defaults(dataset=dataset, table=list(tables))
    return parser.run(partial(_record, parser), argv)


def _record(parser: CommandLine, arguments: argparse.Namespace) -> None:
    machine, start = environment(torch.device("cpu")), time.perf_counter()  # the commit that runs, not a later one
    folder = reproduce(parser)
    if os.environ.get("RANK", "0") == "0":  # under torchrun one process writes
        command = shlex.join([*parser.prog.split(), *parser.given])
        about = {"benchmark": arguments.dataset, "command": command, "wall_seconds": time.perf_counter() - start}
        append(arguments.results, about, folder, machine)
        say(f"appended a line to {arguments.results}")


def append(results: Path, about: dict, folder: Path, machine: dict) -> None:
    """Make one line: the environment with commit and date, the settings, and all figures of the study in ``folder``."""
    settings = json.loads((folder / "config.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    machine["device"] = environment(torch.device(settings["device"]))["device"]
    line = {"date": machine.pop("date"), "commit": machine.pop("commit")} | about
    line |= {name: value for name, value in metrics.items() if name != "environment"}
    line |= {"settings": settings, "environment": machine}
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")
