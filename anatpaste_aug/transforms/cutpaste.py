"""CutPaste as a torchvision v2 transform, and on plain batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors

from ..cutpaste_params import CutPasteConfig, CutPasteParams, Variant, sample_cutpaste_params
from ..functional import Intensities, cutpaste, cutpaste_mask
from ..validation import (
    check_cutpaste_params,
    check_generator,
    check_images,
    check_intensities,
    check_range,
    intensities_for,
)
from .base import Transform
from .sample import as_batch, is_image_tensor, like_input, read_sample, united_with
from .tv_tensors import AnomalyMask


class CutPasteResult(NamedTuple):
    """What `CutPasteTransform.augment` returns.

    Attributes:
        image: The augmented B×C×H×W images, of the input's dtype.
        anomaly_mask: Boolean B×1×H×W, the pasted pixels. Outside it, ``image`` is the input bit for bit.
        params: The parameters used, one row per image.
        label: int64 B: 1, or 0 where an image was left alone.
    """

    image: Tensor
    anomaly_mask: Tensor
    params: CutPasteParams
    label: Tensor


class CutPasteTransform(Transform):
    """Paste a part of an image at another place of it (CutPaste; Li et al., arXiv 2104.04015).

    The baseline of the AnatPaste paper, without any anatomy. As a torchvision v2 transform it takes a sample of any
    structure; `augment` takes a plain batch, and can stand in for ``AnatPasteTransform().augment`` anywhere.

    Convention:
        * images: PIL (L, RGB), ``tv_tensors.Image`` or a plain tensor …×1×H×W or …×3×H×W, H and W from 32 up; uint8 in
          [0, 255], floating point in [0, 1] unless said otherwise. The type, dtype, device and range come back.
        * every image of a batch gets its own parameters; several images of one sample share them, and must be of one
          size
        * the pasted pixels are added to an `AnomalyMask` in the sample, so that after a chain of transforms it holds
          what all of them changed; everything else passes through as the identical object
        * randomness: ``torch.manual_seed``, or the generator given to `augment`
        * 3-way classification takes two transforms, "normal" and "scar": see `OneClassPairs` and `one_class_batch`

    Args:
        p: Probability that an image is augmented, drawn per image.
        variant: ``"normal"`` pastes a large rectangle, ``"scar"`` a long, thin, rotated one, ``"union"`` one of both,
            drawn per image with even odds.
        value_range: (black, white) of the images; None is (0, 255) for uint8 and (0, 1) for floating point.
        mean: Mean of images that are already normalised, as given to ``Normalize``: a number per channel, or one for
            all.
        std: Standard deviation of the same.
        area: Range of the rectangle's area, as a share of the image; uniform.
        aspect_ratio: Range of the rectangle's height / width; log-uniform.
        scar_width: Range of a scar's width, in pixels at 256×256; uniform.
        scar_length: Range of a scar's length, in pixels at 256×256; uniform.
        rotation: Range of a scar's angle in degrees, counter-clockwise; uniform.
        jitter: Strength of the patch's colour jitter.

    Raises:
        ValueError: A setting is impossible; the message names it and what is allowed.

    Example:
        >>> transform = CutPasteTransform(variant="union")
        >>> result = transform.augment(torch.rand(4, 1, 64, 64))
        >>> result.image.shape, result.label
        (torch.Size([4, 1, 64, 64]), tensor([1, 1, 1, 1]))
    """

    _transformed_types = (PIL.Image.Image, tv_tensors.Image, is_image_tensor, AnomalyMask)

    def __init__(
        self,
        p: float = 1.0,
        *,
        variant: Variant = CutPasteConfig.variant,
        value_range: tuple[float, float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        area: tuple[float, float] = CutPasteConfig.area,
        aspect_ratio: tuple[float, float] = CutPasteConfig.aspect_ratio,
        scar_width: tuple[float, float] = CutPasteConfig.scar_width,
        scar_length: tuple[float, float] = CutPasteConfig.scar_length,
        rotation: tuple[float, float] = CutPasteConfig.rotation,
        jitter: float = CutPasteConfig.jitter,
    ) -> None:
        super().__init__()
        self.config = CutPasteConfig(
            variant=variant,
            p=p,
            area=area,
            aspect_ratio=aspect_ratio,
            scar_width=scar_width,
            scar_length=scar_length,
            rotation=rotation,
            jitter=jitter,
        )
        self.value_range, self.mean, self.std = check_intensities(value_range, mean, std)

    def augment(
        self,
        images: Tensor,
        *,
        lung_mask: Tensor | None = None,
        params: CutPasteParams | None = None,
        generator: torch.Generator | None = None,
    ) -> CutPasteResult:
        """Augment a plain batch.

        Args:
            images: B×1×H×W or B×3×H×W, uint8 or floating point; not modified.
            lung_mask: Not looked at. It is taken so that training code can hand the same to every augmentation.
            params: The parameters of an earlier call on images of this size, to repeat it bit for bit.
            generator: Source of the random numbers, on the images' device.

        Returns:
            The augmented images, the mask of the pasted pixels, the parameters used and the labels.

        Raises:
            TypeError, ValueError: Wrong type, shape, dtype, range (CPU only) or device; raised before any work.
        """
        intensities = self._intensities(check_images(images))
        check_range(images, intensities)
        if generator is not None:
            check_generator(generator, images)
        if params is None:
            batch, _, height, width = images.shape
            params = sample_cutpaste_params(
                self.config, batch, height, width, device=images.device, generator=generator
            )
        else:
            check_cutpaste_params(params, images)
        image, mask = cutpaste(images, params, intensities)
        return CutPasteResult(image, mask, params, params.apply.long())

    def _intensities(self, images: Tensor) -> Intensities:
        return intensities_for(images, self.value_range, self.mean, self.std)

    # torchvision's side: everything is drawn in make_params and applied, leaf by leaf, in transform.

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        images, _ = read_sample(flat_inputs)
        for image in images:
            check_range(check_images(image), self._intensities(image))
        batch, _, height, width = images[0].shape
        return {"params": sample_cutpaste_params(self.config, batch, height, width, device=images[0].device)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        drawn: CutPasteParams = params["params"]
        if isinstance(inpt, AnomalyMask):
            return united_with(inpt, cutpaste_mask(drawn, inpt.shape[-2], inpt.shape[-1]))
        images = as_batch(inpt)
        pasted, _ = cutpaste(images, drawn, self._intensities(images))
        return like_input(pasted, inpt)

    def extra_repr(self) -> str:
        shown = {name: getattr(self, name) for name in ("value_range", "mean", "std")}
        return ", ".join(f"{name}={value!r}" for name, value in (vars(self.config) | shown).items())
