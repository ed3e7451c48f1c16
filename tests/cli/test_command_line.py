"""Every command ends with an exit code and at most one line with the reason."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from anatpaste_aug.cli.command_line import CommandLine, Incomplete, blame

ROOT = Path(__file__).parents[2]


def ended(raised, *argv):
    """The exit code of a command that runs a function."""

    def work(_):
        if raised is not None:
            raise raised

    parser = CommandLine("What it does.", prog="prog", usage="%(prog)s [options]")
    parser.add_argument("--size", type=int)
    return parser.run(work, argv)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("size=8: expected at least 32"), 2, "prog: error: --size 8: expected at least 32"),
        (OSError("no room"), 2, "prog: error: no room"),
        (ImportError("needs timm"), 2, "prog: error: needs timm"),
        (FloatingPointError("the loss is nan"), 2, "prog: error: the loss is nan"),
        (ValueError("two\n  lines"), 2, "prog: error: two lines"),
        (Incomplete("one is missing"), 1, "prog: one is missing"),
        (KeyboardInterrupt(), 130, "prog: interrupted"),
        (KeyboardInterrupt("go on"), 130, "prog: interrupted: go on"),
        (KeyError("x"), 3, "prog: internal error: KeyError: 'x'. To report it, run again with --debug"),
        (TypeError("no len"), 3, "prog: internal error: TypeError: no len. To report it, run again with --debug"),
        (RuntimeError("a\nb"), 3, "prog: internal error: RuntimeError: a b. To report it, run again with --debug"),
    ],
)
def test_an_error_is_one_line_and_a_code(error, code, line, capsys):
    assert ended(error) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == (["usage: prog [options]"] if code == 2 else []) + [line]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("bad")])
def test_debug_shows_the_traceback_too(error, capsys):
    ended(error, "--debug")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "bad" in lines[-1]


def test_wrong_arguments_have_exit_code_2(capsys):
    assert ended(None, "--size", "x\x1b") == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage == "usage: prog [options]"
    assert error.startswith("prog: error: argument --size: invalid int value: ")
    assert "\x1b" not in error


def test_help_and_success_are_0(capsys):
    assert ended(None) == 0
    assert ended(None, "--help") == 0
    assert "--debug" in capsys.readouterr().out


def test_warnings_are_one_line_while_it_runs(capsys):
    parser = CommandLine("What it does.", prog="prog")
    before = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *given: sys.stderr.write(warnings.formatwarning(*given))
        parser.run(lambda _: warnings.warn("two\nlines", stacklevel=1), [])
    assert capsys.readouterr().err == "prog: warning: two lines\n"
    assert warnings.formatwarning is before


def test_blame_names_the_option():
    with pytest.raises(ValueError, match=r"^--out: a: Is a directory$"), blame("--out"):
        raise IsADirectoryError(21, "Is a directory", "a")
    with pytest.raises(KeyError), blame("--out"):
        raise KeyError


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pipes that are closed early are POSIX")
def test_a_closed_pipe_ends_it_quietly():
    code = (
        "from anatpaste_aug.cli.command_line import CommandLine;"
        "raise SystemExit(CommandLine('x').run(lambda _: [print('line' * 100) for _ in range(10**5)] and 0, []))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout.readline().startswith(b"line")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
