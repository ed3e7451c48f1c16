"""Run functions in forked processes, which need not import torch again."""

import os
import signal
import socket
import sys
import time
import traceback

import torch


def start(function, *arguments):
    """Call the function in a forked process; return its process ID."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        torch.set_num_threads(1)  # a fork has none of the threads of its parent, and would wait for them
        function(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def finish(process):
    """Wait for the process: 0 if the function returned, 1 if it failed, minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def count_calls(function):
    """Count the calls and returns of functions, in Python and C, within the function."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += 1

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def kill_at_call(number, function):
    """Call the function in a process that is killed at a certain call or return; see `finish`."""

    def run():
        left = number

        def profile(frame, event, argument):
            nonlocal left
            left -= 1
            if left == 0:
                kill_self()

        sys.setprofile(profile)
        function()
        sys.setprofile(None)

    return finish(start(run))


FILE_CALLS = {"open", "write", "writelines", "flush", "close", "truncate", "fsync", "replace", "rename", "unlink"}
FILE_CALLS |= {"posix_fallocate", "mkdir", "pwrite", "seek", "__exit__"}


def at_file_calls(act):
    """A profile function that calls ``act`` before and after every file operation of C code."""

    def profile(frame, event, argument):
        if event in ("c_call", "c_return") and argument.__name__ in FILE_CALLS:
            act()

    return profile


def count_file_calls(function):
    """Count the moments that `kill_at_file_call` can choose from."""
    moments = []
    sys.setprofile(at_file_calls(lambda: moments.append(1)))
    try:
        function()
    finally:
        sys.setprofile(None)
    return len(moments)


def kill_at_file_call(number, function):
    """Call the function in a process that is killed before or after a file operation; see `finish`."""

    def run():
        moments = iter(range(1, number + 1))
        sys.setprofile(at_file_calls(lambda: kill_self() if next(moments) == number else None))
        function()
        sys.setprofile(None)

    return finish(start(run))


def limit_files(size):
    """Simulate a full disk: this process cannot write files beyond this size."""
    import resource  # which Windows lacks

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def torchrun(count, function, *arguments, end_together=True):
    """Call the function in processes as torchrun starts them; return the exit codes, see `finish`.

    As torchrun does, it ends all of them once one has failed, unless ``end_together`` is false.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(rank):
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        function(*arguments)

    processes, codes = [start(run, rank) for rank in range(count)], {}
    while len(codes) < count:
        for process in set(processes) - codes.keys():
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                codes[process] = os.waitstatus_to_exitcode(status)
        if end_together and any(codes.values()):  # the others would wait for it
            for other in set(processes) - codes.keys():
                os.kill(other, signal.SIGKILL)
        time.sleep(0.01)
    return [codes[process] for process in processes]
