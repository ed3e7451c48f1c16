"""Strategies for images, masks, parameters, settings and anything else that is passed."""

from dataclasses import dataclass

import numpy as np
import torch
from fuzz.images import KINDS, LAYOUTS, MASKS, Batch, Masks
from hypothesis import strategies as st

from anatpaste_aug.paste import PasteParams
from anatpaste_aug.paste.params import rotated_size

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
IMAGE_DTYPES = (torch.uint8, *FLOATS)
FOREIGN_DTYPES = (
    torch.bool,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.uint32,
    torch.complex64,
    torch.float8_e4m3fn,
)


def region_for(images, kind, seed=0):
    """Boolean B×1×H×W of one kind, or None for "none"."""
    if kind == "none":
        return None
    return Masks(tuple(images.shape[-2:]), (kind,) * len(images), seed=seed).masks().unsqueeze(1)


@dataclass(frozen=True)
class Way:
    """A way to paste: the choices of `anatpaste_aug.functional.paste`, and the largest number of patches."""

    hard: bool = False
    beyond: str = "black"
    blend: str = "alpha"
    jittered: bool = True
    rotated: bool = False
    resized: bool = False
    patches: int = 1

    def choices(self):
        return {name: value for name, value in vars(self).items() if name != "patches"}


def _mixed(rng, count, low, high, *extremes):
    """Uniform numbers, among them extreme ones."""
    values = rng.uniform(low, high, count)
    return np.where(rng.random(count) < 0.3, rng.choice(extremes, count), values)


def rows(seed, count, height, width, way=None, donors=None):
    """`PasteParams` of any kind that fits images of this size, not only those that the sampler draws.

    They are possible for the way to paste, and cut from ``donors`` images, or each image from itself.
    """
    way = way or Way()
    rng, shape = np.random.default_rng(seed), (count, way.patches)

    def whole(values):
        return torch.from_numpy(np.broadcast_to(values, shape).astype(np.int64))

    def mixed(low, high, *extremes):
        return _mixed(rng, shape, low, high, *extremes)

    def real(low, high, *extremes):
        return torch.from_numpy(mixed(low, high, *extremes).astype(np.float32))

    def truth(share):
        return torch.from_numpy(rng.random(shape) < share)

    patch_h, patch_w = whole(mixed(1, height + 1, 1, height)), whole(mixed(1, width + 1, 1, width))
    scaled_h = whole(mixed(1, height + 1, 1, height)) if way.resized else patch_h
    scaled_w = whole(mixed(1, width + 1, 1, width)) if way.resized else patch_w
    angle = real(-180, 180, 0, 90, -90, 180, 45) if way.rotated else torch.zeros(shape)
    high, wide = rotated_size(scaled_h, scaled_w, angle)
    still = torch.ones(shape)
    return PasteParams(
        apply=truth(0.8),
        donor=whole(np.arange(count)[:, None] if donors is None else rng.integers(0, donors, shape)),
        source_top=whole(rng.integers(0, height - patch_h.numpy() + 1)),
        source_left=whole(rng.integers(0, width - patch_w.numpy() + 1)),
        height=patch_h,
        width=patch_w,
        scaled_height=scaled_h,
        scaled_width=scaled_w,
        angle=angle,
        top=whole(mixed(0, height, 0, height - 1)) - high // 2,
        left=whole(mixed(0, width, 0, width - 1)) - wide // 2,
        ellipse=truth(0.5),
        margin=whole(mixed(0, 12, 0, 2**40)),
        opacity=real(0, 1, 1, 1e-30, 1e-6),
        sigma=real(0, 6, 0, 1e-30, 0.1, 1e4, 1e30),
        brightness=real(0.5, 1.5, 0, 1, 2) if way.jittered else still,
        contrast=real(0.5, 1.5, 0, 1, 2) if way.jittered else still,
        saturation=real(0.5, 1.5, 0, 1, 2) if way.jittered else still,
        hue=real(-0.5, 0.5, -0.5, 0, 0.5) if way.jittered else 0 * still,
        jitter_order=torch.from_numpy(rng.permuted(np.tile(np.arange(4), (*shape, 1)), axis=2)),
        anywhere=truth(0.2),
        fallback=truth(0.0),
    )


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def donors_for(images):
    """Two images to cut from, like those of the batch."""
    high = 255 if images.dtype == torch.uint8 else 1
    drawn = torch.rand((2, *images.shape[1:]), generator=seeded(images.shape[-1]), dtype=torch.float64)
    return (drawn * high).to(images.dtype)


seeds = st.integers(0, 2**32 - 1)
sizes = st.one_of(
    st.tuples(st.integers(32, 48), st.integers(32, 48)),
    st.sampled_from([(32, 32), (33, 47), (40, 40), (64, 33), (32, 129), (250, 32), (32, 1024), (1024, 32)]),
)


def batches(dtypes=IMAGE_DTYPES, channels=(1, 3), least=0, sizes=sizes, kinds=KINDS, layouts=LAYOUTS):
    """Recipes of images."""
    return st.builds(
        Batch,
        size=sizes,
        kinds=st.lists(st.sampled_from(kinds), min_size=least, max_size=3).map(tuple),
        channels=st.sampled_from(channels),
        dtype=st.sampled_from(dtypes),
        layout=st.sampled_from(layouts),
        seed=seeds,
    )


small_sizes = st.sampled_from([(32, 32), (33, 47), (40, 32)])
small_batches = batches(sizes=small_sizes)
mask_kinds = st.sampled_from(MASKS)
region_kinds = st.sampled_from(("none", *MASKS))


BLENDS = ("alpha", "poisson", "poisson_stronger", "poisson_mixed")
BEYOND = ("black", "source", "edge")
RECIPES = (
    Way(),  # AnatPaste
    Way(beyond="source"),
    Way(beyond="edge", patches=3),
    Way(hard=True),  # CutPaste
    Way(hard=True, rotated=True),
    Way(hard=True, jittered=False),  # FPI
    Way(hard=True, jittered=False, beyond="source", blend="poisson_stronger"),  # PII
    Way(hard=True, jittered=False, resized=True, blend="poisson_mixed", patches=3),  # NSA
    Way(blend="poisson", patches=2),
)


def ways(blends=BLENDS, beyond=BEYOND):
    """The ways of the recipes, and any other."""
    mixtures = st.builds(
        Way,
        hard=st.booleans(),
        beyond=st.sampled_from(beyond),
        blend=st.sampled_from(blends),
        jittered=st.booleans(),
        rotated=st.booleans(),
        resized=st.booleans(),
        patches=st.integers(1, 3),
    )
    return st.sampled_from([way for way in RECIPES if way.blend in blends and way.beyond in beyond]) | mixtures


masks = st.builds(
    Masks,
    size=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    kinds=st.lists(mask_kinds, max_size=3).map(tuple),
    layout=st.sampled_from([layout for layout in LAYOUTS if layout != "channels last"]),
    seed=seeds,
)
"""Recipes of masks, of any size down to none at all."""


numbers = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.sampled_from([0, 1, -1, 0.5, 1e-320, 1e-40, 1e39, 1e300, True])
)
"""Any number, possible or not."""

anything = st.one_of(
    numbers,
    st.none(),
    st.text(max_size=3),
    st.tuples(numbers, numbers),
    st.lists(numbers, max_size=3),
    numbers.map(np.float64),
    st.sampled_from([{}, object, 1j, torch.ones(2), np.zeros(2), b"1"]),
)
"""What a setting may be given by mistake."""
