"""The code that an image takes: the compiled kernels, torch's code for the CPU, or that for accelerators."""

from contextlib import contextmanager

import pytest
import torch


@contextmanager
def without_numba():
    """The torch code, as the CPU runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
        yield


@contextmanager
def as_accelerators():
    """The torch code for accelerators, on the CPU."""
    with without_numba(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        yield


def on_both_paths(function, *arguments, **choices):
    """The results of the compiled kernels and of the torch code on the CPU."""
    compiled = function(*arguments, **choices)
    with without_numba():
        return compiled, function(*arguments, **choices)


def on_all_paths(function, *arguments, **choices):
    """The same, and the result of the torch code for accelerators."""
    both = on_both_paths(function, *arguments, **choices)
    with as_accelerators():
        return *both, function(*arguments, **choices)
