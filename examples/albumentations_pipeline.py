"""AnatPaste in an albumentations pipeline: image and mask, before and after other transforms, and replayed.

python examples/albumentations_pipeline.py
"""

import albumentations as A
import numpy as np

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.albumentations import AlbumentationsPaste
from anatpaste_aug.datasets import phantom_batch


def main(size: int = 64, count: int = 6) -> None:
    pipeline = A.ReplayCompose(
        [
            A.RandomBrightnessContrast(p=0.5),
            AlbumentationsPaste(AnatPasteTransform(p=0.5), anomaly_target="anomaly", region_target="lungs"),
            A.Affine(rotate=(-5, 5), p=1.0),
        ],
        additional_targets={"anomaly": "mask", "lungs": "mask"},
    )
    pipeline.set_random_seed(0)
    phantoms = phantom_batch(count, size=size)
    for image, lungs in zip(phantoms.images[:, 0].numpy(), phantoms.lungs[:, 0].numpy(), strict=True):
        # OpenCV, on which albumentations stands, knows no booleans.
        sample = {"image": image, "anomaly": np.zeros_like(image), "lungs": lungs.astype(np.uint8)}
        result = pipeline(**sample)
        again = A.ReplayCompose.replay(result["replay"], **sample)
        same = np.array_equal(result["image"], again["image"])
        print(f"{result['anomaly'].mean():5.1%} of the pixels anomalous, replayed bit for bit: {same}")


if __name__ == "__main__":
    main()
