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
    """The paper's protocol: 300 normal + 300 abnormal images validate, as many test, and 6,614 other normals train.

    Where fewer normals are left, all of them train. Patients are drawn in an order that depends on the seed and their
    IDs only. A set too small shrinks the counts in proportion, so that at least half of the normals train;
    ``Split.protocol`` then says "reduced protocol".

    Args:
        records: Of `index_rsna`, in any order.
        seed: Which patients are drawn.
        views: ``"PA"`` as in the paper, or ``"all"``.
        count: The 300 above.
        train: The 6,614 above.

    Raises:
        DatasetError: Too little to split; says what there is, and whether ``views="all"`` would help.
        ValueError: Another view, or a count below 1.
    """
    if views not in ("PA", "all"):
        raise ValueError(f"views={views!r}: expected PA or all")
    if count < 1 or train < 1:
        raise ValueError(f"count={count}, train={train}: expected at least 1")
    unreadable = len(records.unreadable) if isinstance(records, RsnaIndex) else 0
    records = list(records)
    used = [record for record in records if views in ("all", record.view)]
    # One image per patient: the order of the patients is the order of the images.
    normal, ill = (
        [image for images in by_patient([r for r in used if r.label == label], seed) for image in images]
        for label in (0, 1)
    )
    if not _is_enough(used):
        raise DatasetError(
            f"cannot split {len(normal)} normal + {len(ill)} abnormal images (views: {views}): at least 4 + 2 are "
            f"needed. {_remedy(records, unreadable)}"
        )
    spare = len(normal) // 2  # at least half of the normals train
    share = min(Fraction(1), Fraction(spare, 2 * count), Fraction(len(ill), 2 * count))
    part = max(1, int(count * share))
    val, test = (normal[i * part : (i + 1) * part] + ill[i * part : (i + 1) * part] for i in (0, 1))
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
    """What to do about a set that has too few images of the view asked for."""
    if _is_enough(records):
        told = any(record.view for record in records)
        fault = "" if told else "No image tells its view (DICOM without ViewPosition): "
        return f'{fault}{"U" if told else "u"}se --views all (views="all")'
    return f"Download the {unreadable} images again that cannot be read" if unreadable else "Complete the download"
