"""The transforms of all recipes, with tensors and samples of every kind: a valid result, or an error that says why."""

import math
from functools import partial
from inspect import signature

import PIL.Image
import torch
from fuzz.invariants import attempt, same, same_rows, untouched
from fuzz.strategies import (
    FOREIGN_DTYPES,
    IMAGE_DTYPES,
    Way,
    anything,
    donors_for,
    region_for,
    region_kinds,
    rows,
    seeded,
    seeds,
    small_batches,
    ways,
)
from helpers.code_paths import on_both_paths
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors

from anatpaste_aug import (
    AnatPasteTransform,
    AnomalyMask,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PIITransform,
    RegionMask,
)

RECIPES = {
    "AnatPaste": AnatPasteTransform,
    "without segmentation": partial(AnatPasteTransform, segmentation=False),
    "CutPaste": CutPasteTransform,
    "scar": partial(CutPasteTransform, variant="scar"),
    "union": partial(CutPasteTransform, variant="union"),
    "FPI": FPITransform,
    "PII": PIITransform,
    "NSA": NSATransform,
    "solved": partial(AnatPasteTransform, blend="poisson", source="donors", patches=(1, 3), beyond="source"),
    "everything": partial(
        AnatPasteTransform, source="batch", size="area_or_scar", resize=(1, 0.5, 0.5, 2), beyond="edge", patches=(2, 3)
    ),
}
recipes = st.sampled_from([*RECIPES])
settings = st.fixed_dictionaries(
    {},
    optional={
        "p": st.floats(0, 1),
        "anatomy": st.booleans(),
        "skip_without_region": st.booleans(),
        "blur": st.booleans(),
        "jitter": st.floats(0, 0.5),
        "margin": st.floats(0, 30),
        "sigma": st.tuples(st.floats(0, 5), st.floats(5, 1e6)),
        "area": st.tuples(st.floats(1e-9, 0.1), st.floats(0.1, 1)),
        "beyond": st.sampled_from(["black", "source", "edge"]),
        "blend": st.sampled_from(["alpha", "poisson", "poisson_stronger", "poisson_mixed"]),
        "place": st.sampled_from(["region", "anywhere", "inside", "middle", "foreground"]),
        "shape": st.sampled_from(["ellipse_or_rectangle", "patch"]),
        "target": st.sampled_from(["soft", "intensity"]),
    },
)


def alone(transform, images):
    """Whether there is no other image to cut from."""
    return transform.config.source == "batch" and len(images) == 1


def way_of(config):
    return Way(
        hard=config.shape == "patch",
        beyond=config.beyond,
        blend=config.blend,
        jittered=config.jitter > 0,
        rotated=config.rotates,
        resized=config.resize is not None,
        patches=config.patches[1],
    )


def check(result, images):
    """The guarantees of every result of `augment`."""
    assert (result.image.shape, result.image.dtype) == (images.shape, images.dtype)
    for mask in (result.soft_mask, result.target):
        assert (mask.shape, mask.dtype) == ((len(images), 1, *images.shape[2:]), torch.float32)
        assert ((mask >= 0) & (mask <= 1)).all()
    outside = ~result.anomaly_mask.expand_as(images)
    assert same(result.image[outside], images[outside])
    assert ((result.image >= 0) & (result.image <= (255 if images.dtype == torch.uint8 else 1))).all()
    assert not result.anomaly_mask[~result.params.apply.any(1)].any()
    assert torch.equal(result.label, result.anomaly_mask.flatten(1).any(1).long())


@given(small_batches, recipes, settings, region_kinds, seeds)
def test_augmented_batches_keep_every_promise(batch, recipe, options, kind, seed):
    images, transform = batch.images(), RECIPES[recipe](**options)
    if alone(transform, images):
        return
    region, donors = region_for(images, kind, seed), donors_for(images)
    with untouched(images, region, donors):
        result, other = on_both_paths(
            lambda: transform.augment(images, region, donors=donors, generator=seeded(seed)),
        )
    check(result, images)
    check(other, images)
    assert same_rows(result.params, other.params)
    again = transform.augment(images.clone(), region, params=result.params, donors=donors)
    assert same(again.image.contiguous(), result.image.contiguous())
    assert same(again.soft_mask, result.soft_mask)
    assert same(again.target, result.target)
    if result.region_mask is not None:
        inside = result.region_mask | result.params.anywhere.any(1).view(-1, 1, 1, 1)
        assert not (result.anomaly_mask & ~inside).any()
    if transform.config.shape == "patch" and transform.config.blend == "alpha" and not transform.config.anatomy:
        assert torch.equal(result.label.bool(), result.params.apply.any(1))


