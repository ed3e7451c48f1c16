"""Checks that hold for any input."""

import traceback
from contextlib import contextmanager
from pathlib import Path

import torch
from helpers.oracles import bits

import anatpaste_aug

_PACKAGE = Path(anatpaste_aug.__file__).parent


@contextmanager
def untouched(*tensors):
    """None of the tensors (or None) is modified."""
    before = [(tensor, tensor.detach().clone()) for tensor in tensors if tensor is not None]
    yield
    for tensor, copy in before:
        assert same(tensor.detach(), copy), "an input was modified"


def same(first, second):
    """Whether two tensors are the same in shape, dtype and every bit."""
    return first.shape == second.shape and first.dtype == second.dtype and torch.equal(bits(first), bits(second))


def same_rows(first, second):
    """The same for parameters."""
    return all(same(one, other) for one, other in zip(first, second, strict=True))


def attempt(function, *arguments, **settings):
    """The result, or None after a TypeError or ValueError of the package itself.

    An error from inside torch or NumPy is a bug, whatever its type.
    """
    try:
        return function(*arguments, **settings)
    except (TypeError, ValueError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        if _PACKAGE in Path(last.filename).parents and (last.line or "").startswith("raise "):
            return None
        raise AssertionError(f"{error!r} comes from {last.filename}: {last.line}") from error
