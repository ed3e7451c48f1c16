"""Commands side by side: a training in one thread of each core gets more done than one training in all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.1  # seconds between two looks at the processes


def run_jobs(
    commands: Mapping[str, Sequence[str]],
    logs: Mapping[str, Path],
    jobs: int,
    *,
    say: Callable[[str], None] = print,
) -> dict[str, int]:
    """Runs commands as processes of their own, at most ``jobs`` at a time, with equal shares of the cores.

    A command that fails is reported by its name, and the others go on. Whatever ends this call ends them too: SIGTERM
    where it is made in the main thread, but not SIGKILL.

    Args:
        commands: name -> program and arguments.
        logs: name -> file for what the command prints.
        jobs: at least 1.
        say: called with a line where a command starts or ends.

    Returns:
        Name -> exit status of the commands that failed, minus the signal for one that was killed.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, cores // jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    waiting, failed, done = list(commands), dict[str, int](), 0
    running: dict[str, subprocess.Popen[bytes]] = {}
    with _sigterm_as_exit():
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    name = waiting.pop(0)
                    with logs[name].open("ab") as log:
                        running[name] = subprocess.Popen(commands[name], stdout=log, stderr=log, env=environment)
                    say(f"{name}: started")
                time.sleep(_PAUSE)
                for name, process in list(running.items()):
                    if (status := process.poll()) is None:
                        continue
                    del running[name]
                    done += 1
                    if status:
                        failed[name] = status
                    how = f"failed with exit status {status}, see {logs[name]}" if status else "done"
                    say(f"{name}: {how} ({done} of {len(commands)})")
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()
    return failed


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM ends a process without its ``finally`` clauses; as SystemExit it runs them."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
