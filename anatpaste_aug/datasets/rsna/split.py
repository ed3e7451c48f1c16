"""The paper's split of the RSNA challenge."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.rsna.index import RsnaIndex
from anatpaste_aug.datasets.splits import Split, by_patient

__all__ = ["split_rsna"]


def split_rsna(
    records: Iterable[Record],
    seed: int = 0,
    *,
    views: Literal["PA", "all"] = "PA",
    count: int = 300,
    train: int = 6_614,
) -> Split:
    """Split by the paper's protocol: 300 normal + 300 abnormal images each validate and test, 6,614 normal ones train.

    If fewer normal images remain, all of them train. The order of the patients depends only on the seed and their IDs.
    If the set is too small, the counts shrink in proportion, so that at least half of the normal images remain for
    training, and ``Split.protocol`` says "reduced protocol".

    Args:
        records: As returned by `index_rsna`, in any order.
        seed: Seed of the order of the patients.
        views: ``"PA"`` as in the paper, or ``"all"``.
        count: Number of normal images, and of abnormal ones, that validate; as many test.
        train: Number of normal images that train.

    Raises:
        DatasetError: There are too few images; the message says whether ``views="all"`` would help.
        ValueError: ``views`` or a count is invalid.
    """
    if views not in ("PA", "all"):
        raise ValueError(f"views={views!r}: expected PA or all")
    if count < 1 or train < 1:
        raise ValueError(f"count={count}, train={train}: expected at least 1")
    unreadable = len(records.unreadable) if isinstance(records, RsnaIndex) else 0
    records = list(records)
    used = [record for record in records if views in ("all", record.view)]
    # One image per patient: the order of the patients is the order of the images.
    normal, abnormal = (
        [image for images in by_patient([r for r in used if r.label == label], seed) for image in images]
        for label in (0, 1)
    )
    if not _is_enough(used):
        raise DatasetError(
            f"cannot split {len(normal)} normal + {len(abnormal)} abnormal images (views: {views}): at least 4 + 2 are "
            f"needed. {_remedy(records, unreadable)}"
        )
    spare = len(normal) // 2  # at least half of the normals train
    share = min(Fraction(1), Fraction(spare, 2 * count), Fraction(len(abnormal), 2 * count))
    part = max(1, int(count * share))
    val, test = (normal[i * part : (i + 1) * part] + abnormal[i * part : (i + 1) * part] for i in (0, 1))
    training = normal[2 * part : 2 * part + train]

    own = (views, count, train) != ("PA", 300, 6_614)
    text = "reduced" if part < count else "own" if own else "paper"
    text += f" protocol ({count} + {count} asked for)" if part < count else " protocol"
    text += (
        f", by patient ID, {views} views; normal + abnormal: training {len(training)} + 0 (the paper: 6614 + 0), "
        f"validation {part} + {part}, test {part} + {part}"
    )
    if views == "all":
        tally = Counter(((record.view or "view unknown"), record.label) for record in test)
        text += " (" + ", ".join(f"{v} {tally[v, 0]} + {tally[v, 1]}" for v in sorted({v for v, _ in tally})) + ")"
    train_, val_, test_ = (tuple(sorted(part, key=lambda record: record.path)) for part in (training, val, test))
    return Split("rsna", text, int(seed), train_, val_, test_)


def _is_enough(records: Iterable[Record]) -> bool:
    labels = Counter(record.label for record in records)
    return labels[0] >= 4 and labels[1] >= 2


def _remedy(records: Sequence[Record], unreadable: int) -> str:
    """Return what to do if there are too few images of a view."""
    if _is_enough(records):
        known = any(record.view for record in records)
        fault = "" if known else "No image has a view (DICOM without ViewPosition): "
        return f'{fault}{"U" if known else "u"}se --views all (views="all")'
    return f"Download the {unreadable} images again that cannot be read" if unreadable else "Complete the download"