shapes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 31, 32, 33, 40]), max_size=5).map(tuple)
sized = st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([1, 3]), st.just(32), st.sampled_from([32, 40]))


@given(
    shapes | sized,
    st.sampled_from([*IMAGE_DTYPES, *FOREIGN_DTYPES]),
    st.sampled_from([0, 0.5, 1, 2, -1, math.nan, math.inf, 1e30]),
    recipes,
)
def test_tensors_of_any_kind_are_accepted_or_named(shape, dtype, value, recipe):
    fits_dtype = dtype.is_floating_point or (math.isfinite(value) and 0 <= value < 100)
    images = torch.full(shape, value if fits_dtype else 0, dtype=torch.float64).to(dtype)
    transform = RECIPES[recipe]()
    like_images = len(shape) == 4 and dtype in IMAGE_DTYPES
    result = attempt(transform.augment, images, donors=donors_for(images) if like_images else images)
    if result is not None:
        assert (result.image.shape, result.image.dtype) == (images.shape, images.dtype)
        assert result.image.double().isfinite().all()
    assert (result is not None) == (
        like_images
        and shape[1] in (1, 3)
        and min(shape[2:]) >= 32
        and (images.double() >= 0).all().item()
        and (images.double() <= (255 if dtype == torch.uint8 else 1)).all().item()
        and not alone(transform, images)
    )


ARGUMENTS = ("images", "region_mask", "params", "apply", "uniforms", "generator", "donors")


@given(anything, recipes, st.sampled_from(ARGUMENTS))
def test_arguments_of_any_kind_are_accepted_or_named(value, recipe, name):
    images = torch.full((2, 1, 32, 32), 0.5)
    arguments = {"images": images, "donors": images} | {name: value}
    if value is not object or name != "donors":  # what a callable raises is its own
        attempt(lambda: RECIPES[recipe]().augment(**arguments))


@given(anything, recipes, st.data())
def test_settings_of_any_kind_are_accepted_or_named(value, recipe, data):
    kind = RECIPES[recipe]
    attempt(kind, **{data.draw(st.sampled_from([*signature(kind).parameters])): value})


@given(small_batches.filter(len), recipes, st.sampled_from(["int", "shape", "float", "other size"]), seeds)
def test_region_masks_of_any_kind_are_accepted_or_named(batch, recipe, kind, seed):
    images, transform = batch.images(), RECIPES[recipe]()
    if alone(transform, images):
        return
    region = region_for(images, "dense", seed)

    def augment(mask):
        return transform.augment(images, mask, donors=donors_for(images), generator=seeded(seed))

    expected = augment(region)
    changed = {
        "int": region.long() * 7 - 14 * region.long().roll(1, -1) * region,
        "shape": region[:, 0],
        "float": region.float(),
        "other size": region[..., 1:],
    }[kind]
    result = attempt(augment, changed)
    assert (result is None) == (kind in ("float", "other size") and transform.config.needs_region)
    if result is not None:
        assert same(result.image, expected.image)


FIELDS = (
    *("height", "width", "source_top", "source_left", "scaled_height", "scaled_width", "top", "left", "margin"),
    *("sigma", "angle", "opacity", "brightness", "contrast", "saturation", "hue", "jitter_order", "donor"),
)
REAL = ("sigma", "angle", "opacity", "brightness", "contrast", "saturation", "hue")


