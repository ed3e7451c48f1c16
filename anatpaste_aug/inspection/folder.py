"""Names in portions, and a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["batches", "progress_bar"]


def batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Portions of ``size`` names, the last one perhaps shorter."""
    return (names[start : start + size] for start in range(0, len(names), size))


@contextmanager
def progress_bar(total: int, wanted: bool) -> Iterator[Callable[[int], object]]:
    """A function that says how many more images are done, on standard error."""
    if not wanted:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="checking", unit="image") as bar:
        yield bar.update
