"""The adapters, with tensors, samples and arrays of every kind: a valid result, or an error that says what is wrong."""

import math
from inspect import signature

import PIL.Image
import torch
from hypothesis import given
from hypothesis import strategies as st
from invariants import attempt, on_both_paths, same, same_rows, untouched
from strategies import (
    FOREIGN_DTYPES,
    IMAGE_DTYPES,
    anything,
    cutpaste_rows,
    lung_kinds,
    lungs_for,
    rows,
    seeded,
    seeds,
    small_batches,
)
from torchvision import tv_tensors

from anatpaste_aug import (
    AnatPasteErasing,
    AnatPasteMixup,
    AnatPasteSettings,
    AnatPasteTransform,
    AnomalyMask,
    CutPasteTransform,
    KorniaAnatPaste,
    LungMask,
)

RESULT_OF = {"augment": lambda x: AnatPasteTransform().augment(x), "cutpaste": lambda x: CutPasteTransform().augment(x)}
settings = st.fixed_dictionaries(
    {},
    optional={
        "p": st.floats(0, 1),
        "segmentation": st.booleans(),
        "skip_without_lungs": st.booleans(),
        "blur": st.booleans(),
        "jitter": st.floats(0, 0.5),
        "margin": st.floats(0, 30),
        "sigma": st.tuples(st.floats(0, 5), st.floats(5, 1e6)),
        "area": st.tuples(st.floats(1e-9, 0.1), st.floats(0.1, 1)),
    },
)


def check(result, images):
    """What every result of `augment` promises."""
    assert (result.image.shape, result.image.dtype) == (images.shape, images.dtype)
    assert result.soft_mask.shape == (len(images), 1, *images.shape[2:])
    assert ((result.soft_mask >= 0) & (result.soft_mask <= 1)).all()
    outside = ~result.anomaly_mask.expand_as(images)
    assert same(result.image[outside], images[outside])
    assert ((result.image >= 0) & (result.image <= (255 if images.dtype == torch.uint8 else 1))).all()
    assert not result.anomaly_mask[~result.params.apply].any()


@given(small_batches, settings, lung_kinds, seeds)
def test_augmented_batches_keep_every_promise(batch, options, kind, seed):
    images, transform = batch.images(), AnatPasteTransform(**options)
    lungs = lungs_for(images, kind, seed)
    with untouched(images, lungs):
        result, other = on_both_paths(lambda: transform.augment(images, lungs, generator=seeded(seed)))
    check(result, images)
    check(other, images)
    assert same_rows(result.params, other.params)
    again = transform.augment(images.clone(), lungs, params=result.params)
    torch.testing.assert_close(again.image, result.image, rtol=0, atol=0)
    inside = result.params.anywhere.view(-1, 1, 1, 1)
    if result.lung_mask is not None:
        assert not (result.anomaly_mask & ~result.lung_mask & ~inside).any()


shapes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 31, 32, 33, 40]), max_size=5).map(tuple)
sized = st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([1, 3]), st.just(32), st.sampled_from([32, 40]))


@given(
    shapes | sized,
    st.sampled_from([*IMAGE_DTYPES, *FOREIGN_DTYPES]),
    st.sampled_from([0, 0.5, 1, 2, -1, math.nan, math.inf, 1e30]),
    st.sampled_from([*RESULT_OF]),
)
def test_tensors_of_any_kind_are_taken_or_named(shape, dtype, value, way):
    fits_dtype = dtype.is_floating_point or (math.isfinite(value) and 0 <= value < 100)
    images = torch.full(shape, value if fits_dtype else 0, dtype=torch.float64).to(dtype)
    result = attempt(RESULT_OF[way], images)
    if result is not None:
        assert (result.image.shape, result.image.dtype) == (images.shape, images.dtype)
        assert result.image.double().isfinite().all()
    assert (result is not None) == (
        len(shape) == 4
        and shape[1] in (1, 3)
        and min(shape[2:]) >= 32
        and dtype in IMAGE_DTYPES
        and (images.double() >= 0).all().item()
        and (images.double() <= (255 if dtype == torch.uint8 else 1)).all().item()
    )


@given(anything, st.sampled_from(["images", "lung_mask", "params", "apply", "uniforms", "generator"]))
def test_arguments_of_any_kind_are_taken_or_named(value, name):
    images = torch.full((2, 1, 32, 32), 0.5)
    attempt(lambda: AnatPasteTransform().augment(**({"images": images} | {name: value})))
    if name in ("images", "params", "generator"):
        attempt(lambda: CutPasteTransform().augment(**({"images": images} | {name: value})))


SETTINGS = (*AnatPasteSettings.__annotations__, "p", "rotation", "scar_width", "variant")


