"""The augmentations that the paper compares, by the names that command lines give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anatpaste_aug.transforms import AnatPasteTransform, CutPasteTransform


class Pasted(NamedTuple):
    """What a method makes of N×1×S×S images; ``mask`` may be soft; ``region_mask`` is None where no lungs are used."""

    image: Tensor
    mask: Tensor
    region_mask: Tensor | None


@dataclass(frozen=True)
class Method:
    """What normal images are told apart from.

    Args:
        label: how results name it; as the published rows do where the method is the same.
        about: what it does, in a sentence for a reader of the report.
        transforms: make the augmentations, objects whose ``augment`` :func:`anatpaste_aug.detection.train` takes; each
            is a class of the pretext task.
    """

    label: str
    about: str
    transforms: tuple[Callable[[], Any], ...]

    @property
    def num_classes(self) -> int:
        """Of the pretext task, the normal images among them."""
        return 1 + len(self.transforms)

    def paste(self, images: Tensor) -> Pasted:
        """Images as the method augments them, for pictures; several augmentations take turns."""
        results = [make().augment(images) for make in self.transforms]
        rows = torch.arange(len(images))
        turns = rows % len(results), rows
        pasted = torch.stack([result.image for result in results])[turns]
        masks = torch.stack([result.soft_mask for result in results])[turns]
        return Pasted(pasted, masks, results[0].region_mask)


METHODS = {
    "anatpaste": Method(
        "AnatPaste",
        "A patch from elsewhere in the image is pasted through a blurred shape that is cut to the lungs.",
        (AnatPasteTransform,),
    ),
    "anatpaste-noseg": Method(
        "AnatPaste without segmentation",
        "Ablation: the blurred shape lies anywhere, and the lungs do not matter.",
        (partial(AnatPasteTransform, segmentation=False),),
    ),
    "anatpaste-noblur": Method(
        "AnatPaste without blur",
        "Ablation: the shape that is cut to the lungs has hard edges.",
        (partial(AnatPasteTransform, blur=False),),
    ),
    "anatpaste-noseg-noblur": Method(
        "AnatPaste without segmentation and blur",
        "Ablation: a shape with hard edges lies anywhere.",
        (partial(AnatPasteTransform, segmentation=False, blur=False),),
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
        "A large rectangle or a scar, one as often as the other.",
        (partial(CutPasteTransform, variant="union"),),
    ),
    "cutpaste-3way": Method(
        "CutPaste (3-way)",
        "The network tells three classes apart: normal, a large rectangle pasted, a scar pasted.",
        (partial(CutPasteTransform, variant="normal"), partial(CutPasteTransform, variant="scar")),
    ),
}
"""Name on the command line -> method."""

NEEDED = {
    "table 1": ("anatpaste", "cutpaste-scar"),
    "table 2": ("anatpaste",),
    "table 3": ("anatpaste", "anatpaste-noseg", "anatpaste-noblur", "cutpaste-scar"),
    "figure 1": (),
    "figure 3": ("anatpaste", "cutpaste-scar"),
    "figure 4": ("anatpaste",),
    "figure 5": ("anatpaste",),
}
"""Table or figure of the paper -> the methods that it takes trainings of; Figure 1 takes none."""

DRAWN = ("cutpaste", "anatpaste")
"""The methods of Figure 1."""
