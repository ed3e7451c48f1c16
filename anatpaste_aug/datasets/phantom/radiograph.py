"""Synthetic frontal chest radiographs, normal and abnormal, for tests and examples without data.

An image is modeled like an exposure: tissue and bone add up to a density, the air in the lungs is subtracted, and an
exposure converts the result to gray levels. A finding only replaces *air* in the lungs, after everything else about the
subject is drawn, so that a normal and an abnormal phantom differ in nothing but the pathology.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from anatpaste_aug.datasets.phantom.anatomy import (
    Chest,
    Film,
    Frame,
    Map,
    ribs,
    rim,
    shoulder_bones,
    smooth_noise,
    soft_tissue,
    spine,
    step,
)

__all__ = ["FINDINGS", "Phantom", "PhantomBatch", "phantom_batch", "phantom_radiograph"]

FINDINGS = ("opacity", "effusion", "nodules", "cardiomegaly")
"""The findings that a phantom can have."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic radiograph.

    Attributes:
        image: H×W uint8; 0 is black.
        lungs: H×W boolean mask of the lung fields, which does not depend on the finding.
        finding: One of `FINDINGS`, or None.
        finding_mask: H×W boolean mask of exactly the pixels that the finding changed.
    """

    image: npt.NDArray[np.uint8]
    lungs: npt.NDArray[np.bool_]
    finding: str | None
    finding_mask: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PhantomBatch:
    """Synthetic radiographs, on the CPU.

    Attributes:
        images: N×1×H×W uint8.
        labels: N int64; 0 is normal, 1 abnormal.
        findings: N names from `FINDINGS`; "" for normal images.
        lungs: N×1×H×W boolean, see `Phantom`.
        finding_masks: N×1×H×W boolean, see `Phantom`.
    """

    images: torch.Tensor
    labels: torch.Tensor
    findings: tuple[str, ...]
    lungs: torch.Tensor
    finding_masks: torch.Tensor


def phantom_radiograph(seed: int, *, size: int = 256, finding: str | None = None) -> Phantom:
    """Draw one subject; the same seed gives the same image, and global random states are not changed.

    The seed determines the subject: size, posture, bones, exposure, sharpness, side marker and collimation are the same
    with and without a finding and, except for the film grain, at every size.

    Args:
        seed: Seed of the subject, an integer ≥ 0.
        size: Height and width in pixels, ≥ 32.
        finding: One of `FINDINGS`, or None for a normal subject.

    Raises:
        ValueError: The seed is negative, the size is below 32, or the finding is unknown.

    Example:
        >>> normal, ill = phantom_radiograph(7, size=64), phantom_radiograph(7, size=64, finding="effusion")
        >>> normal.image.shape, normal.image.dtype
        ((64, 64), dtype('uint8'))
        >>> bool(((normal.image != ill.image) == ill.finding_mask).all())
        True
    """
    _check(seed, size)
    if finding is not None and finding not in FINDINGS:
        raise ValueError(f"finding is {finding!r}; use one of {', '.join(FINDINGS)}, or None for a normal subject")
    body, shot, disease = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    frame = Frame(body, size)
    chest = Chest(body, frame)
    inside = chest.inside()
    tissue = soft_tissue(body, frame, chest)
    solid = tissue + spine(body, frame) + ribs(body, frame, chest, inside)
    solid += shoulder_bones(body, frame) * (tissue > 0)
    air = chest.air(body, inside)
    film = Film(shot, size)
    image = film.expose(solid - air)
    changed = np.zeros(image.shape, np.bool_)
    if finding is not None:
        healthy = image
        image = film.expose(solid - air * (1 - _DISEASES[finding](disease, chest, inside)))
        changed = image != healthy
    return Phantom(image, inside > 0, finding, changed)


def phantom_batch(count: int, *, size: int = 256, abnormal: float = 0.0, seed: int = 0) -> PhantomBatch:
    """Draw ``count`` subjects, of which round(count · abnormal) are abnormal, spread evenly over the batch.

    The findings alternate in the order of `FINDINGS`. Subject i depends only on ``seed``, ``abnormal``, ``size`` and i,
    so that a longer batch begins with the shorter one.

    Args:
        count: Number of subjects, ≥ 1.
        size: Height and width in pixels, ≥ 32.
        abnormal: Abnormal fraction, 0 to 1.
        seed: Seed of the batch, an integer ≥ 0.

    Raises:
        ValueError: ``count``, ``size``, ``abnormal`` or ``seed`` is out of range.

    Example:
        >>> batch = phantom_batch(4, size=32, abnormal=0.5)
        >>> batch.images.shape, batch.labels.tolist(), batch.findings
        (torch.Size([4, 1, 32, 32]), [0, 1, 1, 0], ('', 'opacity', 'effusion', ''))
    """
    _check(seed, size)
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count is {count!r}; ask for at least 1 phantom")
    if not 0 <= abnormal <= 1:
        raise ValueError(f"abnormal is {abnormal!r}; give the abnormal fraction, between 0 and 1")
    subjects = []
    for i in range(count):
        sick = round(i * abnormal)  # number of abnormal ones before this one
        finding = FINDINGS[sick % len(FINDINGS)] if round((i + 1) * abnormal) > sick else None
        subject = int(np.random.SeedSequence((seed, i)).generate_state(1, np.uint64)[0])
        subjects.append(phantom_radiograph(subject, size=size, finding=finding))
    images, lungs, masks = (
        torch.from_numpy(np.stack([getattr(p, name) for p in subjects])[:, None])
        for name in ("image", "lungs", "finding_mask")
    )
    labels = torch.tensor([int(p.finding is not None) for p in subjects])
    return PhantomBatch(images, labels, tuple(p.finding or "" for p in subjects), lungs, masks)


def _check(seed: int, size: int) -> None:
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}; use an integer from 0 up")
    if not isinstance(size, int) or size < 32:
        raise ValueError(f"size is {size!r}; use an integer from 32 up, the side of the image in pixels")


def _places(rng: np.random.Generator, chest: Chest, count: int, sides: tuple[int, ...]) -> list[tuple[float, float]]:
    """Return (x, y) of random places well inside the lungs of these ``sides``."""
    v, t = rng.uniform(0.15, 0.75, count).astype(np.float32), rng.uniform(0.2, 0.8, count).astype(np.float32)
    side = rng.choice(sides, count).astype(np.float32)
    inner, outer = chest.mediastinum(v, side), chest.cage(v)
    x, y = side * (inner + t * (outer - inner)) * chest.frame.width, v * chest.frame.height
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _opacity(rng: np.random.Generator, chest: Chest, inside: Map) -> Map:
    """Return the fraction of the air that one to three ragged consolidations in one lung replace."""
    f, fill = chest.frame, np.zeros_like(inside)
    ragged = 0.25 * smooth_noise(rng, f.size, 12) + 0.15 * smooth_noise(rng, f.size, 30)
    for x, y in _places(rng, chest, int(rng.integers(1, 4)), ((-1, 1)[rng.integers(2)],)):
        radius, stretch = rng.uniform(0.06, 0.14), rng.uniform(0.6, 1.5)
        distance = np.sqrt(np.square((f.x - x) * stretch) + np.square(f.y - y)) * (1 / radius)
        blob = step(1 - distance + ragged * np.clip(distance, 0, 1), 0.8)
        fill = np.maximum(fill, rng.uniform(0.4, 0.85) * blob)
    return fill


def _effusion(rng: np.random.Generator, chest: Chest, inside: Map) -> Map:
    """Return the fraction of the air that fluid above one half of the diaphragm replaces, higher at the chest wall."""
    f, side = chest.frame, (-1, 1)[rng.integers(2)]
    wall = np.square(np.square(np.clip(f.u, 0, 1.1)))
    surface = 1 - rng.uniform(0.08, 0.45) - rng.uniform(0.12, 0.3) * wall
    fluid: Map = step(f.v - surface, 0.1) * (f.side == side)
    return rng.uniform(0.7, 0.95) * fluid


def _nodules(rng: np.random.Generator, chest: Chest, inside: Map) -> Map:
    """Return the fraction of the air that several small balls in both lungs replace."""
    f, fill = chest.frame, np.zeros_like(inside)
    for x, y in _places(rng, chest, int(rng.integers(5, 12)), (-1, 1)):
        ball = 1 - (np.square(f.x - x) + np.square(f.y - y)) * (1 / rng.uniform(0.014, 0.03) ** 2)
        fill = np.maximum(fill, rng.uniform(0.35, 0.7) * np.clip(ball, 0, 1))
    return fill


def _cardiomegaly(rng: np.random.Generator, chest: Chest, inside: Map) -> Map:
    """Return the fraction of the air that an enlarged heart displaces."""
    before, after = rim(inside), rim(chest.inside(rng.uniform(0.3, 0.7)))
    return 1 - after / np.clip(before, 1e-6, None)


_DISEASES = {"opacity": _opacity, "effusion": _effusion, "nodules": _nodules, "cardiomegaly": _cardiomegaly}
