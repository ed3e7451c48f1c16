"""Every method augments in training by the augmentation of its name."""

import pytest
import torch

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, FPITransform, NSATransform, PIITransform
from anatpaste_aug.detection import METHODS, PRESETS
from anatpaste_aug.detection.reporting.result_tables import PUBLISHED, PUBLISHED_ABLATIONS
from anatpaste_aug.detection.studies.methods import FIGURE_1_METHODS, REQUIRED_METHODS

SAME = {
    "anatpaste": AnatPasteTransform(),
    "anatpaste-noseg": AnatPasteTransform(segmentation=False),
    "anatpaste-noblur": AnatPasteTransform(blur=False),
    "anatpaste-noseg-noblur": AnatPasteTransform(segmentation=False, blur=False),
    "anatpaste-donors": AnatPasteTransform(source="batch", beyond="source", patches=(2, 2)),
    "cutpaste": CutPasteTransform(variant="normal"),
    "cutpaste-scar": CutPasteTransform(variant="scar"),
    "cutpaste-union": CutPasteTransform(variant="union"),
    "fpi": FPITransform(),
    "pii": PIITransform(),
    "nsa": NSATransform(),
    "anat-fpi": FPITransform(anatomy=True),
    "anat-pii": PIITransform(anatomy=True),
    "anat-nsa": NSATransform(anatomy=True),
}
THREE_WAY = (CutPasteTransform(variant="normal"), CutPasteTransform(variant="scar"))


@pytest.mark.parametrize("name", SAME)
def test_methods_augment_as_their_names_say(name):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 1, 64, 64, generator=generator)
    lungs = torch.zeros(4, 1, 64, 64, dtype=torch.bool)
    lungs[..., 10:50, 10:30] = True
    results = []
    (make,) = METHODS[name].transforms
    for transform in (make(), SAME[name]):
        torch.manual_seed(1)
        results.append(transform.augment(images, region_mask=lungs).image)
    assert torch.equal(*results)
    assert not torch.equal(results[0], images)


def test_three_way_is_a_class_for_each_augmentation():
    method = METHODS["cutpaste-3way"]
    assert {name for name, each in METHODS.items() if each.transforms} == {*SAME, "cutpaste-3way"}
    assert [make().config for make in method.transforms] == [transform.config for transform in THREE_WAY]
    assert method.num_classes == 3
    assert METHODS["anatpaste"].num_classes == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SAME, "cutpaste-3way"])
def test_pictures_show_every_augmentation_in_turn(name):
    images = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    expected = [make().augment(images) for make in METHODS[name].transforms]
    torch.manual_seed(1)
    pasted = METHODS[name].augment(images)
    for i in range(4):
        result = expected[i % len(expected)]
        assert torch.equal(pasted.image[i], result.image[i])
        assert torch.equal(pasted.mask[i] > 0, result.anomaly_mask[i])
    in_lungs = {"anatpaste", "anatpaste-noblur", "anatpaste-donors", "anat-fpi", "anat-pii", "anat-nsa"}
    assert (pasted.region_mask is not None) == (name in in_lungs)


def test_measured_rows_have_the_names_of_published_ones():
    published = {row.method for row in (*PUBLISHED, *PUBLISHED_ABLATIONS)}
    detectors = [name for name, each in METHODS.items() if not each.transforms]
    for name in ("anatpaste", "anatpaste-noseg", "anatpaste-noblur", "cutpaste-scar", *detectors):
        assert METHODS[name].label in published


@pytest.mark.parametrize("name", [name for name, each in METHODS.items() if not each.transforms])
def test_a_method_without_augmentations_creates_its_detector_and_says_so(name):
    method = METHODS[name]
    assert method.detector.config_type.kind == name
    assert method.detector.config_type.presets.keys() == PRESETS.keys()
    config = method.detector.config_type(image_size=64)
    assert isinstance(method.create(config, white=4095), method.detector)
    assert method.create(config, white=4095).white == 4095
    with pytest.raises(ValueError, match=f"{method.label} augments no images"):
        method.augment(torch.rand(2, 1, 64, 64))


def test_what_tables_and_figures_need_exists():
    assert {name for names in (*REQUIRED_METHODS.values(), FIGURE_1_METHODS) for name in names} <= METHODS.keys()
