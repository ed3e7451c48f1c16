"""Commands side by side: as many as wanted, each with its share of the cores; one that dies stops no other."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from anatpaste_aug.detection.training.jobs import run_jobs

# Waits for the file that the other one writes: both must be there at once.
MEET = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.05)
"""


def run(tmp_path, jobs, said=None, **scripts):
    commands = {name: [sys.executable, "-c", *script] for name, script in scripts.items()}
    logs = {name: tmp_path / f"{name}.txt" for name in scripts}
    return run_jobs(commands, logs, jobs, notify=[].append if said is None else said.append)


def test_two_jobs_run_at_once(tmp_path):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert run(tmp_path, 2, one=(MEET, a, b), other=(MEET, b, a)) == {}


def test_one_job_waits_for_the_one_before(tmp_path):
    first = f"open({str(tmp_path / 'done')!r}, 'w').write('x')"
    second = f"assert open({str(tmp_path / 'done')!r}).read() == 'x'"
    assert run(tmp_path, 1, one=(first,), other=(second,)) == {}


def test_a_job_that_dies_is_named_and_the_others_go_on(tmp_path):
    said = []
    killed = "import os; os.kill(os.getpid(), 9)"
    failed = run(tmp_path, 1, said, bad=("raise SystemExit('too bad')",), killed=(killed,), good=("print('fine')",))
    assert failed == {"bad": 1, "killed": -9}
    assert (tmp_path / "bad.txt").read_text() == "too bad\n"
    assert (tmp_path / "good.txt").read_text() == "fine\n"
    assert said[1] == f"bad: failed with exit status 1, see {tmp_path / 'bad.txt'} (1 of 3)"
    assert said[-1] == "good: done (3 of 3)"


def test_jobs_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    show = "import os; print(os.environ['OMP_NUM_THREADS'])"
    for jobs, threads in ((1, "6"), (4, "1"), (8, "1")):
        assert run(tmp_path / ".", jobs, **{f"x{jobs}": (show,)}) == {}
        assert (tmp_path / f"x{jobs}.txt").read_text() == f"{threads}\n"


def test_what_ends_the_call_ends_the_jobs(tmp_path):
    forever = "import time\nwhile True: time.sleep(1)"

    def interrupt(line):
        if line == "two: started":
            raise KeyboardInterrupt

    commands = {
        name: [sys.executable, "-c", f"import os; print(os.getpid(), flush=True)\n{forever}"] for name in ("one", "two")
    }
    with pytest.raises(KeyboardInterrupt):
        run_jobs(commands, {name: tmp_path / name for name in commands}, 2, notify=interrupt)
    for name in commands:
        if number := (tmp_path / name).read_text():  # else it ended before it could print
            with pytest.raises(ProcessLookupError):
                os.kill(int(number), 0)


@pytest.mark.slow
def test_sigterm_ends_the_jobs_too(tmp_path):
    job = "import os, time\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(1)"
    code = f"""
import pathlib, sys
from anatpaste_aug.detection.training.jobs import run_jobs
run_jobs({{"job": [sys.executable, "-c", {job!r}]}}, {{"job": pathlib.Path({str(tmp_path / "log")!r})}}, 1)
"""
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


def test_the_caller_s_handler_comes_back_and_another_thread_needs_none(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    assert run(tmp_path, 1, good=("print('fine')",)) == {}
    assert signal.getsignal(signal.SIGTERM) is before
    found = []
    thread = threading.Thread(target=lambda: found.append(run(tmp_path, 1, good=("print('fine')",))))
    thread.start()
    thread.join()
    assert found == [{}]


def test_no_jobs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        run_jobs({}, {}, 0)
