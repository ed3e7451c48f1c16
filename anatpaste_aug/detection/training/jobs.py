"""Running commands side by side: several trainings of few threads are faster than one training of all threads."""

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
    notify: Callable[[str], None] = print,
) -> dict[str, int]:
    """Run commands as processes, at most `jobs` at a time, each with the same number of threads.

    A command that fails is reported by its name, and the others continue. Whatever ends this call ends them too, except
    SIGKILL; SIGTERM only if the call is made in the main thread.

    Args:
        commands: Name -> program and arguments.
        logs: Name -> file for the command's output.
        jobs: At least 1.
        notify: Called with a line where a command starts or ends.

    Returns:
        Name -> exit status of the commands that failed, minus the signal for one that was killed.

    Raises:
        ValueError: `jobs` is below 1.
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
                    notify(f"{name}: started")
                time.sleep(_PAUSE)
                for name, process in list(running.items()):
                    if (status := process.poll()) is None:
                        continue
                    del running[name]
                    done += 1
                    if status:
                        failed[name] = status
                    how = f"failed with exit status {status}, see {logs[name]}" if status else "done"
                    notify(f"{name}: {how} ({done} of {len(commands)})")
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()
    return failed


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, which runs `finally` clauses."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