@given(anything, st.sampled_from(SETTINGS))
def test_settings_of_any_kind_are_taken_or_named(value, name):
    for kind in (AnatPasteTransform, CutPasteTransform, AnatPasteErasing, AnatPasteMixup, KorniaAnatPaste):
        if name in {
            "p",
            *(signature(kind).parameters if kind is CutPasteTransform else AnatPasteSettings.__annotations__),
        }:
            needed = {"mean": (0.5,), "std": (0.5,)} if kind in (AnatPasteErasing, AnatPasteMixup) else {}
            attempt(kind, **(needed | {name: value}))


@given(small_batches, st.sampled_from(["int", "shape", "float", "other size"]), seeds)
def test_lung_masks_of_any_kind_are_taken_or_named(batch, kind, seed):
    images = batch.images()
    lungs = lungs_for(images, "dense", seed)
    expected = AnatPasteTransform().augment(images, lungs, generator=seeded(seed))
    changed = {
        "int": lungs.long() * 7 - 14 * lungs.long().roll(1, -1) * lungs,
        "shape": lungs[:, 0],
        "float": lungs.float(),
        "other size": lungs[..., 1:],
    }[kind]
    result = attempt(lambda: AnatPasteTransform().augment(images, changed, generator=seeded(seed)))
    assert (result is None) == (kind in ("float", "other size"))
    if result is not None:
        assert same(result.image, expected.image)


FIELDS = ("height", "width", "source_top", "source_left", "center_y", "center_x", "margin", "sigma")
CUT = ("height", "width", "source_top", "source_left", "target_top", "target_left", "angle")


@given(
    small_batches.filter(len),
    st.sampled_from(FIELDS),
    st.sampled_from([-1, 0, 2000, -(2**40), math.nan]),
    seeds,
    st.booleans(),
)
def test_replayed_parameters_fit_or_are_named_with_gradients_and_without(batch, field, value, seed, gradients):
    images, params = batch.images(), rows(seed, len(batch), *batch.size)
    if math.isnan(value) and field != "sigma":
        return
    changed = getattr(params, field).clone()
    changed[0] = value
    params = params._replace(**{field: changed})
    if gradients and images.is_floating_point():
        images = images.clone().requires_grad_()
    for result in on_both_paths(attempt, lambda: AnatPasteTransform(segmentation=False).augment(images, params=params)):
        possible = field in ("margin", "sigma") if value == 2000 else value == 0 and field not in ("height", "width")
        assert (result is not None) == possible


@given(
    small_batches.filter(len), st.sampled_from(CUT), st.sampled_from([-1, 0, 2000, -(2**40), math.nan, math.inf]), seeds
)
def test_replayed_cutpastes_fit_or_are_named(batch, field, value, seed):
    images, params = batch.images(), cutpaste_rows(seed, len(batch), *batch.size)
    if not math.isfinite(value) and field != "angle":
        return
    changed = getattr(params, field).clone()
    changed[0] = value
    result = attempt(lambda: CutPasteTransform().augment(images, params=params._replace(**{field: changed})))
    if result is not None:
        outside = ~result.anomaly_mask.expand_as(images)
        assert same(result.image[outside], images[outside])
    if field.startswith(("source", "height", "width")) and value != 0:
        assert result is None


@given(
    small_batches.filter(len), st.sampled_from(["PIL", "image", "plain", "video"]), seeds, st.sampled_from(IMAGE_DTYPES)
)
def test_samples_come_back_as_they_were_given(batch, kind, seed, mask_dtype):
    images = batch.images()
    if kind == "PIL" and images.dtype != torch.uint8:
        return
    given_image = {
        "PIL": lambda: PIL.Image.fromarray(images[0].permute(1, 2, 0).squeeze(2).numpy()),
        "image": lambda: tv_tensors.Image(images[0]),
        "plain": lambda: images[0],
        "video": lambda: tv_tensors.Image(images.unsqueeze(1)),
    }[kind]()
    leading = (*images.shape[:1], 1, 1) if kind == "video" else (1,)
    mask = AnomalyMask(torch.ones(*leading, *batch.size).to(mask_dtype))
    lungs = LungMask(torch.ones(*leading, *batch.size, dtype=torch.bool))
    sample = {"image": given_image, "mask": mask, "lungs": lungs, "label": 3, "name": "a"}
    torch.manual_seed(seed)
    with untouched(images):
        out = AnatPasteTransform()(sample)
    assert type(out["image"]) is type(given_image)
    assert (out["lungs"] is lungs, out["label"], out["name"]) == (True, 3, "a")
    assert (type(out["mask"]), out["mask"].dtype, out["mask"].shape) == (AnomalyMask, mask_dtype, mask.shape)
    if kind != "PIL":
        assert (out["image"].shape, out["image"].dtype) == (given_image.shape, given_image.dtype)
        outside = (out["mask"] == 0).expand(given_image.shape)
        if mask_dtype in (torch.float32, torch.float64, torch.bfloat16):  # float16 and uint8 have no weight below 6e-8
            assert same(out["image"][outside].as_subclass(torch.Tensor), given_image[outside].as_subclass(torch.Tensor))
