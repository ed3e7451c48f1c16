"""The contact sheet."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anatpaste_aug.inspection import ImageCheck, contact_sheet

ROW = ImageCheck(0, "folder/$a.png", 0.2, 2, False, 0.0, 0.8, 0.0, 0)


@pytest.mark.parametrize("count", [1, 4, 6, 16])
def test_every_image_has_its_name_mask_and_reason(count):
    rows = [replace(ROW, index=i, name=f"{i}.png", frontal=-0.5 if i % 2 else 0.8) for i in range(count)]
    images = torch.randint(0, 256, (count, 1, 40, 48), dtype=torch.uint8)
    masks = torch.rand(count, 1, 40, 48) < 0.5
    axes = contact_sheet(rows, images, masks).axes
    assert len(axes) == {1: 1, 4: 4, 6: 8, 16: 16}[count]
    for i, each in enumerate(axes[:count]):
        assert each.get_title() == f"{i}.png"
        words = each.get_xlabel().replace("\n", " ")
        assert words.startswith("likely inverted (MONOCHROME1)" if i % 2 else "nothing suspicious; lungs 20.0%")
        np.testing.assert_array_equal(each.images[0].get_array(), images[i, 0])
        assert np.array_equal(each.images[1].get_array()[..., 3] > 0, masks[i, 0].numpy())
    assert not any(each.axison for each in axes[count:])


def test_long_names_keep_their_end_and_many_reasons_stay_in_their_cell():
    row = replace(ROW, name="x" * 80 + "/end.png", fallback=True, frontal=0.0, bright_sides=3, band=0.4)
    assert len(row.suspicions) == 4
    axes = contact_sheet([row], torch.zeros(1, 1, 40, 40), torch.zeros(1, 1, 40, 40, dtype=torch.bool)).axes[0]
    assert axes.get_title().endswith("/end.png")
    assert len(axes.get_title()) == 38
    assert len(axes.get_xlabel().splitlines()) == 4


def test_a_wrong_number_of_images_is_named():
    with pytest.raises(ValueError, match="1 rows need as many images and masks, got 2 and 1"):
        contact_sheet([ROW], torch.zeros(2, 1, 40, 40), torch.zeros(1, 1, 40, 40, dtype=torch.bool))
    with pytest.raises(ValueError, match="0 rows"):
        contact_sheet([], torch.zeros(0, 1, 40, 40), torch.zeros(0, 1, 40, 40))
