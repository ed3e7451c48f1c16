"""One task on many files at once, with a progress bar, and one error for all files that fail."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from anatpaste_aug.datasets.records import DatasetError

__all__ = ["attempt_all", "failure", "on_all", "progress_bar", "some_of"]

T = TypeVar("T")
R = TypeVar("R")


def on_all(
    task: Callable[[T], R], items: Sequence[T], *, noun: str, progress: bool = False, workers: int | None = None
) -> list[R]:
    """As `attempt_all`, but all of it or nothing.

    Raises:
        DatasetError: Says how many items failed, and the first ones with the reason.
    """
    answers = attempt_all(task, items, noun=noun, progress=progress, workers=workers)
    if failures := [answer for answer in answers if isinstance(answer, DatasetError)]:
        raise failure(failures, len(items), noun)
    return [answer for answer in answers if not isinstance(answer, DatasetError)]


def attempt_all(
    task: Callable[[T], R], items: Sequence[T], *, noun: str, progress: bool = False, workers: int | None = None
) -> list[R | DatasetError]:
    """The task's answers or errors in the items' order, worked out in threads.

    Every item is tried before the answer, so that nothing fails again for each file that is mended.

    Args:
        task: Raises DatasetError for a file that cannot be read.
        items: Its arguments.
        noun: What an item is, in the plural, for the bar.
        progress: Show a progress bar on standard error.
        workers: Threads; by default one per processor, 16 at most.
    """

    def attempt(item: T) -> R | DatasetError:
        try:
            return task(item)
        except DatasetError as error:
            return error

    with ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16)) as pool:
        try:
            return list(progress_bar(pool.map(attempt, items), len(items), f"reading {noun}", noun, progress))
        except BaseException:  # Ctrl-C shouldn't wait for the files that are left
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def failure(failures: Sequence[DatasetError], total: int, noun: str) -> DatasetError:
    """One error for all of them."""
    listed = "\n  ".join(map(str, failures[:5])) + ("\n  ..." if len(failures) > 5 else "")
    return DatasetError(
        f"{len(failures)} of {total} {noun} cannot be read; download or unpack them again, or leave them out "
        f'(--skip-unreadable, on_error="skip"):\n  {listed}'
    )


def progress_bar(answers: Iterable[T], total: int, text: str, unit: str, progress: bool) -> Iterable[T]:
    """``answers`` with a tqdm bar around them, or as they are."""
    if not progress:
        return answers
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(answers, total=total, desc=text, unit=f" {unit}")
    return bar


def some_of(names: Sequence[str]) -> str:
    """The first five, for an error.

    >>> some_of("abcdef"), some_of("ab")
    ('a, b, c, d, e, ...', 'a, b')
    """
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
