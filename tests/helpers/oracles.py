"""Oracles of the tests: the paper's steps by scikit-image, SciPy and Pillow, one image at a time."""

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.exposure import equalize_adapthist
from skimage.exposure._adapthist import clip_histogram
from skimage.filters import threshold_otsu
from skimage.morphology import dilation, opening
from skimage.segmentation import clear_border

from anatpaste_aug import PasteParams

SQUARE = np.ones((3, 3), dtype=bool)


def lungs(image, min_size=400):
    """Algorithm 1 as the paper words it, every component 8-connected: boolean H×W of an H×W image."""
    equalized = equalize_adapthist(image, clip_limit=0.01)
    dark = opening(equalized <= threshold_otsu(equalized), SQUARE)
    # scikit-image's clear_border labels 8-connected.
    return remove_small(dilation(clear_border(dark), SQUARE), min_size * image.size / 256**2)


def lungs_of_batch(images):
    """Boolean B×1×H×W of a B×1×H×W tensor."""
    return torch.from_numpy(np.stack([lungs(image) for image in images[:, 0].numpy()])).unsqueeze(1)


def clear_border_8(mask):
    labels, _ = ndimage.label(mask, structure=SQUARE)
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return mask & ~np.isin(labels, edges[edges > 0])


def remove_small(mask, min_size):
    labels, _ = ndimage.label(mask, structure=SQUARE)
    return mask & (np.bincount(labels.ravel()) >= min_size)[labels]


def iou(first, second):
    """Intersection over union of each pair of masks; two empty ones count as 1."""
    first, second = (torch.as_tensor(mask).flatten(1) for mask in (first, second))
    union = (first | second).sum(1)
    return torch.where(union > 0, (first & second).sum(1) / union.clamp_min(1), 1.0)


def drawn_shape(height, width, top, bottom, left, right, ellipse):
    """An ellipse or rectangle with both ends included, as Pillow draws it: boolean H×W."""
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    (draw.ellipse if ellipse else draw.rectangle)((left, top, right, bottom), fill=1)
    return np.asarray(canvas) > 0


def smooth_images(count, height, width, channels=1, seed=0):
    """uint8 B×C×H×W images of smooth noise, most of them with two dark fields inside, as a chest has."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((count, channels, height, width)), (0, 0, 9, 9), mode="wrap")
    noise = noise / noise.std() + 0.15 * rng.standard_normal(noise.shape)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    noise -= 2.5 * ((y / 0.6) ** 2 + ((abs(x) - 0.45) / 0.3) ** 2 < 1)
    low, high = noise.min((1, 2, 3), keepdims=True), noise.max((1, 2, 3), keepdims=True)
    return torch.from_numpy(((noise - low) / (high - low) * 255).round().astype(np.uint8))


def resized(images, height, width):
    """uint8 B×1×H×W tensor at another size, by Pillow."""
    arrays = images[:, 0].numpy()
    pictures = [Image.fromarray(array).resize((width, height), Image.Resampling.BILINEAR) for array in arrays]
    return torch.from_numpy(np.stack(pictures)).unsqueeze(1)


def bits(tensor):
    """The bit patterns of a tensor: unlike ==, they distinguish 0 from −0, and NaN equals itself."""
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(integers[tensor.element_size()])


def plain_params(count=1, **changes):
    """Parameters without color jitter: a 40×40 patch from the corner onto the middle of a 64×64 image, unless changed.

    A change is one value for all images, or one per image. ``center_y`` and ``center_x`` stand for ``top`` and
    ``left``; the size after resizing is the size before it, unless changed.
    """
    one, whole, yes = torch.ones(count), torch.ones(count, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
    fields = {
        "apply": yes,
        "donor": torch.arange(count),
        "source_top": 0 * whole,
        "source_left": 0 * whole,
        "height": 40 * whole,
        "width": 40 * whole,
        "scaled_height": None,
        "scaled_width": None,
        "angle": 0 * one,
        "top": None,
        "left": None,
        "ellipse": ~yes,
        "margin": 10 * whole,
        "opacity": one,
        "sigma": 0 * one,
        "brightness": one,
        "contrast": one,
        "saturation": one,
        "hue": 0 * one,
        "jitter_order": torch.arange(4).expand(count, 4),
        "anywhere": ~yes,
        "fallback": ~yes,
    }
    fields |= {"center_y": 32 * whole, "center_x": 32 * whole}
    for name, value in changes.items():
        like = whole if fields[name] is None else fields[name]
        fields[name] = torch.as_tensor(value).to(like.dtype).expand_as(like).clone()
    for side, scaled, start, center in (
        ("height", "scaled_height", "top", "center_y"),
        ("width", "scaled_width", "left", "center_x"),
    ):
        fields[scaled] = fields[side] if fields[scaled] is None else fields[scaled]
        middle = fields.pop(center)
        fields[start] = middle - fields[scaled] // 2 if fields[start] is None else fields[start]
    return PasteParams(**{name: field.unsqueeze(1) for name, field in fields.items()})


def redistributed(hist, limit):
    """The excess of B×256 histograms handed out again by scikit-image."""
    return np.stack([clip_histogram(row.astype(np.int64), limit) for row in hist])


def filled_up():
    """A histogram at a limit of 163 whose excess is 10 a bin: 142 becomes 152, but 143 and more become 163."""
    hist = np.zeros(256, dtype=np.int32)
    hist[100:231], hist[[3, 50, 51, 52, 255]] = 99, (163 + 2600, 142, 143, 144, 163)
    return hist, 163


@st.composite
def tile_histograms(draw):
    """Histograms that a tile can have at a clip limit of 0.01, with bins filled in bulk, in strides and one by one.

    Images of 64, 256, 1024 and 2048 px have limits of 1, 10, 163 and 655.
    """
    limit = draw(st.integers(1, 12) | st.sampled_from([163, 655]))
    area = draw(st.integers(16 if limit == 1 else 100 * limit, 100 * limit + 99))
    order = draw(st.permutations(range(256))) if draw(st.booleans()) else list(range(256))
    stride, phase = draw(st.integers(1, 130)), draw(st.integers(0, 255))
    order.sort(key=lambda bin_: (bin_ - phase) % stride)
    hist, left = np.zeros(256, dtype=np.int32), area
    excess = draw(st.integers(0, min(60, area)) | st.integers(0, area))
    for bin_ in order[: draw(st.integers(1, 256))]:
        count = min(limit, left - excess)
        hist[bin_], left = count, left - count
    for share in (left // 2, left - left // 2):
        hist[order[draw(st.integers(0, 256 - 1))]] += share
    return hist, limit
