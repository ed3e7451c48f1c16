"""Run a function on many files in threads, with a progress bar, and one error for all files that fail."""

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
    """Run a function on all items as `attempt_all` does; raise an error if any of them fails.

    Raises:
        DatasetError: Items failed; the message gives their number, and the first ones with the reason.
    """
    answers = attempt_all(task, items, noun=noun, progress=progress, workers=workers)
    if failures := [answer for answer in answers if isinstance(answer, DatasetError)]:
        raise failure(failures, len(items), noun)
    return [answer for answer in answers if not isinstance(answer, DatasetError)]


def attempt_all(
    task: Callable[[T], R], items: Sequence[T], *, noun: str, progress: bool = False, workers: int | None = None
) -> list[R | DatasetError]:
    """Return the results or errors of a function in the order of the items, computed in threads.

    All items are tried, so that one error can name all files that fail.

    Args:
        task: Raises a `DatasetError` for a file that cannot be read.
        items: Its arguments.
        noun: What an item is, in the plural, for the progress bar.
        progress: Show a progress bar on standard error.
        workers: Number of threads; None is one per processor, 16 at most.
    """

    def attempt(item: T) -> R | DatasetError:
        try:
            return task(item)
        except DatasetError as error:
            return error

    with ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16)) as pool:
        try:
            return list(progress_bar(pool.map(attempt, items), len(items), f"reading {noun}", noun, progress))
        except BaseException:  # on Ctrl-C, do not wait for the remaining files
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def failure(failures: Sequence[DatasetError], total: int, noun: str) -> DatasetError:
    """Make one error of several."""
    listed = "\n  ".join(map(str, failures[:5])) + ("\n  ..." if len(failures) > 5 else "")
    return DatasetError(
        f"{len(failures)} of {total} {noun} cannot be read; download or unpack them again, or leave them out "
        f'(--skip-unreadable, on_error="skip"):\n  {listed}'
    )


def progress_bar(answers: Iterable[T], total: int, text: str, unit: str, progress: bool) -> Iterable[T]:
    """Wrap an iterable in a tqdm bar, or return it unchanged if ``progress`` is False."""
    if not progress:
        return answers
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(answers, total=total, desc=text, unit=f" {unit}")
    return bar


def some_of(names: Sequence[str]) -> str:
    """Join the first five names, for an error message.

    >>> some_of("abcdef"), some_of("ab")
    ('a, b, c, d, e, ...', 'a, b')
    """
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
