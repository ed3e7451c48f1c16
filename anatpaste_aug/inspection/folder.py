"""Names in batches, and a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["batches", "progress_bar"]


def batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Split names into batches of ``size``; the last one may be shorter."""
    return (names[start : start + size] for start in range(0, len(names), size))


@contextmanager
def progress_bar(total: int, wanted: bool) -> Iterator[Callable[[int], object]]:
    """Yield a function that advances a progress bar on standard error by a number of images."""
    if not wanted:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="checking", unit="image") as bar:
        yield bar.update
