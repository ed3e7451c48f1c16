"""Checks of batches and folders: measurements against their definitions, and images with known problems."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch.nn.functional import pad

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.datasets import DatasetError, White, phantom_batch
from anatpaste_aug.inspection import check, check_folder


@pytest.fixture(scope="module")
def phantoms():
    return phantom_batch(8, size=128).images


def kinds(row):
    return [each.kind for each in row.suspicions]


def save(folder, name, pixels):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


# the figures


def test_the_lungs_are_those_of_the_segmenter(phantoms):
    masks = LungSegmenter()(phantoms)[:, 0].numpy()
    report = check(phantoms)
    assert len(report) == 8
    for row, mask in zip(report, masks, strict=True):
        assert row.lung_fraction == pytest.approx(mask.mean(), abs=1e-6)
        assert row.components == ndimage.label(mask, np.ones((3, 3)))[1]
        assert row.fallback == (not mask.any())


def test_hidden_augmentations_are_counted_as_defined(phantoms):
    settings = {"opacity": (0.01, 0.2), "area": (0.02, 0.05)}
    transform, generator = AnatPasteTransform(**settings), torch.Generator().manual_seed(5)
    hidden = torch.zeros(8)
    for _ in range(3):
        change = transform.augment(phantoms, generator=generator).image.int() - phantoms.int()
        hidden += (change.abs() >= 8).float().mean((1, 2, 3)) < 0.001
    report = check(phantoms, transform=transform, augmentations=3, seed=5)
    assert [row.hidden for row in report] == pytest.approx((hidden / 3).tolist(), abs=1e-6)
    assert 0 < report.hidden_share < 1
    assert report.hidden_share == pytest.approx(hidden.mean().item() / 3, abs=1e-6)


def test_an_augmentation_that_is_not_applied_is_not_hidden(phantoms):
    assert check(phantoms, transform=AnatPasteTransform(p=0)).hidden_share == 0


@pytest.mark.parametrize(
    ("change", "transform"),
    [
        (lambda images: images.expand(-1, 3, -1, -1), AnatPasteTransform(jitter=0)),
        (lambda images: images.float() / 255, AnatPasteTransform(jitter=0)),
        (lambda images: images.float(), AnatPasteTransform(jitter=0, value_range=(0, 255))),
        (lambda images: (images.float() / 255 - 0.5) / 0.25, AnatPasteTransform(jitter=0, mean=[0.5], std=[0.25])),
    ],
)
def test_the_kind_of_tensor_does_not_matter(phantoms, change, transform):
    expected = check(phantoms, transform=AnatPasteTransform(jitter=0))
    for ours, theirs in zip(check(change(phantoms), transform=transform), expected, strict=True):
        assert ours.components == theirs.components
        assert ours.fallback == theirs.fallback
        # Tolerance: 1e-4, rounding and its effect on single pixels of the masks.
        assert [ours.lung_fraction, ours.frontal, ours.band] == pytest.approx(
            [theirs.lung_fraction, theirs.frontal, theirs.band], abs=1e-4
        )


def test_portions_of_a_long_batch_do_not_change_the_report(phantoms, monkeypatch):
    whole = check(phantoms, augmentations=1)
    monkeypatch.setattr(sys.modules["anatpaste_aug.inspection.check"], "_PIXELS", 3 * 128**2)
    assert [row.lung_fraction for row in check(phantoms, augmentations=1)] == [row.lung_fraction for row in whole]
    assert [row.index for row in check(phantoms, augmentations=1)] == list(range(8))


def test_the_images_are_not_changed_and_names_are_kept(phantoms):
    before = phantoms.clone()
    report = check(phantoms, names=list("abcdefgh"))
    assert torch.equal(before, phantoms)
    assert "".join(row.name for row in report) == "abcdefgh"


def test_an_empty_batch_is_no_error():
    report = check(torch.zeros(0, 1, 64, 64))
    assert (len(report), report.empty_share, report.hidden_share) == (0, 0, 0)
    assert str(report) == "0 images checked"


# images with known problems


def test_healthy_phantoms_are_not_called_inverted_framed_or_lateral(phantoms):
    wrong = {"inverted", "bright border", "not frontal", "border"}
    assert not any(wrong & set(kinds(row)) for row in check(phantom_batch(24, size=128).images))


def test_a_folder_of_images_on_their_side_is_named(tmp_path):
    for i, image in enumerate(phantom_batch(4, size=128).images[:, 0]):
        save(tmp_path, f"upright/{i}.png", image.numpy())
        save(tmp_path, f"turned/{i}.png", image.T.contiguous().numpy())
    upright, turned = (check_folder(tmp_path / name, progress=False) for name in ("upright", "turned"))
    assert all(kinds(row) == ["on its side"] for row in turned)
    assert "most images lie on their side (4 of 4)" in str(turned)
    assert "reverse_indexing=False" in str(turned)
    assert "on its side" not in str(upright)
    assert "orientation" not in str(upright)


def test_inverted_images_are_found(phantoms):
    assert [kinds(row) for row in check(255 - phantoms)] == [["inverted"]] * 8


@pytest.mark.parametrize(("value", "kind"), [(255, "bright border"), (0, "border")])
def test_collimated_images_are_found(phantoms, value, kind):
    for row in check(pad(phantoms, (20, 20, 16, 16), value=value)):
        assert kind in kinds(row)
        assert "inverted" not in kinds(row)
        assert "crop" in row.suspicions[kinds(row).index(kind)].remedy


def test_an_image_without_lungs_is_found():
    row = check(torch.full((1, 1, 64, 64), 90, dtype=torch.uint8)).images[0]
    assert row.fallback
    assert kinds(row) == ["no lungs", "not frontal"]


def test_settings_with_hardly_visible_results_show_in_the_summary(phantoms):
    report = check(phantoms, transform=AnatPasteTransform(opacity=(0.001, 0.01)))
    assert report.hidden_share == 1


def test_real_radiographs(radiographs):
    images, normal = radiographs.images[:60], [name.startswith(("IM", "NORMAL")) for name in radiographs.names[:60]]
    assert sum(normal) > 20
    report = check(images, augmentations=1)
    grave = {"inverted", "bright border", "not frontal", "no lungs"}
    assert not any(grave & set(kinds(row)) for row, healthy in zip(report, normal, strict=True) if healthy)
    assert all(kinds(row) == ["inverted"] for row in check(255 - images, augmentations=1))


# arguments


def test_impossible_arguments_are_named(phantoms):
    with pytest.raises(ValueError, match="augmentations=0"):
        check(phantoms, augmentations=0)
    with pytest.raises(ValueError, match="uses no region, so there are no lung masks to check; choose place=region"):
        check(phantoms, transform=AnatPasteTransform(segmentation=False))
    with pytest.raises(ValueError, match="names has 1 entries for 8 images"):
        check(phantoms, names=["a"])
    with pytest.raises(TypeError, match=r"must be a torch\.Tensor"):
        check(phantoms.numpy())


# folders


def test_a_folder_is_checked_as_its_images_are(tmp_path, phantoms):
    for i, image in enumerate(phantoms):
        save(tmp_path, f"part{i % 2}/{i}.png", image[0].numpy())
    (tmp_path / "labels.csv").write_text("a,b")
    (tmp_path / ".hidden.png").write_text("")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "0.png").write_text("")
    (tmp_path / "part0" / "cut.jpeg").write_bytes(b"\xff\xd8\xff")
    report = check_folder(tmp_path, size=128, progress=False)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    assert [row.name for row in report] == [f"part{i % 2}/{i}.png" for i in order]
    assert report.images == check(phantoms[order], names=[row.name for row in report]).images
    assert [name for name, _ in report.unreadable] == ["part0/cut.jpeg"]
    assert "cut.jpeg is not an image" in report.unreadable[0][1]
    assert report.not_images == ("labels.csv",)
    json.dumps(report.to_dict())


def test_white_is_inferred_or_given(tmp_path, phantoms):
    expected = [row.lung_fraction for row in check(phantoms)]
    for i, pixels in enumerate(phantoms[:, 0].numpy()):
        save(tmp_path, f"{i}.png", np.rint(pixels / 255 * 4095).astype(np.uint16))
    options = {"size": 128, "progress": False}
    found = check_folder(tmp_path, **options)
    assert found.white == White(4095, 8, {12: 8})
    assert [row.lung_fraction for row in found] == pytest.approx(expected, abs=0.02)
    assert "8 without a value of white; 4095 is used" in str(found)
    given = check_folder(tmp_path, white=255, **options)  # nearly all is white
    assert given.white == White(255, 8, {})
    assert [row.lung_fraction for row in given] != pytest.approx(expected, abs=0.02)
    with pytest.raises(ValueError, match="white=0: expected"):
        check_folder(tmp_path, white=0, **options)


def test_a_limit_is_spread_over_the_names(tmp_path):
    for i in range(10):
        save(tmp_path, f"{i}.png", np.full((40, 40), 25 * i, np.uint8))
    assert [row.name for row in check_folder(tmp_path, size=32, limit=4, progress=False)] == [
        f"{i}.png" for i in (0, 2, 5, 7)
    ]
    assert len(check_folder(tmp_path, size=32, limit=99, progress=False)) == 10


def test_folders_that_cannot_be_checked(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DatasetError, match=r"no image in .* \(1 other files\)"):
        check_folder(tmp_path)
    for place in (tmp_path / "missing", tmp_path / "a.txt"):
        with pytest.raises(DatasetError, match="is not a folder; give the one that contains the images"):
            check_folder(place)
    for name, value in (("size", 31), ("limit", 0)):
        with pytest.raises(ValueError, match=f"{name}={value}"):
            check_folder(tmp_path, **{name: value})


def test_progress_is_shown_on_standard_error(tmp_path, capsys):
    save(tmp_path, "a.png", np.zeros((40, 40), np.uint8))
    check_folder(tmp_path, size=32)
    out, err = capsys.readouterr()
    assert out == ""
    assert "1/1" in err