@given(
    small_batches.filter(len),
    recipes,
    st.sampled_from(FIELDS),
    st.sampled_from([-1, 2000, -(2**40), -(2**63), 2**63 - 1, math.nan, math.inf]),
    seeds,
    st.booleans(),
)
def test_replayed_parameters_fit_or_are_named_with_gradients_and_without(batch, recipe, field, value, seed, gradients):
    images, transform = batch.images(), RECIPES[recipe]()
    if not math.isfinite(value) and field not in REAL:
        return
    donors = donors_for(images)
    count = {"same": None, "batch": len(images), "donors": len(donors)}[transform.config.source]
    params = rows(seed, len(batch), *batch.size, way_of(transform.config), count)
    region = region_for(images, "dense", seed)
    changed = getattr(params, field).clone()
    changed[0, 0] = value
    wrong = params._replace(**{field: changed})
    if gradients and images.is_floating_point():
        images = images.clone().requires_grad_()
    for result in on_both_paths(attempt, lambda: transform.augment(images, region, params=wrong, donors=donors)):
        if field in ("margin", "sigma"):
            assert (result is not None) == (0 <= value < math.inf)
        elif field in ("angle", "top", "left", "brightness", "contrast", "saturation"):
            assert result is None or -1000 < value < 2**63
        elif field == "donor" and count is None:
            assert result is not None
        else:
            assert result is None


@given(small_batches.filter(len), recipes, ways(), seeds)
def test_parameters_of_another_recipe_are_accepted_or_named(batch, recipe, way, seed):
    """Never partly: all steps are done, or there is an error."""
    images, transform = batch.images(), RECIPES[recipe]()
    params = rows(seed, len(batch), *batch.size, way, 2)
    region = region_for(images, "dense", seed)
    for result in on_both_paths(
        attempt, lambda: transform.augment(images, region, params=params, donors=donors_for(images))
    ):
        if result is not None:
            check(result, images)
            own = way_of(transform.config)
            assert own.patches == way.patches
            assert own.rotated or not params.angle.any()
            assert own.resized or torch.equal(params.scaled_height, params.height)
            assert own.jittered or not params.hue.any()


@given(recipes, st.sampled_from(["apply", *FIELDS]), anything | st.sampled_from([torch.ones(2, 1), torch.zeros(2)]))
def test_parameters_of_any_kind_are_accepted_or_named(recipe, field, value):
    images, transform = torch.full((2, 1, 32, 32), 0.5), RECIPES[recipe]()
    params = rows(0, 2, 32, 32, way_of(transform.config), 2)._replace(**{field: value})
    region = region_for(images, "full")
    result = attempt(lambda: transform.augment(images, region, params=params, donors=images))
    assert result is None or (isinstance(value, torch.Tensor) and value.shape == (2, 1) and field in REAL)


@given(
    small_batches.filter(len),
    recipes,
    st.sampled_from(["PIL", "image", "plain", "video"]),
    seeds,
    st.sampled_from([torch.bool, *IMAGE_DTYPES]),
)
def test_samples_come_back_as_they_were_given(batch, recipe, kind, seed, mask_dtype):
    images = batch.images()
    if kind == "PIL" and images.dtype != torch.uint8:
        return
    given_image = {
        "PIL": lambda: PIL.Image.fromarray(images[0].permute(1, 2, 0).squeeze(2).numpy()),
        "image": lambda: tv_tensors.Image(images[0]),
        "plain": lambda: images[0],
        "video": lambda: tv_tensors.Image(images.unsqueeze(1)),
    }[kind]()
    # What lies in a single sample has no other image: donors take the place of a batch.
    transform = RECIPES[recipe](source="donors", donors=donors_for(images))
    leading = (*images.shape[:1], 1, 1) if kind == "video" else (1,)
    mask = AnomalyMask(torch.zeros(*leading, *batch.size).to(mask_dtype))
    region = RegionMask(torch.ones(*leading, *batch.size, dtype=torch.bool))
    sample = {"image": given_image, "mask": mask, "region": region, "label": 3, "name": "a"}
    torch.manual_seed(seed)
    with untouched(images):
        out = transform(sample)
    assert type(out["image"]) is type(given_image)
    assert (out["region"] is region, out["label"], out["name"]) == (True, 3, "a")
    assert (type(out["mask"]), out["mask"].dtype, out["mask"].shape) == (AnomalyMask, mask_dtype, mask.shape)
    if kind != "PIL":
        assert (out["image"].shape, out["image"].dtype) == (given_image.shape, given_image.dtype)
        outside = (out["mask"] == 0).expand(given_image.shape)
        # float16 has no weight below 6e-8, and a target of intensities none where the change is small.
        if mask_dtype != torch.float16 and not (mask_dtype.is_floating_point and recipe == "NSA"):
            assert same(out["image"][outside].as_subclass(torch.Tensor), given_image[outside].as_subclass(torch.Tensor))
