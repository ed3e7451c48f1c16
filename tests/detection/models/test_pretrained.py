"""Networks with random weights, and with weights trained elsewhere."""

import pytest
import timm
import torch
import torchvision
from helpers.tiny.task import score_images
from sklearn.metrics import roc_auc_score

from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.detection.models.pretext_net import extract_features, prepare_inputs
from anatpaste_aug.detection.models.pretrained import pretrained_net, untrained_net

IMAGES = torch.randint(0, 256, (9, 1, 40, 33), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_untrained_features_depend_on_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (extract_features(untrained_net("test_byobnet", seed=s), IMAGES) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_untrained_features_see_a_difference_that_is_large():
    images = phantom_batch(40, size=64).images
    queries = torch.cat([images[20:30], 255 - images[30:]])
    scores = score_images(untrained_net("resnet18"), images[:20], queries)
    assert roc_auc_score([0] * 10 + [1] * 10, scores) > 0.95


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_pretrained_features_are_the_backbones(tmp_path, suffix):
    torch.manual_seed(0)
    source = timm.create_model("test_byobnet", pretrained=False, num_classes=5).eval()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": source.state_dict()}, path)
    else:
        from safetensors.torch import save_file

        save_file(source.state_dict(), path)
    net = pretrained_net(path, "test_byobnet", mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))
    pixels = IMAGES.float().expand(-1, 3, -1, -1) / 255
    normalised = torchvision.transforms.v2.functional.normalize(pixels, [0.4, 0.5, 0.6], [0.1, 0.2, 0.3])
    with torch.no_grad():
        pooled = source.forward_head(source.forward_features(normalised), pre_logits=True)
    expected = pooled / pooled.norm(dim=1, keepdim=True)
    torch.testing.assert_close(extract_features(net, IMAGES), expected, rtol=0, atol=1e-5)


def test_torchvisions_weights_and_imagenets_normalisation(tmp_path):
    source = torchvision.models.resnet18(weights=None).eval()
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    net = pretrained_net(tmp_path / "resnet18.pth")
    x = IMAGES.float().expand(-1, 3, -1, -1) / 255
    x = torchvision.transforms.v2.functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    source.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = torch.nn.functional.normalize(source(x), dim=1)
        found = net.features(prepare_inputs(IMAGES, 3))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(FileNotFoundError, match="give the file of the pretrained weights"):
        pretrained_net(path)
    torch.save(timm.create_model("test_byobnet", pretrained=False).state_dict(), path)
    with pytest.raises(ValueError, match=r"weights\.pth does not fit timm's resnet18: \d+ entries are missing \(bn1"):
        pretrained_net(path, "resnet18")
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no readable state dict"):
        pretrained_net(path, "test_byobnet")
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"no (readable )?state dict"):
        pretrained_net(path, "test_byobnet")
    torch.save(torch.nn.Linear(1, 1), path)  # a pickle that would run code is refused, not run
    with pytest.raises(ValueError, match="no readable state dict"):
        pretrained_net(path, "test_byobnet")
    torch.save(timm.create_model("test_byobnet", pretrained=False).state_dict(), path)
    with pytest.raises(ValueError, match="std must be three positive numbers"):
        pretrained_net(path, "test_byobnet", std=(1.0, 0.0, 1.0))
