"""AnatPaste in timm's loader and training loop: a few steps of a normal-against-anomalous classifier.

python examples/timm_loader.py
"""

import timm
import torch
from timm.data.loader import PrefetchLoader, fast_collate
from torch.utils.data import DataLoader

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup
from anatpaste_aug.datasets import phantom_batch

NUMBERS = {"mean": (0.5,), "std": (0.25,)}  # what the loader normalizes with, and the transform undoes


def main() -> None:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    samples = [(image.numpy(), 0) for image in phantom_batch(32, size=64).images]  # uint8, class 0 is normal
    loader = PrefetchLoader(DataLoader(samples, 8, collate_fn=fast_collate), channels=1, device=device, **NUMBERS)
    # Twice the batch, as the paper trains: the normal images, then their augmentations.
    mixup_fn = TimmPasteMixup(AnatPasteTransform(**NUMBERS), pairs=True)
    model = timm.create_model("resnet10t", in_chans=1, num_classes=2).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    for step, batch in enumerate(loader):
        images, target = mixup_fn(*batch)
        loss = torch.nn.functional.cross_entropy(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step}: {int((target == 0).sum())} normal, {int(target.sum())} anomalous, loss {loss.item():.3f}")

    # Without targets, in the place of RandomErasing, on the loader's own stream.
    plain = torch.cat([images for images, _ in loader])
    loader.random_erasing = TimmPasteErasing(AnatPasteTransform(p=0.5, **NUMBERS))
    changed = (torch.cat([images for images, _ in loader]) != plain).flatten(1).any(1)
    print(f"{loader.random_erasing.__class__.__name__} changed {int(changed.sum())} of {len(plain)} images")


if __name__ == "__main__":
    main()
