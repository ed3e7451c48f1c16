"""AnatPaste in a data set that works on NumPy arrays, as DRAEM's and NSA's code does.

python examples/numpy_dataset.py
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.datasets import phantom_batch


class TrainSet(Dataset):
    """Every second image with an anomaly, its mask, and whether there is one."""

    def __init__(self, images: npt.NDArray[np.float32]) -> None:
        self.images = images  # N×H×W×1 in [0, 1]
        self.paste = NumpyPaste(AnatPasteTransform(p=0.5), rng=0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, object]:
        image = self.images[index]
        augmented, mask = self.paste(image)
        return {
            "image": image.transpose(2, 0, 1),
            "augmented_image": augmented.transpose(2, 0, 1),
            "anomaly_mask": mask.astype(np.float32).transpose(2, 0, 1),
            "has_anomaly": np.float32(mask.any()),
        }


def main(size: int = 64, count: int = 16) -> None:
    torch.manual_seed(0)  # orders the loader and seeds its workers
    images = phantom_batch(count, size=size).images.numpy().transpose(0, 2, 3, 1).astype(np.float32) / 255
    for batch in DataLoader(TrainSet(images), batch_size=8, shuffle=True, num_workers=2):
        share = batch["anomaly_mask"].mean()
        print(f"{tuple(batch['augmented_image'].shape)}: {batch['has_anomaly'].sum():.0f} with an anomaly", end=", ")
        print(f"{share:.1%} of the pixels changed")


if __name__ == "__main__":
    main()
