"""Images and masks as short recipes: they can be read in a failure, and written down as an example.

Pixels come from a seed and the name of a kind, because drawing every number by itself would be slow.
"""

from dataclasses import dataclass

import numpy as np
import torch

LAYOUTS = ("contiguous", "channels last", "transposed", "strided", "expanded", "offset")
KINDS = (
    "black",
    "white",
    "gray",
    "noise",
    "chest",
    "inverted",
    "at the border",
    "one pixel",
    "two levels",
    "ramp",
    "nearly constant",
    "stripes",
    "checkers",
)
MASKS = ("empty", "full", "one pixel", "corners", "frame", "sparse", "dense", "halves", "stripes")


def _field(y, x, height, width):
    """The two lungs of a chest."""
    return (y / (0.6 * height)) ** 2 + ((abs(x) - 0.45) / (0.3 * width)) ** 2 < 1


def _picture(kind, height, width, rng):
    """float64 H×W in [0, 1]."""
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    image = np.zeros((height, width))
    if kind in ("white", "gray"):
        image += 1 if kind == "white" else rng.random()
    elif kind == "noise":
        image += rng.random(image.shape)
    elif kind in ("chest", "inverted", "at the border"):
        image += np.where(_field(y, x, 1.8 if kind == "at the border" else 1, rng.uniform(0.5, 1)), 0.2, 0.7)
        image += 0.2 * rng.random(image.shape)
        image = 1 - image if kind == "inverted" else image
    elif kind == "one pixel":
        image += 0.8
        image[rng.integers(height), rng.integers(width)] = 0
    elif kind == "two levels":
        image += rng.random(image.shape) < 0.3
    elif kind == "ramp":
        image += (y + x + 2) / 4
    elif kind == "nearly constant":
        image += 0.5
        image[rng.integers(height), rng.integers(width)] += rng.choice([1 / 255, 1e-6, 1e-12])
    elif kind in ("stripes", "checkers"):
        step = rng.integers(1, 6)
        rows, columns = np.ogrid[:height, :width]
        image += (rows // step + (columns // step if kind == "checkers" else 0)) % 2
    return image.clip(0, 1)


def _mask(kind, height, width, rng):
    mask = np.zeros((height, width), dtype=bool)
    if kind == "full":
        mask[:] = True
    elif kind == "one pixel" and mask.size:
        mask[rng.integers(height), rng.integers(width)] = True
    elif kind == "corners" and mask.size:
        mask[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    elif kind == "frame":
        mask[:1] = mask[-1:] = mask[:, :1] = mask[:, -1:] = True
    elif kind in ("sparse", "dense"):
        mask = rng.random(mask.shape) < (0.05 if kind == "sparse" else 0.55)
    elif kind == "halves":
        mask[:, : width // 3] = mask[:, width - width // 3 :] = True
    elif kind == "stripes":
        mask[:: rng.integers(2, 5)] = True
    return mask


def laid_out(tensor, layout):
    """The same values in another memory layout; "expanded" repeats the first image."""
    if layout == "channels last" and tensor.ndim == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return tensor.mT.contiguous().mT
    if layout == "strided":
        wide = torch.stack([tensor, torch.ones_like(tensor)], -1)
        return wide[..., 0]
    if layout == "expanded":
        return tensor[:1].expand_as(tensor)
    if layout == "offset":
        flat = torch.cat([tensor.new_zeros(3), tensor.flatten()])
        return flat[3:].view(tensor.shape)
    return tensor


@dataclass(frozen=True)
class Batch:
    """A recipe of B×C×H×W images of one kind each."""

    size: tuple[int, int]
    kinds: tuple[str, ...]
    channels: int = 1
    dtype: torch.dtype = torch.float32
    layout: str = "contiguous"
    seed: int = 0

    def __len__(self):
        return len(self.kinds)

    def images(self):
        """uint8, or floating point in [0, 1]; colored if there are three channels and the seed is odd."""
        rng = np.random.default_rng(self.seed)
        out = np.empty((len(self), self.channels, *self.size))
        for image, kind in zip(out, self.kinds, strict=True):
            image[:] = _picture(kind, *self.size, rng)
            if self.channels == 3 and self.seed % 2:
                image *= rng.random((3, 1, 1))
        tensor = torch.from_numpy(out)
        tensor = (tensor * 255).round().byte() if self.dtype == torch.uint8 else tensor.to(self.dtype)
        return laid_out(tensor, self.layout)


@dataclass(frozen=True)
class Masks:
    """A recipe of boolean B×H×W masks of one kind each."""

    size: tuple[int, int]
    kinds: tuple[str, ...]
    layout: str = "contiguous"
    seed: int = 0

    def masks(self):
        rng = np.random.default_rng(self.seed)
        out = np.stack([np.zeros(self.size, bool), *(_mask(kind, *self.size, rng) for kind in self.kinds)])[1:]
        return laid_out(torch.from_numpy(out), self.layout)
