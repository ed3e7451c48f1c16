"""The baselines of `throughput.py`: one image at a time, in worker processes.

`segment` and `paste` are the augmentation as described in the paper (Sato et al., arXiv 2205.04282), in scikit-image,
Pillow and torchvision, each step by the function that these libraries recommend. It is a fair baseline: on 150
radiographs of 256 px its masks equal those of `anatpaste_aug` pixel for pixel, and with recorded parameters and masks
its results equal the authors' pixel for pixel (tests/benchmarks/test_baselines.py, if that data is present).
`segment_opencv` uses OpenCV; its CLAHE is defined differently, so its masks are only similar.
"""

import inspect
import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from skimage.exposure import equalize_adapthist
from skimage.filters import threshold_otsu
from skimage.morphology import dilation, opening, remove_small_objects
from skimage.segmentation import clear_border
from torchvision.transforms import ColorJitter

try:
    import cv2
except ImportError:  # optional: measured if installed
    cv2 = None

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]

_SQUARE = np.ones((3, 3), np.uint8)
# scikit-image 0.26 changed the name and meaning of the limit.
_BY_LARGEST_DROPPED = "max_size" in inspect.signature(remove_small_objects).parameters


class Draw(NamedTuple):
    """The random numbers of one augmentation, lengths in pixels."""

    height: int
    width: int
    source_top: int
    source_left: int
    center_y: int
    center_x: int
    ellipse: bool
    margin: int
    value: int  # of 255
    sigma: float
    anywhere: bool = False


def segment(image: Image.Image) -> Mask:
    """Run Algorithm 1 of the paper."""
    equalized = equalize_adapthist(np.asarray(image.convert("L")), clip_limit=0.01)
    dark = equalized <= threshold_otsu(equalized)
    lungs = dilation(clear_border(opening(dark, _SQUARE)), _SQUARE)
    smallest = _smallest(image.height, image.width)
    limit = {"max_size": smallest - 1} if _BY_LARGEST_DROPPED else {"min_size": smallest}
    return remove_small_objects(lungs, connectivity=2, **limit)


def segment_opencv(image: Image.Image) -> Mask:
    """Run Algorithm 1 with OpenCV."""
    gray = np.asarray(image.convert("L"))
    equalized = cv2.createCLAHE(clipLimit=2.56, tileGridSize=(8, 8)).apply(gray)  # 0.01 of a tile, in 256ths
    _, dark = cv2.threshold(equalized, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    dark = cv2.morphologyEx(dark, cv2.MORPH_OPEN, _SQUARE)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    left, top, width, height = stats[:, :4].T
    keep = (left > 0) & (top > 0) & (left + width < image.width) & (top + height < image.height)
    keep[0] = False  # the background
    lungs = cv2.dilate(keep.astype(np.uint8)[labels], _SQUARE)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lungs, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= _smallest(image.height, image.width)
    keep[0] = False
    return keep[labels]


def _smallest(height: int, width: int) -> int:
    return math.ceil(400 * height * width / 256**2)


def draw(rng: np.random.Generator, lungs: Mask) -> Draw:
    """Draw one augmentation, with the authors' constants."""
    height, width = lungs.shape
    scale = math.sqrt(height * width) / 256
    area = rng.uniform(0.02, 0.15) * height * width
    aspect = math.exp(rng.uniform(math.log(0.3), -math.log(0.3)))
    patch_h = min(max(round(math.sqrt(area * aspect)), 1), height)
    patch_w = min(max(round(math.sqrt(area / aspect)), 1), width)
    inside = np.flatnonzero(lungs)
    center = int(inside[rng.integers(len(inside))]) if len(inside) else int(rng.integers(height * width))
    return Draw(
        height=patch_h,
        width=patch_w,
        source_top=int(rng.integers(height - patch_h + 1)),
        source_left=int(rng.integers(width - patch_w + 1)),
        center_y=center // width,
        center_x=center % width,
        ellipse=bool(rng.random() < 0.5),
        margin=round(10 * scale),
        value=round(255 * rng.uniform(0.59, 1)),
        sigma=rng.uniform(0, 15) * scale,
        anywhere=not len(inside),
    )


def paste(image: Image.Image, lungs: Mask, d: Draw, jitter: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Compute X_normal · (1 − X_mask) + X_paste · X_mask."""
    left, top = d.center_x - d.width // 2, d.center_y - d.height // 2
    crop = image.crop((d.source_left, d.source_top, d.source_left + d.width, d.source_top + d.height))
    pasted = Image.new(image.mode, image.size)
    pasted.paste(jitter(crop), (left, top))
    reach_x, reach_y = max(d.width // 2 - d.margin, 0), max(d.height // 2 - d.margin, 0)
    box = (d.center_x - reach_x, d.center_y - reach_y, d.center_x + reach_x, d.center_y + reach_y)
    shape = Image.new("L", image.size)
    pen = ImageDraw.Draw(shape)
    (pen.ellipse if d.ellipse else pen.rectangle)(box, fill=d.value)
    shape = shape.filter(ImageFilter.GaussianBlur(d.sigma))
    if not d.anywhere:
        shape = ImageChops.multiply(shape, Image.fromarray(lungs.view(np.uint8) * np.uint8(255)))
    return Image.composite(pasted, image, shape)


@cache
def color_jitter(mode: str) -> ColorJitter:
    """Jitter brightness and contrast, and saturation and hue of color images."""
    return ColorJitter(0.1, 0.1) if mode == "L" else ColorJitter(0.1, 0.1, 0.1, 0.1)


def augment(image: Image.Image, rng: np.random.Generator, lungs: Mask | None = None) -> Image.Image:
    """Run the whole pipeline on one image; a given ``lungs`` replaces the segmentation."""
    lungs = segment(image) if lungs is None else lungs
    return paste(image, lungs, draw(rng, lungs), color_jitter(image.mode))


def to_pil(pixels: Pixels) -> Image.Image:
    """Convert C×H×W to a Pillow image."""
    return Image.fromarray(pixels[0].copy() if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, 2)))
