"""A module that holds an augmentation with a `NetworkSegmenter` trains in several processes."""

import pytest
import torch
from helpers.forks import torchrun
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from anatpaste_aug import AnatPasteTransform, NetworkSegmenter
from anatpaste_aug.detection import process_group


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.anatpaste = AnatPasteTransform(segmenter=NetworkSegmenter(nn.Conv2d(1, 1, 3, padding=1)))
        self.net = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, images):
        result = self.anatpaste.augment(images)
        return nn.functional.binary_cross_entropy_with_logits(self.net(result.image), result.anomaly_mask.float())


def train(folder):
    with process_group("cpu"):
        rank = distributed.get_rank()
        model = DistributedDataParallel(Detector())
        optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
        torch.manual_seed(rank)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(2, 1, 64, 64)).backward()
            optimizer.step()
        torch.save(model.module.state_dict(), folder / f"{rank}.pt")


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_two_processes_train_and_agree(tmp_path):
    assert torchrun(2, train, tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    given = Detector().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    moved = {name for name in first if not torch.equal(first[name], given[name])}
    assert moved == {"net.weight", "net.bias"}


def test_the_network_asks_for_no_gradient():
    model = Detector()
    model.train()
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"net.weight", "net.bias"}
    model(torch.rand(2, 1, 64, 64)).backward()
    assert all(p.grad is None for p in model.anatpaste.parameters())
