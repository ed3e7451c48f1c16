"""AnatPaste in a MONAI pipeline: lungs segmented once in a cache, anomalies pasted anew in every epoch.

python examples/monai_pipeline.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceLoss
from monai.networks.nets import BasicUNet
from monai.transforms import (
    Compose,
    CopyItemsd,
    EnsureChannelFirstd,
    Lambdad,
    LoadImaged,
    RandFlipd,
    ScaleIntensityd,
)
from monai.utils import set_determinism
from torchvision.transforms.v2.functional import to_pil_image

from anatpaste_aug import LungSegmenter
from anatpaste_aug.adapters.monai import MonaiPasted
from anatpaste_aug.datasets import phantom_batch

segmenter = LungSegmenter()


def segment(image: torch.Tensor) -> torch.Tensor:
    return segmenter(torch.as_tensor(image)[None])[0]


def main(size: int = 64, count: int = 16, epochs: int = 3) -> None:
    set_determinism(0)
    pipeline = Compose(
        [
            LoadImaged(keys="image", reverse_indexing=False),  # without that setting MONAI transposes PNG and JPEG
            EnsureChannelFirstd(keys="image"),
            ScaleIntensityd(keys="image"),
            CopyItemsd(keys="image", names="region_mask"),
            Lambdad(keys="region_mask", func=segment),  # all up to here is cached
            MonaiPasted("image", region_mask_key="region_mask"),
            RandFlipd(keys=["image", "anomaly_mask"], prob=0.5, spatial_axis=1),
        ]
    )
    with TemporaryDirectory() as folder:
        samples = [{"image": str(Path(folder) / f"{i}.png")} for i in range(count)]
        for sample, image in zip(samples, phantom_batch(count, size=size).images, strict=True):
            to_pil_image(image).save(sample["image"])
        dataset = CacheDataset(samples, pipeline, progress=False)
    loader = DataLoader(dataset, batch_size=8, shuffle=True)
    net = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=(8, 8, 16, 16, 32, 8))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    criterion = DiceLoss(sigmoid=True)
    for epoch in range(epochs):
        for batch in loader:
            loss = criterion(net(batch["image"]), batch["anomaly_mask"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: Dice loss {loss.item():.3f}, {batch['anomaly_mask'].float().mean():.1%} anomalous")


if __name__ == "__main__":
    main()
