"""Train a small network to tell normal radiographs from their augmentations.

python examples/one_class_pairs.py                      # normal against AnatPaste
python examples/one_class_pairs.py --method cutpaste    # normal against CutPaste
python examples/one_class_pairs.py --method 3way        # normal against CutPaste against CutPaste-scar

On phantom radiographs, in seconds. Everything but the network is what a real run needs: the loader yields normal images
alone, and `one_class_batch` makes the rest of the batch on the device, with labels and pixel masks.
"""

from argparse import Namespace
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, one_class_batch
from anatpaste_aug.cli import CommandLine
from anatpaste_aug.cli.values import COUNT, SIDE, device
from anatpaste_aug.datasets import phantom_batch

METHODS = {
    "anatpaste": [AnatPasteTransform()],
    "cutpaste": [CutPasteTransform()],
    "3way": [CutPasteTransform(variant="normal"), CutPasteTransform(variant="scar")],
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandLine(__doc__, prog="python examples/one_class_pairs.py", usage="%(prog)s [--method NAME] [options]")
    parser.add_argument("--method", choices=METHODS, default="anatpaste")
    parser.add_argument("--images", type=COUNT, default=64)
    parser.add_argument("--size", type=SIDE, default=64)
    parser.add_argument("--epochs", type=COUNT, default=20)
    parser.add_argument("--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.run(train, argv)


def train(arguments: Namespace) -> None:
    torch.manual_seed(0)
    augmentations = METHODS[arguments.method]
    loader = DataLoader(phantom_batch(arguments.images, size=arguments.size).images, batch_size=16, shuffle=True)
    net = small_network(classes=1 + len(augmentations)).to(arguments.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(arguments.epochs):
        loss_sum, correct, seen = 0.0, 0, 0
        for normal in loader:
            batch = one_class_batch(normal.to(arguments.device), *augmentations)  # images, masks, labels
            logits = net((batch.images.float() / 255 - 0.5) / 0.5)
            loss = F.cross_entropy(logits, batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(logits)
            correct += (logits.argmax(1) == batch.labels).sum().item()
            seen += len(logits)
        print(f"epoch {epoch + 1}: loss {loss_sum / seen:.3f}, accuracy {correct / seen:.2f}, {seen} images")


def small_network(classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes))


if __name__ == "__main__":
    raise SystemExit(main())
