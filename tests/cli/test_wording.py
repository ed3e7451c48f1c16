"""Rewording of errors for the command line."""

import errno

import pytest
import torch

from anatpaste_aug.cli.wording import explain, in_options, one_line

OPTIONS = {"--size", "--skip-unreadable", "--views", "--no-segmentation", "--no-blur", "--area", "--sync-bn", "--seeds"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("size=8: expected at least 32", "--size 8: expected at least 32"),
        ('or leave them out (on_error="skip")', "or leave them out (--skip-unreadable)"),
        ("on_error='skip' leaves them out", "--skip-unreadable leaves them out"),
        ('take all with views="all".', "take all with --views all."),
        ("area must be (low, high)", "--area must be (low, high)"),
        ("sync_bn needs a CUDA device", "--sync-bn needs a CUDA device"),
        ("transform has segmentation=False", "transform has --no-segmentation"),
        # Arguments without an option and prose are kept.
        ("limit=0: expected at least 1", "limit=0: expected at least 1"),
        ("protocol='x': expected overall", "protocol='x': expected overall"),
        ("the size must be a number", "the size must be a number"),
        ("seeds of the size=small kind", "seeds of the --size small kind"),
        # Messages that name both keep the option.
        ('on_error="skip" (--skip-unreadable)', "--skip-unreadable"),
        ('on_error="skip", or --skip-unreadable on the command line', "--skip-unreadable"),
        ('give views="all" (--views all on the command line)', "give --views all"),
        ('leave them out (--skip-unreadable, on_error="skip"): a', "leave them out (--skip-unreadable): a"),
        ('use --views all (views="all")', "use --views all"),
        ("--views all or --skip-unreadable", "--views all or --skip-unreadable"),
    ],
)
def test_arguments_become_the_options_of_the_command(message, expected):
    assert in_options(message, OPTIONS) == expected


def test_arguments_without_an_option_are_kept():
    assert in_options('leave them out (on_error="skip")', {"--size"}) == 'leave them out (on_error="skip")'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), "bad"),
        (ValueError(), "ValueError"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.png"), "a.png: No such file or directory"),
        (OSError(errno.ENOSPC, "a.png could not be written"), "a.png could not be written"),
        (OSError("nothing there"), "nothing there"),
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "timm is not installed: pip install"),
        (ImportError("needs timm: pip install timm"), "needs timm: pip install timm"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "not enough memory (CUDA out of memory): "),
        (MemoryError(), "not enough memory"),
    ],
)
def test_errors_of_the_system_are_explained(error, expected):
    assert explain(error).startswith(expected)


def test_a_message_is_one_printable_line():
    assert one_line("2 files:\n  a.png\n\n  \x1b[2J.png\n") == "2 files: a.png \\x1b[2J.png"
