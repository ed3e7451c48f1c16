import pytest
import torch
from helpers.oracles import smooth_images
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.segmentation import NetworkSegmenter


class Recorder(nn.Module):
    """Returns fixed maps, or those that `answer` computes, and records its inputs."""

    def __init__(self, answer=None, dtype=torch.float32):
        super().__init__()
        self.answer = answer or (lambda x: x[:, :1])
        self.weight = nn.Parameter(torch.ones(1, dtype=dtype))

    def forward(self, x):
        self.seen, self.was_training, self.recorded = x, self.training, torch.is_grad_enabled()
        return self.answer(x)


UNIT = smooth_images(2, 64, 48) / 255


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_one_channel_is_cut_at_the_threshold(activation):
    network = Recorder()
    found = NetworkSegmenter(network, activation=activation, threshold=0.6)(UNIT)
    assert torch.equal(found, (UNIT if activation is None else UNIT.sigmoid()) >= 0.6)
    assert found.dtype == torch.bool


def logits(x):
    """14 targets, as the networks of torchxrayvision have."""
    return 4 * torch.randn(len(x), 14, *x.shape[-2:], generator=torch.Generator().manual_seed(0))


def test_several_classes_are_joined():
    maps = logits(UNIT)
    by_sigmoid = NetworkSegmenter(Recorder(logits), classes=(4, 5))(UNIT)
    assert torch.equal(by_sigmoid, (maps[:, [4]] >= 0) | (maps[:, [5]] >= 0))
    by_softmax = NetworkSegmenter(Recorder(logits), classes=[4, 5], activation="softmax", threshold=0.3)(UNIT)
    expected = maps.softmax(1)[:, 4:6].sum(1, keepdim=True)
    assert torch.equal(by_softmax, expected >= 0.3)
    one = NetworkSegmenter(Recorder(logits), classes=7)(UNIT)
    assert torch.equal(one, maps[:, [7]] >= 0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("wanted", [1, 3])
def test_the_network_sees_normalized_images_of_its_channels(dtype, channels, wanted):
    """Tolerance: 1e-2 for half precision's gray levels over a standard deviation of 0.2, else 1e-5."""
    images = smooth_images(2, 64, 48, channels)
    given = images if dtype == torch.uint8 else (images.double() / 255).to(dtype)
    mean, std = [0.4, 0.5, 0.6][:wanted], [0.2, 0.3, 0.4][:wanted]
    network = Recorder()
    NetworkSegmenter(network, channels=wanted, mean=mean, std=std)(given)
    unit = images.double() / 255
    if channels > wanted:
        unit = (unit * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    expected = (unit.expand(-1, wanted, -1, -1) - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(
        1, -1, 1, 1
    )
    atol = {torch.float16: 1e-2, torch.uint8: 1e-2 if channels > wanted else 1e-5}.get(dtype, 1e-4)
    assert network.seen.dtype == torch.float32
    torch.testing.assert_close(network.seen.double(), expected, rtol=0, atol=atol)


def test_value_range_sets_the_scale():
    network = Recorder()
    NetworkSegmenter(network, value_range=(-1024, 3071), mean=[0.5], std=[1 / 2048])(UNIT * 4095 - 1024)
    torch.testing.assert_close(network.seen, (UNIT - 0.5) * 2048, rtol=0, atol=0.01)  # of 2048: float32 of the sum


@pytest.mark.parametrize("size", [32, (32, 40), (80, 100)])
def test_images_are_resized_for_the_network_and_the_mask_back(size):
    """Tolerance: 3 % of the pixels, at the edges of the fields."""
    network = Recorder()
    found = NetworkSegmenter(network, size=size, activation=None)(UNIT)
    assert network.seen.shape[-2:] == ((size, size) if isinstance(size, int) else size)
    assert found.shape == (2, 1, 64, 48)
    smooth = nn.functional.avg_pool2d(UNIT, 3, 1, 1, count_include_pad=False)
    sure = (smooth - 0.5).abs() > 0.08
    assert (found == (smooth >= 0.5))[sure].float().mean() > 0.97


def test_a_coarse_output_is_resized_to_the_images():
    found = NetworkSegmenter(Recorder(lambda x: torch.tensor([[[[9.0, -9.0]]]]).expand(2, 1, 1, 2)))(UNIT)
    assert torch.equal(found, (torch.arange(48) < 24).expand(2, 1, 64, 48))


def test_the_network_stays_in_eval_mode_and_records_no_gradient():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))
    segmenter = NetworkSegmenter(network.train())
    transform = AnatPasteTransform(segmenter=segmenter).train()
    assert segmenter.training
    assert not any(module.training for module in network.modules())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert torch.equal(segmenter(UNIT), segmenter(UNIT))
    result = transform.augment(UNIT)
    assert torch.equal(result.region_mask, segmenter(UNIT))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    recorder = Recorder()
    NetworkSegmenter(recorder)(UNIT.clone().requires_grad_())
    assert not recorder.recorded
    assert not recorder.was_training


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_network_sees_its_own_dtype(dtype):
    network = Recorder(dtype=dtype)
    NetworkSegmenter(network)(UNIT)
    assert network.seen.dtype == dtype


def test_a_torchvision_network():
    torch.manual_seed(0)
    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    segmenter = NetworkSegmenter(network, classes=1, activation="softmax", threshold=0.3, channels=3, **imagenet)
    scaled = UNIT.expand(-1, 3, -1, -1) - torch.tensor(imagenet["mean"]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = network(scaled / torch.tensor(imagenet["std"]).view(1, 3, 1, 1))["out"].softmax(1)[:, 1:2]
    assert torch.equal(segmenter(UNIT), expected >= 0.3)
    with pytest.raises(ValueError, match=r"the network's output has the keys \['out'\]; pass one of them as output="):
        NetworkSegmenter(network, classes=1, channels=3, output="main")(UNIT)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"network": lambda x: x}, TypeError, "network must be a torch.nn.Module, got function"),
        ({"channels": 2}, ValueError, "channels must be 1 or 3, got 2"),
        ({"activation": "relu"}, ValueError, "activation must be one of 'sigmoid', 'softmax', got 'relu'"),
        ({"threshold": 2}, ValueError, r"threshold must be a number in \[0, 1\], got 2"),
        ({"classes": -1}, ValueError, "classes must be a whole number of at least 0, got -1"),
        ({"classes": ()}, ValueError, "classes must name at least one channel"),
        ({"size": (1, 2, 3)}, ValueError, r"size must be one number or \(h, w\), got \(1, 2, 3\)"),
        ({"size": 0}, ValueError, "size must be a whole number of at least 1, got 0"),
        ({"mean": [0.5]}, ValueError, "pass both mean and std or neither"),
        ({"mean": [0.5] * 3, "std": [0.5] * 3}, ValueError, "mean and std have 3 values for a network of 1 channel"),
        ({"value_range": (1, 1)}, ValueError, "value_range must be"),
    ],
)
def test_an_impossible_setting_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        NetworkSegmenter(**({"network": Recorder()} | settings))


@pytest.mark.parametrize(
    ("answer", "settings", "error", "message"),
    [
        (logits, {}, ValueError, "the network has 14 output channels; choose those of the organ with classes="),
        (logits, {"classes": (4, 14)}, ValueError, r"classes=\(4, 14\) are not all among the network's 14"),
        (lambda x: x > 0, {}, TypeError, "must return floating-point maps, got torch.bool"),
        (lambda x: (x, x), {}, TypeError, "must return floating-point maps, got tuple"),
        (lambda x: x[:, 0], {}, ValueError, r"must return maps of shape \(2, K, h, w\), got \(2, 64, 48\)"),
        (lambda x: x, {"activation": "softmax"}, ValueError, "softmax over one output channel is 1 everywhere"),
    ],
)
def test_an_output_that_does_not_fit_is_named(answer, settings, error, message):
    with pytest.raises(error, match=message):
        NetworkSegmenter(Recorder(answer), **settings)(UNIT)


def test_a_network_on_another_device_is_named():
    with pytest.raises(ValueError, match="the network is on meta and the images on cpu"):
        NetworkSegmenter(Recorder().to("meta"))(UNIT)
