"""Structure and shapes of the pretext network."""

import sys

import pytest
import timm
import torch
from torch import nn

from anatpaste_aug.detection.models.pretext_net import (
    PretextNet,
    check_backbone,
    extract_features,
    prepare_inputs,
    views,
)

TIMM = tuple(int(part) for part in timm.__version__.split(".")[:3] if part.isdigit())


def test_head_of_the_paper():
    net = PretextNet()
    kinds = [type(layer) for layer in net.head]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    linear = [layer for layer in net.head if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(512, 512), (512, 128), (128, 2)]


@pytest.mark.parametrize("in_chans", [1, 3])
def test_shapes_and_unit_length(in_chans):
    net = PretextNet(in_chans=in_chans, hidden=(8,), num_classes=4).eval()
    x = torch.randn(3, in_chans, 32, 40)
    assert net(x).shape == (3, 4)
    features = net.features(x)
    assert features.shape == (3, 512)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))


# One whose pooled features are wider than num_features, and one built for a single input size.
@pytest.mark.parametrize(("backbone", "width"), [("lcnet_035", 1280), ("test_vit", 64)])
def test_other_backbones(backbone, width):
    net = PretextNet(backbone, image_size=64).eval()
    x = torch.randn(2, 1, 64, 64)
    assert net(x).shape == (2, 2)
    assert net.features(x).shape == (2, width)


@pytest.mark.parametrize("backbone", ["resnet18", "test_byobnet", "mobilenetv3_small_050"])
def test_features_of_stages_are_the_means_of_what_their_modules_return(backbone):
    net = PretextNet(backbone).eval()
    x = torch.randn(2, 1, 64, 64)
    names = [net.backbone.feature_info[stage]["module"] for stage in (2, 4)]
    outputs = []
    for name in names:
        net.backbone.get_submodule(name).register_forward_hook(lambda *arguments: outputs.append(arguments[-1]))
    found = net.features(x, (4, 2))  # the order does not matter
    means = [output.mean((2, 3)) for output in outputs]
    expected = torch.cat([mean / mean.norm(dim=1, keepdim=True) for mean in means], dim=1) / 2**0.5
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_the_last_stage_of_a_resnet_is_its_output():
    net = PretextNet().eval()
    x = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(net.features(x, (4,)), net.features(x))


def test_stages_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="no stages 3 5: it has the stages 0 to 4; choose from these"):
        check_backbone("resnet18", image_size=32, stages=(3, 5))
    check_backbone("resnet18", image_size=32, stages=(3, 4))


def test_features_are_averaged_over_the_views():
    net = PretextNet("test_byobnet").eval()
    images = torch.rand(3, 1, 64, 64)
    found = extract_features(net, images, average_views=True, batch_size=2)
    of_views = [extract_features(net, view) for view in views(images)]
    mean = torch.stack(of_views).mean(0)
    torch.testing.assert_close(found, mean / mean.norm(dim=1, keepdim=True), rtol=0, atol=1e-5)
    torch.testing.assert_close(extract_features(net, images.flip(-1)), of_views[1], rtol=0, atol=1e-5)
    assert not torch.allclose(found, of_views[0], atol=1e-3)


def test_views_are_flipped_and_shifted_by_a_thirty_second():
    images = torch.rand(2, 1, 64, 96)
    plain, flipped, down, up, right, left = views(images)
    assert torch.equal(plain, images)
    assert torch.equal(flipped, images.flip(3))
    assert torch.equal(down[:, :, 2:], images[:, :, :-2])
    assert torch.equal(down[:, :, :2], images[:, :, :1].expand(-1, -1, 2, -1))
    assert torch.equal(up[:, :, :-2], images[:, :, 2:])
    assert torch.equal(right[..., 3:], images[..., :-3])
    assert torch.equal(left[..., :-3], images[..., 3:])
    assert torch.equal(left[..., -3:], images[..., -1:].expand(-1, -1, -1, 3))


def test_unknown_backbone_names_it_and_what_is_close():
    with pytest.raises(ValueError, match=r"'resnet81'.*resnet18"):
        PretextNet("resnet81")
    with pytest.raises(ValueError, match=r"'qqqq'.*list_models"):
        PretextNet("qqqq")


def test_missing_timm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"anatpaste_aug\[examples\]"):
        PretextNet()


def test_prepare_inputs():
    image = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    expected = torch.tensor([-1.0, -0.6, 1.0])
    torch.testing.assert_close(prepare_inputs(image)[0, 0, 0], expected)
    three = prepare_inputs(image.float() / 255, 3)
    assert three.shape == (1, 3, 1, 3)
    torch.testing.assert_close(three[0, 2, 0], expected)
    with pytest.raises(TypeError, match="int64"):
        prepare_inputs(image.long())
    with pytest.raises(ValueError, match=r"\(1, 1, 3\)"):
        prepare_inputs(image[0])
    with pytest.raises(ValueError, match=r"\{1, 1\}"):
        prepare_inputs(torch.rand(1, 3, 8, 8), 1)


def test_extract_features_in_batches_and_leaves_the_mode():
    net = PretextNet("test_byobnet").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.randint(0, 256, (7, 1, 32, 32), dtype=torch.uint8)
    features = extract_features(net, images, batch_size=3)
    assert features.shape == (7, net.head[0].in_features)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    torch.testing.assert_close(extract_features(net.eval(), images), features, rtol=0, atol=1e-5)
    assert not net.training
    with pytest.raises(ValueError, match="no images"):
        extract_features(net, images[:0])


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("resnet81", 32, "timm knows no backbone 'resnet81': did you mean resnet18"),
        pytest.param(
            "test_vit",
            40,
            r"test_vit does not take images of 40×40 pixels: Input height \(40\) should be divisible",
            marks=pytest.mark.skipif(TIMM < (1, 0, 10), reason="timm 1.0.9 leaves out the pixels that do not fit"),
        ),
    ],
)
def test_a_backbone_is_tried_before_any_work(name, size, said):
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=said):
        check_backbone(name, image_size=size)
    check_backbone("test_byobnet", image_size=32)
    check_backbone("test_byobnet", 3, image_size=32)
    assert torch.equal(torch.get_rng_state(), state)
