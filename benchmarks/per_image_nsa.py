"""NSA and Poisson blending one image at a time, with OpenCV: baselines of `throughput.py`.

`augment` is NSA as in its public code (Schlüter et al., arXiv 2109.15222; hmsch/natural-synthetic-anomalies,
``patch_ex`` with the settings of ``train_chest_xray.py``): draws, foregrounds, resizing, ``cv2.seamlessClone`` and the
target. `clone` is ``cv2.seamlessClone`` alone. Images are uint8 H×W unless stated otherwise.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from per_image import Pixels, cv2
from skimage.filters import median
from skimage.morphology import disk

Box = tuple[int, int, int, int]
Center = tuple[int, int]

_SHARES, _TRIES = (
    (0.03, 0.4),
    199,
)  # bounds of sides as fractions of the image's; the total number of tries of the authors' loops
_DISK = disk(5)


class Patch(NamedTuple):
    """One attempt: the box to cut from the donor, its resize factor, and the centers to try for its size."""

    box: Box
    factor: float
    centers: Callable[[int, int], Iterable[Center]]


def augment(image: Pixels, donor: Pixels, rng: np.random.Generator) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Paste one to three patches of the donor; return the image and the target of each pixel."""
    of_image, of_donor = foreground(image), foreground(donor)
    return paste(image, donor, of_image, of_donor, draw(rng, of_donor))


def foreground(image: Pixels) -> Pixels:
    """Mark the foreground by 1, and the background by 0."""
    return cv2.medianBlur((image > 20).astype(np.uint8), 7)


def draw(rng: np.random.Generator, of_donor: Pixels) -> Iterator[Patch]:
    """Draw the attempts of one image, without those that find nothing to cut."""
    height, width = of_donor.shape
    least, most = (tuple(round(share * side) for side in (height, width)) for share in _SHARES)
    for turn in range(3):
        if turn and rng.integers(2) == 0:
            continue
        halves = [
            int(np.clip((0.05 + rng.gamma(2, 0.03)) * side, low, high))
            for side, low, high in zip((height, width), least, most, strict=True)
        ]
        for _ in range(_TRIES):
            center = [rng.integers(low, side - low) for side, low in zip((height, width), least, strict=True)]
            top, left = (max(int(c) - half, 0) for c, half in zip(center, halves, strict=True))
            bottom, right = (
                min(int(c) + half, side) for c, half, side in zip(center, halves, (height, width), strict=True)
            )
            if of_donor[top:bottom, left:right].mean() > 0.7:
                factor = float(np.clip(rng.normal(1, 0.5), 0.7, 1.3))
                yield Patch((top, left, bottom - top, right - left), factor, _centers(rng, height, width))
                break


def _centers(rng: np.random.Generator, height: int, width: int) -> Callable[[int, int], Iterator[Center]]:
    def tried(high: int, wide: int) -> Iterator[Center]:
        for _ in range(_TRIES):
            row = rng.integers(high // 2 + 1, height - high // 2 - 1)
            yield int(row), int(rng.integers(wide // 2 + 1, width - wide // 2 - 1))

    return tried


def paste(
    image: Pixels, donor: Pixels, of_image: Pixels, of_donor: Pixels, patches: Iterable[Patch]
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Clone patches one after the other; return the result and the target."""
    result, shape = image, np.zeros_like(image)
    for patch in patches:
        top, left, high, wide = patch.box
        cut = np.s_[top : top + high, left : left + wide]
        high, wide = _resized(high, wide, patch.factor, image.shape)
        theirs = cv2.resize(of_donor[cut], (wide, high))
        if (high - 2) * (wide - 2) < 50 or theirs.mean() <= 0.7:
            continue
        place = _place(theirs, of_image, patch.centers(high, wide))
        if place is None:
            continue
        top, left = place
        mask = np.pad(np.full((high - 2, wide - 2), 255, np.uint8), 1)
        pasted, onto = (_in_three_channels(part) for part in (cv2.resize(donor[cut], (wide, high)), result))
        center = (left + wide - wide // 2, top + high // 2)
        result = cv2.seamlessClone(pasted, onto, mask, center, cv2.MIXED_CLONE)[..., 0]
        there = np.s_[top : top + high, left : left + wide]
        shape[there] = theirs | of_image[there]
    return result, _target(image, result, shape)


def _resized(height: int, width: int, factor: float, shape: tuple[int, ...]) -> tuple[int, int]:
    least, most = (tuple(round(share * side) for side in shape) for share in _SHARES)
    new_h = np.clip(factor * height, least[0], most[0])
    new_w = np.clip(int(new_h / height * width), least[1], most[1])
    return int(np.clip(int(new_w / width * height), least[0], most[0])), int(new_w)


def _place(theirs: Pixels, of_image: Pixels, centers: Iterable[Center]) -> tuple[int, int] | None:
    """Find the first place at which enough of the patch's foreground falls on foreground."""
    (high, wide), enough = theirs.shape, 0.7 * theirs.sum()
    for row, column in centers:
        top, left = row - high // 2, column - wide // 2
        if (theirs & of_image[top : top + high, left : left + wide]).sum() > enough:
            return top, left
    return None


def _in_three_channels(image: Pixels) -> Pixels:
    """Add two empty channels, because OpenCV only clones three."""
    return np.dstack([image, np.zeros_like(image), np.zeros_like(image)])


def _target(image: Pixels, result: Pixels, shape: Pixels) -> npt.NDArray[np.float64]:
    change = np.abs(image.astype(float) - result)
    changed = cv2.medianBlur((shape * change > 1).astype(np.uint8), 5)
    return changed / (1 + np.exp(-(median(changed * change, _DISK) - 4) / 2))


def boxes(count: int, height: int, width: int) -> npt.NDArray[np.int64]:
    """Make boxes like AnatPaste's patches, N×4: 2 to 15 % of the area, aspect ratio 0.3 to 1/0.3; deterministic."""
    rng = np.random.default_rng(0)
    area = rng.uniform(0.02, 0.15, count) * height * width
    ratio = np.exp(rng.uniform(math.log(0.3), -math.log(0.3), count))
    sides = np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], 1).round().astype(np.int64)
    sides = sides.clip(4, [height, width])
    return np.concatenate([rng.integers(0, [height, width] - sides + 1), sides], 1)


def cloned(given: npt.NDArray[np.int64], height: int, width: int) -> tuple[npt.NDArray, npt.NDArray[np.float32]]:
    """Return what `clone` solves: the inner boxes, and the weights N×1×H×W of the source's differences.

    OpenCV clears the mask's outermost pixels, and erodes it three times by 3×3 for the weights.
    """
    inner = given + np.array([1, 1, -2, -2])
    weights = np.zeros((len(given), 1, height, width), np.float32)
    for weight, (top, left, high, wide) in zip(weights, inner, strict=True):
        weight[0, top + 3 : top + high - 3, left + 3 : left + wide - 3] = 1
    return inner, weights


def clone(target: Pixels, source: Pixels, box: npt.NDArray[np.int64], guidance: str) -> Pixels:
    """Blend the source's box into the target; images H×W×3, as OpenCV requires."""
    top, left, height, width = (int(edge) for edge in box)
    mask, center = np.full((height, width), 255, np.uint8), (left + width // 2, top + height // 2)
    mode = cv2.NORMAL_CLONE if guidance == "source" else cv2.MIXED_CLONE
    return cv2.seamlessClone(source[top : top + height, left : left + width], target, mask, center, mode)
