"""The methods that the paper compares, by their names on the command line: a detector, and what it learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from anatpaste_aug.detection.models.f_anogan.detector import FAnoGanDetector
from anatpaste_aug.detection.models.ganomaly.detector import GanomalyDetector
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.pretext_detector import PretextDetector
from anatpaste_aug.detection.models.squid.detector import SquidDetector
from anatpaste_aug.detection.models.trained import TrainedDetector
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.transforms import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PIITransform,
)


class AugmentedImages(NamedTuple):
    """N×1×S×S augmented images with their masks; ``mask`` may be soft, ``region_mask`` is None without lungs."""

    image: Tensor
    mask: Tensor
    region_mask: Tensor | None


@dataclass(frozen=True)
class Method:
    """A detector, and the augmentations that it learns to distinguish from normal images.

    Args:
        label: Name in results, equal to that of a published row if the method is the same.
        about: Description in a sentence or two, for the report.
        transforms: Functions that create the augmentations for a `PretextDetector`; each is a class of
            the pretext task. Empty for a detector that learns from normal images alone.
        detector: The detector.
    """

    label: str
    about: str
    transforms: tuple[Callable[[], Any], ...] = ()
    detector: type[TrainedDetector] = PretextDetector

    @property
    def num_classes(self) -> int:
        """Number of classes of the pretext task, including that of normal images."""
        return 1 + len(self.transforms)

    def create(self, config: TrainConfig, white: int | None = None) -> TrainedDetector:
        """Return the detector, ready to be trained with settings of its `config_type`."""
        if self.transforms:
            augments = [make().augment for make in self.transforms]
            return PretextDetector(cast(PretextConfig, config), augments, white=white)
        return self.detector(config, white=white)

    def augment(self, images: Tensor, regions: Tensor | None = None) -> AugmentedImages:
        """Augment images for pictures, inside given masks; several augmentations take turns.

        Raises:
            ValueError: The method has no augmentations.
        """
        if not self.transforms:
            raise ValueError(f"{self.label} augments no images: it learns from the normal ones alone")
        results = [make().augment(images, region_mask=regions) for make in self.transforms]
        rows = torch.arange(len(images))
        turns = rows % len(results), rows
        augmented = torch.stack([result.image for result in results])[turns]
        masks = torch.stack([result.soft_mask for result in results])[turns]
        return AugmentedImages(augmented, masks, results[0].region_mask)


METHODS = {
    "anatpaste": Method(
        "AnatPaste",
        "A patch from elsewhere in the image is pasted through a blurred shape that is cut to the lungs.",
        (AnatPasteTransform,),
    ),
    "anatpaste-noseg": Method(
        "AnatPaste without segmentation",
        "Ablation: the blurred shape may be anywhere in the image.",
        (partial(AnatPasteTransform, segmentation=False),),
    ),
    "anatpaste-noblur": Method(
        "AnatPaste without blur",
        "Ablation: the shape that is cut to the lungs has hard edges.",
        (partial(AnatPasteTransform, blur=False),),
    ),
    "anatpaste-noseg-noblur": Method(
        "AnatPaste without segmentation and blur",
        "Ablation: a shape with hard edges may be anywhere in the image.",
        (partial(AnatPasteTransform, segmentation=False, blur=False),),
    ),
    "anatpaste-donors": Method(
        "AnatPaste, two patches of other images",
        "Two patches of other images of the batch. Beyond their edges, blurred shapes show those images, not black.",
        (partial(AnatPasteTransform, source="batch", beyond="source", patches=(2, 2)),),
    ),
    "cutpaste": Method(
        "CutPaste",
        "A large rectangle is pasted at another place of the image.",
        (partial(CutPasteTransform, variant="normal"),),
    ),
    "cutpaste-scar": Method(
        "CutPaste (scar)",
        "A long, thin, rotated rectangle is pasted at another place of the image.",
        (partial(CutPasteTransform, variant="scar"),),
    ),
    "cutpaste-union": Method(
        "CutPaste (union)",
        "A large rectangle or a scar, with equal probability.",
        (partial(CutPasteTransform, variant="union"),),
    ),
    "cutpaste-3way": Method(
        "CutPaste (3-way)",
        "The network distinguishes three classes: normal, a large rectangle pasted, a scar pasted.",
        (partial(CutPasteTransform, variant="normal"), partial(CutPasteTransform, variant="scar")),
    ),
    "fpi": Method(
        "FPI",
        "A box of another image is interpolated into the same place.",
        (FPITransform,),
    ),
    "pii": Method(
        "PII",
        "A box of another image is blended into the same place by its gradients.",
        (PIITransform,),
    ),
    "nsa": Method(
        "NSA",
        "Up to three resized patches of another image are blended in by their gradients.",
        (NSATransform,),
    ),
    "anat-fpi": Method(
        "FPI in the lungs",
        "FPI, its mask multiplied by the lung mask.",
        (partial(FPITransform, anatomy=True),),
    ),
    "anat-pii": Method(
        "PII in the lungs",
        "PII, its mask multiplied by the lung mask.",
        (partial(PIITransform, anatomy=True),),
    ),
    "anat-nsa": Method(
        "NSA in the lungs",
        "NSA, its mask multiplied by the lung mask.",
        (partial(NSATransform, anatomy=True),),
    ),
    "f-anogan": Method(
        "f-AnoGAN",
        "A Wasserstein GAN learns to generate normal images, then an encoder learns to find the code that generates an "
        "image. The score is the mean squared difference of image and reconstruction, and of the critic's features.",
        detector=FAnoGanDetector,
    ),
    "ganomaly": Method(
        "GANomaly",
        "An encoder and a decoder, trained with a discriminator, reconstruct normal images. The score is the mean "
        "squared difference between the code of an image and the code of its reconstruction.",
        detector=GanomalyDetector,
    ),
    "squid": Method(
        "SQUID",
        "Each quarter of the image is reconstructed from its neighbors by memories of normal images. The score is how "
        "abnormal a discriminator, trained on such reconstructions, finds that of an image.",
        detector=SquidDetector,
    ),
}
"""Name on the command line (`--method`) -> method."""

REQUIRED_METHODS = {
    "table 1": ("anatpaste", "f-anogan", "ganomaly", "cutpaste-scar", "squid"),
    "table 2": ("anatpaste",),
    "table 3": ("anatpaste", "anatpaste-noseg", "anatpaste-noblur", "cutpaste-scar"),
    "figure 1": (),
    "figure 3": ("anatpaste", "cutpaste-scar"),
    "figure 4": ("anatpaste",),
    "figure 5": ("anatpaste",),
}
"""Table or figure of the paper -> the methods that must be trained for it; Figure 1 needs no training."""

FIGURE_1_METHODS = ("cutpaste", "anatpaste")
"""The augmentations that Figure 1 shows."""
