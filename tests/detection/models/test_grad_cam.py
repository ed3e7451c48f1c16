"""Grad-CAM against its definition, and what it must not touch."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretext_net import PretextNet, prepare_inputs

IMAGES = torch.randint(0, 256, (5, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(name="test_byobnet", **options):
    torch.manual_seed(1)
    return PretextNet(name, **options).eval()


def by_definition(net, layer, images, target):
    """Selvaraju et al.: the layer's channels weighted with their mean gradient, rectified, resized, scaled."""
    kept = {}

    def keep(module, inputs, output):
        kept["output"] = output
        output.retain_grad()

    handle = net.get_submodule(layer).register_forward_hook(keep)
    net(prepare_inputs(images, net.in_chans))[:, target].sum().backward()
    handle.remove()
    output = kept["output"]
    weights = output.grad.mean((2, 3), keepdim=True)
    maps = (weights * output).sum(1, keepdim=True).relu().detach()
    maps = maps - maps.amin((2, 3), keepdim=True)
    maps = F.interpolate(maps / (1e-7 + maps.amax((2, 3), keepdim=True)), images.shape[2:], mode="bilinear")
    maps = maps - maps.amin((2, 3), keepdim=True)
    return maps / (1e-7 + maps.amax((2, 3), keepdim=True))


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("name", ["resnet18", "resnet10t"])
def test_maps_are_the_definition(name, target):
    net = network(name)
    # In a stage of a single block the shortcut's convolution comes last.
    last = {"resnet18": "backbone.layer4.1.conv2", "resnet10t": "backbone.layer4.0.downsample.1"}[name]
    # OpenCV's bilinear resize and torch's differ by rounding.
    expected = by_definition(network(name), last, IMAGES, target)
    found = grad_cam(net, IMAGES, target=target, batch_size=2)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(grad_cam(net, IMAGES, layer=last, target=target), found, rtol=0, atol=1e-5)
    assert found.shape == (5, 1, 64, 64)
    assert found.std() > 0.05


def test_the_map_finds_what_the_network_looks_at():
    """A network whose evidence for class 1 is texture, on flat images with a textured quarter."""
    images = torch.full((4, 1, 64, 64), 0.5)
    corners = [(0, 0), (0, 32), (32, 0), (32, 32)]
    for image, (top, left) in zip(images, corners, strict=True):
        image[:, top : top + 32, left : left + 32] = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    net = network()
    net.backbone = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 3, padding=1))
    net.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    edge = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    with torch.no_grad():
        net.backbone[0].weight.copy_(torch.stack([edge, -edge]).unsqueeze(1))
        net.backbone[0].bias.zero_()
        net.backbone[2].weight.fill_(1.0)
        net.head[2].weight.copy_(torch.tensor([[-1.0], [1.0]]))
    maps = grad_cam(net, images)[:, 0]
    for found, (top, left) in zip(maps, corners, strict=True):
        inside = found[top : top + 32, left : left + 32].sum()
        assert inside > 0.9 * found.sum()
    # Texture speaks against class 0: nothing is left of its map.
    assert grad_cam(net, images, target=0).max() < 0.2 * maps.max()


def test_the_model_is_left_alone():
    net = network().train()
    net.head[0].weight.grad = torch.ones_like(net.head[0].weight)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        grad_cam(net, IMAGES)
    assert net.training
    assert torch.equal(net.head[0].weight.grad, torch.ones_like(net.head[0].weight))
    assert next(net.backbone.parameters()).grad is None
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert any(getattr(module, "inplace", False) for module in net.modules())


def test_in_place_activations_do_not_change_the_layer_before_them():
    def chain(inplace):
        torch.manual_seed(0)
        net = network()
        layers = [nn.Conv2d(1, 8, 3), nn.ReLU(inplace), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(inplace)]
        net.backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        net.head = nn.Linear(8, 2)
        return net

    expected = by_definition(chain(False), "backbone.2", IMAGES, 1)
    found = grad_cam(chain(True), IMAGES)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_convolutions_on_pooled_features_are_passed_over():
    net = network("mobilenetv3_small_050", hidden=())  # its conv_head sees one pooled pixel
    maps = grad_cam(net, IMAGES[:2].float() / 255)
    assert maps.flatten(1).std(1).min() > 0


def test_of_several_augmented_classes_the_one_with_the_largest_logit_is_explained():
    net = network(num_classes=3)
    chosen = 1 + net(prepare_inputs(IMAGES))[:, 1:].argmax(1)
    expected = torch.cat([grad_cam(net, IMAGES[i : i + 1], target=int(chosen[i])) for i in range(len(IMAGES))])
    torch.testing.assert_close(grad_cam(net, IMAGES), expected, rtol=0, atol=1e-5)
    two = network()
    assert torch.equal(grad_cam(two, IMAGES), grad_cam(two, IMAGES, target=1))


def test_impossible_inputs(monkeypatch):
    with pytest.raises(ValueError, match="no images"):
        grad_cam(network(), IMAGES[:0])
    with pytest.raises(ValueError, match=r"no layer 'backbone\.layer9'"):
        grad_cam(network(), IMAGES, layer="backbone.layer9")
    with pytest.raises(ValueError, match="target must be a class from 0 to 1, got 2"):
        grad_cam(network(), IMAGES, target=2)
    with pytest.raises(ValueError, match="no convolution that Grad-CAM could explain"):
        grad_cam(network("test_vit", image_size=64), IMAGES)
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(ImportError, match=r"anatpaste_aug\[examples\]"):
        grad_cam(network(), IMAGES)
