"""AnatPaste in a kornia pipeline: geometry and synthetic anomalies in one sequence, with the anomaly mask.

python examples/kornia_pipeline.py
"""

import torch
from kornia.augmentation import AugmentationSequential, RandomAffine, RandomHorizontalFlip

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.datasets import phantom_batch


def main() -> None:
    torch.manual_seed(0)
    images = phantom_batch(8, size=128).images.float() / 255  # normal phantoms, B×1×H×W in [0, 1]
    pipeline = AugmentationSequential(
        RandomHorizontalFlip(p=0.5),
        KorniaPaste(AnatPasteTransform(p=0.5)),
        RandomAffine(degrees=5.0, p=1.0),
        data_keys=["input", "mask"],
    )
    augmented, mask = pipeline(images, torch.zeros_like(images))
    anomalous = mask.flatten(1).any(1)
    print(f"{int(anomalous.sum())} of {len(images)} images got an anomaly")
    for index in anomalous.nonzero().flatten().tolist():
        print(f"image {index}: {float(mask[index].mean()):.1%} of its pixels, after the affine transform")

    again, _ = pipeline(images, torch.zeros_like(images), params=pipeline._params)
    print(f"the same parameters repeat the batch bit for bit: {torch.equal(again, augmented)}")
    result = pipeline[1].result
    print(f"the lungs were found in {int(result.region_mask.flatten(1).any(1).sum())} of {len(images)} images")


if __name__ == "__main__":
    main()
