import copy
import dataclasses
import inspect
import pickle
import re

import pytest
import torch
from helpers.batches import augmented, batch, called, raises

from anatpaste_aug import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    LungSegmenter,
    NSATransform,
    PasteConfig,
    PasteTransform,
    PIITransform,
)
from anatpaste_aug.paste.config import interval, setting

RECIPES = [AnatPasteTransform, CutPasteTransform, FPITransform, PIITransform, NSATransform]

# repr, copies


SETTINGS = {
    "p": 0.25,
    "blur": False,
    "skip_without_region": True,
    "value_range": (-1.0, 1.0),
    "mean": (0.5,),
    "std": (0.25,),
    "area": (0.03, 0.04),
    "aspect_ratio": (0.5, 2.0),
    "jitter": 0.2,
    "margin": 5.0,
    "opacity": (0.7, 0.8),
    "sigma": (1.0, 2.0),
}


def test_repr_shows_every_setting_that_is_not_the_recipes():
    shown = repr(AnatPasteTransform(**SETTINGS))
    for name, value in SETTINGS.items():
        assert re.search(rf"\b{name}={re.escape(repr(value))}", shown)
    assert "(segmenter): LungSegmenter(min_size=400.0)" in shown
    assert "aspect_ratio" not in repr(AnatPasteTransform())


def test_the_settings_build_the_same_transform():
    segmenter = LungSegmenter(min_size=100)
    transform = AnatPasteTransform(**SETTINGS, segmenter=segmenter)
    assert transform.settings.items() >= (SETTINGS | {"segmenter": segmenter}).items()
    assert repr(AnatPasteTransform(**transform.settings)) == repr(transform)


def test_a_setting_is_written_once():
    """A new range of a config reaches the signature, the documentation, the checks and repr."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class WithWaves(PasteConfig):
        waves: tuple[float, float] = setting((0.0, 1.0), interval(0, 9), "Range of the height of the waves, in pixels.")

    class WavyTransform(PasteTransform):
        """Paste patches with waves.

        Example:
            >>> WavyTransform()
        """

        recipe = WithWaves(p=0.5)

    parameter = inspect.signature(WavyTransform).parameters["waves"]
    assert parameter.default == (0.0, 1.0)
    assert parameter.annotation == tuple[float, float]
    assert inspect.signature(WavyTransform).parameters["p"].default == 0.5
    text = inspect.getdoc(WavyTransform)
    assert "    waves: Range of the height of the waves, in pixels. Default: (0.0, 1.0)." in text
    assert text.index("Args:") < text.index("waves:") < text.index("Example:")
    assert repr(WavyTransform(waves=(2, 3))).startswith("WavyTransform(\n  p=0.5, waves=(2, 3)")
    with raises(ValueError, "waves must be (low, high) with low <= high in [0, 9], got (2, 10)"):
        WavyTransform(waves=(2, 10))
    assert WavyTransform(waves=(2, 3)).settings["waves"] == (2, 3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_signature_is_that_of_the_config(recipe):
    parameters = inspect.signature(recipe).parameters
    assert next(iter(parameters)) == "p"
    for field in dataclasses.fields(PasteConfig):
        assert parameters[field.name].default == getattr(recipe.recipe, field.name)
        assert PasteConfig.help(field.name).endswith(".")
        assert f"    {field.name}: " in recipe.__doc__
    assert {"segmenter", "donors", "value_range", "mean", "std"} < set(parameters)


def test_repr_shows_a_segmenter_that_is_a_function():
    assert f"segmenter={len!r}" in repr(AnatPasteTransform(segmenter=len))


@pytest.mark.parametrize("call_first", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
def test_a_copy_does_the_same_before_and_after_a_call(duplicate, call_first):
    transform, images = AnatPasteTransform(p=0.8, sigma=(0, 5)), batch()
    if call_first:
        transform(images)
    twin = duplicate(transform)
    assert repr(twin) == repr(transform)
    assert torch.equal(called(twin, images), called(transform, images))


def test_parameters_and_results_can_be_pickled():
    result = augmented(batch())
    twin = pickle.loads(pickle.dumps(result))
    assert torch.equal(twin.image, result.image)
    assert torch.equal(twin.soft_mask, result.soft_mask)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(twin.params, result.params, strict=True))


def test_results_do_not_refer_to_one_another():
    transform, images = AnatPasteTransform(), batch()
    first = transform.augment(images)
    kept = first.image.clone()
    transform.augment(images).image.zero_()
    assert torch.equal(first.image, kept)


def test_mode_and_state_of_a_module_do_not_matter():
    transform, images = AnatPasteTransform(), batch()
    assert not transform.state_dict()
    assert torch.equal(called(transform.eval(), images), called(transform.train(), images))


# errors


@pytest.mark.parametrize("call", [AnatPasteTransform.__call__, AnatPasteTransform.augment])
def test_values_outside_the_range(call):
    with raises(ValueError, "images have values in [0, 200], outside value_range=(0, 1)", "mean= and std="):
        call(AnatPasteTransform(), torch.arange(0, 201.0).view(1, 1, 1, 201).expand(1, 1, 64, -1))


@pytest.mark.parametrize("call", [AnatPasteTransform.__call__, AnatPasteTransform.augment])
def test_normalised_images_of_a_wrong_kind(call):
    with raises(TypeError, "mean and std are set", "got torch.uint8"):
        call(AnatPasteTransform(mean=[0.5], std=[0.5]), batch())
    with raises(ValueError, "mean and std have 3 values for images with 1 channel", "as in mean=[0.5], std=[0.25]"):
        call(AnatPasteTransform(mean=[0.5] * 3, std=[0.5] * 3), batch(dtype=torch.float32))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"generator": 3}, TypeError, "generator must be a torch.Generator, got int"),
        ({"params": 3}, TypeError, "params must be the PasteParams of an earlier result, got int"),
        ({"apply": [True] * 6}, ValueError, "apply must be a boolean tensor of shape (6,)"),
        ({"uniforms": 3}, ValueError, "as from draw_uniforms(config, 6), got int"),
        ({"region_mask": 3}, TypeError, "region_mask must be a torch.Tensor, got int"),
    ],
)
def test_wrong_arguments_of_augment(arguments, kind, message):
    with raises(kind, message):
        AnatPasteTransform().augment(batch(), **arguments)


def test_a_variant_of_cutpaste_is_one_of_three():
    shown = repr(CutPasteTransform(0.25, variant="union", rotation=(-90.0, 10.0)))
    assert shown == "CutPasteTransform(p=0.25, size='area_or_scar', rotation=(-90.0, 10.0))"
    with raises(ValueError, "variant must be one of 'normal', 'scar', 'union', got 'both'", "needs two transforms"):
        CutPasteTransform(variant="both")


def test_impossible_settings():
    with raises(TypeError, "segmenter must be callable or None", "pass a finished mask to augment"):
        AnatPasteTransform(segmenter=torch.zeros(1, 1, 64, 64))
    with raises(ValueError, "p must be a number in [0, 1], got 2"):
        AnatPasteTransform(p=2)
    with raises(ValueError, "value_range must be (black, white) with black < white, got (1, 0)"):
        AnatPasteTransform(value_range=(1, 0))
    with raises(TypeError, "unexpected keyword argument 'sigmas'"):
        AnatPasteTransform(sigmas=(0, 15))
