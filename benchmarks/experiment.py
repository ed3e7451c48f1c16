"""The paper's protocol on one dataset: runs the example as a user does, and appends a line to a file of results."""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from measuring import environment, say

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import reproduce_paper  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results.jsonl"


def run(dataset: str, about: str, default: Sequence[str], argv: Sequence[str] | None = None) -> None:
    """Runs the tables on a dataset and records them.

    Args:
        dataset: as the example names it.
        about: for ``--help``.
        default: options that hold unless the command line names tables, or goes on with a folder.
        argv: the command line; None is that of this process.
    """
    parser = argparse.ArgumentParser(
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="All other options are those of examples/reproduce_paper.py (see its --help).",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"one line is appended; default: {RESULTS}")
    own, options = parser.parse_known_args(argv)
    given = sys.argv[1:] if argv is None else argv
    if not {"--table", "--resume"} & set(options):
        options = [*default, *options]
    machine, start = environment(torch.device("cpu")), time.perf_counter()  # the commit that runs, not a later one
    folder = reproduce_paper.main(["--dataset", dataset, *options])
    if os.environ.get("RANK", "0") == "0":  # under torchrun one process writes
        command = shlex.join(["python", f"benchmarks/{dataset}.py", *given])
        about = {"benchmark": dataset, "command": command, "wall_seconds": time.perf_counter() - start}
        append(own.results, about, folder, machine)
        say(f"appended a line to {own.results}")


def append(results: Path, about: dict, folder: Path, machine: dict) -> None:
    """One line: the environment with commit and date, the settings, and all figures of the study in ``folder``."""
    settings = json.loads((folder / "config.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    machine["device"] = environment(torch.device(settings["device"]))["device"]
    line = {"date": machine.pop("date"), "commit": machine.pop("commit")} | about
    line |= {name: value for name, value in metrics.items() if name != "environment"}
    line |= {"settings": settings, "environment": machine}
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")
