"""Phantoms as a detection task."""

from anatpaste_aug.datasets.phantom.radiograph import FINDINGS, phantom_batch
from anatpaste_aug.datasets.subsets import DetectionTask, Subset

__all__ = ["phantom_task"]


def phantom_task(size: int, *, train: int = 400, val: int = 100, test: int = 200, seed: int = 0) -> DetectionTask:
    """Draw synthetic radiographs; half of the validation and test images are abnormal.

    Args:
        size: Side of the images in pixels.
        train: Number of normal training images.
        val: Number of validation images.
        test: Number of test images.
        seed: Seed of the subjects; no subject is in two sets.

    Example:
        >>> phantom_task(32, train=4, val=2, test=2).counts()["training, normal"]
        4
    """
    parts = []
    for part, (name, count, abnormal) in enumerate((("train", train, 0.0), ("val", val, 0.5), ("test", test, 0.5))):
        batch = phantom_batch(count, size=size, abnormal=abnormal, seed=3 * seed + part)
        names = tuple(
            f"{name}-{i:04d}" + (f"-{finding}" if finding else "") for i, finding in enumerate(batch.findings)
        )
        findings = tuple((finding,) if finding else () for finding in batch.findings)
        parts.append(Subset(batch.images, batch.labels, names, findings, (None,) * count))
    return DetectionTask(
        name="phantoms (synthetic)",
        protocol=f"{train} normal phantoms train, {val} validate and {test} test, half of these abnormal; seed {seed}",
        note="Synthetic phantom radiographs: these figures show that the pipeline works, nothing about real images.",
        train=parts[0],
        val=parts[1],
        test=parts[2],
        findings=FINDINGS,
    )
