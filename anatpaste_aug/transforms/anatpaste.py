"""AnatPaste as a torchvision v2 transform, and on plain batches."""

from collections.abc import Sequence
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..functional import Intensities, paste, soft_mask
from ..functional.intensity import at_least_float32
from ..params import AnatPasteConfig, AnatPasteParams, sample_params
from ..segmentation import LungSegmenter, Segmenter, segment_with
from ..validation import (
    check_apply,
    check_generator,
    check_images,
    check_intensities,
    check_lung_mask,
    check_params,
    check_range,
    check_uniforms,
    intensities_for,
)
from .interface import AnatPasteResult, AnatPasteSettings
from .sample import as_batch, is_image_tensor, like_input, read_sample, united_with
from .tv_tensors import AnomalyMask, LungMask


class AnatPasteTransform(v2.Transform):
    """Turn normal chest radiographs into realistic anomalous ones (AnatPaste; Sato et al., arXiv 2205.04282).

    A patch of the image is jittered and pasted elsewhere through a blurred ellipse or rectangle that is multiplied with
    the lungs. As a torchvision v2 transform it takes a sample of any structure; `augment` takes a plain batch.

    Convention:
        * images: PIL (L, RGB), ``tv_tensors.Image`` or a plain tensor …×1×H×W or …×3×H×W, H and W from 32 up; uint8 in
          [0, 255], floating point in [0, 1] unless said otherwise. The type, dtype, device and range come back.
        * every image of a batch gets its own parameters; several images of one sample share them and the lung mask of
          the first, and must be of one size
        * a `LungMask` in the sample is read as the segmentation; what changed is added to an `AnomalyMask`, so that
          after a chain of transforms it holds what all of them changed; everything else passes through as the
          identical object. Of plain tensors the first with three or more dimensions is the image, and
          none is where a PIL image, ``tv_tensors.Image`` or ``tv_tensors.Video`` stands in the sample
        * randomness: ``torch.manual_seed``, or the generator given to `augment`. Processes that share a training (DDP)
          draw the same numbers if they are given one seed: give each its own, such as ``seed + rank``
        * a call leaves nothing behind in the transform: threads may share it

    Args:
        p: Probability that an image is augmented, drawn per image.
        segmenter: Callable from B×C×H×W images to boolean B×1×H×W masks of the lungs, or of another organ
            (`anatpaste_aug.segmentation`); None takes `LungSegmenter`, the paper's Algorithm 1. It sees the images as
            they are, but in [0, 1] where ``mean`` and ``std`` are set. It is called without gradients: freeze a module
            of your own (``requires_grad_(False)``), which DistributedDataParallel would otherwise wait for, as
            `NetworkSegmenter` does by itself.
        segmentation: False is the ablation "without segmentation": centres anywhere, no multiplication with the lungs,
            and lung masks that are given are not looked at.
        blur: False is the ablation "without blur": the shape stays hard.
        skip_without_lungs: True leaves an image alone in which no lung is found; False pastes anywhere in it, as the
            authors do.
        value_range: (black, white) of the images; None is (0, 255) for uint8 and (0, 1) for floating point.
        mean: Mean of images that are already normalised, as given to ``Normalize``: a number per channel, or one for
            all.
        std: Standard deviation of the same.
        area: Range of the patch's area, as a share of the image; uniform.
        aspect_ratio: Range of the patch's height / width; log-uniform.
        jitter: Strength of the patch's colour jitter.
        margin: Distance of the shape from the patch's edges, in pixels at 256×256.
        opacity: Range of the shape's value; uniform.
        sigma: Range of the blur's sigma in pixels at 256×256; uniform.

    Raises:
        ValueError: A setting is impossible; the message names it and what is allowed.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> transform = AnatPasteTransform()
        >>> result = transform.augment(torch.rand(4, 1, 64, 64))
        >>> result.image.shape, result.anomaly_mask.dtype
        (torch.Size([4, 1, 64, 64]), torch.bool)
    """

    _transformed_types = (PIL.Image.Image, tv_tensors.Image, is_image_tensor, LungMask, AnomalyMask)

    def __init__(
        self,
        p: float = 1.0,
        *,
        segmenter: Segmenter | None = None,
        segmentation: bool = True,
        blur: bool = True,
        skip_without_lungs: bool = False,
        value_range: tuple[float, float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        area: tuple[float, float] = AnatPasteConfig.area,
        aspect_ratio: tuple[float, float] = AnatPasteConfig.aspect_ratio,
        jitter: float = AnatPasteConfig.jitter,
        margin: float = AnatPasteConfig.margin,
        opacity: tuple[float, float] = AnatPasteConfig.opacity,
        sigma: tuple[float, float] = AnatPasteConfig.sigma,
    ) -> None:
        super().__init__()
        self.config = AnatPasteConfig(
            p=p,
            area=area,
            aspect_ratio=aspect_ratio,
            jitter=jitter,
            margin=margin,
            opacity=opacity,
            sigma=sigma,
            blur=blur,
        )
        if segmenter is not None and not callable(segmenter):
            raise TypeError(
                f"segmenter must be callable or None, got {type(segmenter).__name__}; pass a finished mask to augment"
            )
        self.segmentation = segmentation
        self.segmenter = LungSegmenter() if segmenter is None else segmenter
        self.skip_without_lungs = skip_without_lungs
        self.value_range, self.mean, self.std = check_intensities(value_range, mean, std)

    def augment(
        self,
        images: Tensor,
        lung_mask: Tensor | None = None,
        *,
        params: AnatPasteParams | None = None,
        apply: Tensor | None = None,
        uniforms: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> AnatPasteResult:
        """Augment a plain batch.

        Args:
            images: B×1×H×W or B×3×H×W, uint8 or floating point; not modified.
            lung_mask: Boolean (or integer) B×1×H×W or B×H×W; None calls the segmenter.
            params: The parameters of an earlier call on images of this size, to repeat it bit for bit, with the lung
                mask that it was given, if any.
            apply: Boolean B: False leaves an image alone, whatever ``p`` says. ``labels == 0`` augments the normal
                images of a mixed batch.
            uniforms: Random numbers of `draw_uniforms` instead of fresh ones, for a host that draws before it shows
                its images; the same numbers and images give the same result.
            generator: Source of the random numbers, on the images' device.

        Returns:
            The augmented images, the masks and the parameters used.

        Raises:
            TypeError, ValueError: Wrong type, shape, dtype, range (CPU only) or device; raised before any work.
        """
        intensities = self._intensities(check_images(images))
        check_range(images, intensities)
        if generator is not None:
            check_generator(generator, images)
        if params is not None:
            check_params(params, images)
        if apply is not None:
            check_apply(apply, images)
        if uniforms is not None:
            check_uniforms(uniforms, images)
        batch, _, height, width = images.shape
        mask, settled = self._lungs(images, lung_mask, intensities)
        if params is None:
            params = sample_params(
                self.config,
                batch,
                height,
                width,
                lung_mask=mask,
                skip_without_lungs=self.skip_without_lungs,
                device=images.device,
                generator=generator,
                uniforms=uniforms,
            )
            # Without its lungs, pasting anywhere would look like the fallback for an image that has none.
            params = params._replace(apply=params.apply & settled)
        if apply is not None:
            params = params._replace(apply=params.apply & apply)
        image, soft = paste(images, params, mask, intensities)
        return AnatPasteResult(image, soft, mask, params, settled)

    def _lungs(
        self, images: Tensor, lung_mask: Tensor | None, intensities: Intensities
    ) -> tuple[Tensor | None, Tensor]:
        settled = torch.ones(images.shape[0], dtype=torch.bool, device=images.device)
        if not self.segmentation:
            return None, settled
        if lung_mask is not None:
            return check_lung_mask(lung_mask, images), settled
        with torch.no_grad():
            seen = images if intensities.mean is None else intensities.to_unit(at_least_float32(images))
            return segment_with(self.segmenter, seen)

    def _intensities(self, images: Tensor) -> Intensities:
        return intensities_for(images, self.value_range, self.mean, self.std)

    # torchvision's side: everything is drawn in make_params and applied, leaf by leaf, in transform.

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        images, mask = read_sample(flat_inputs)
        for image in images:
            check_range(check_images(image), self._intensities(image))
        batch, _, height, width = images[0].shape
        lungs, settled = self._lungs(images[0], mask, self._intensities(images[0]))
        params = sample_params(
            self.config,
            batch,
            height,
            width,
            lung_mask=lungs,
            skip_without_lungs=self.skip_without_lungs,
            device=images[0].device,
        )
        return {"params": params._replace(apply=params.apply & settled), "lung_mask": lungs}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        drawn, lungs = params["params"], params["lung_mask"]
        if isinstance(inpt, LungMask):
            return inpt
        if isinstance(inpt, AnomalyMask):
            return united_with(inpt, soft_mask(drawn, inpt.shape[-2], inpt.shape[-1], lungs))
        images = as_batch(inpt)
        pasted, _ = paste(images, drawn, lungs, self._intensities(images))
        return like_input(pasted, inpt)

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by its name: ``AnatPasteTransform(**transform.settings)`` is the same transform."""
        own = {name: getattr(self, name) for name in AnatPasteSettings.__annotations__ if name in vars(self)}
        return vars(self.config) | {"segmenter": self.segmenter} | own

    def extra_repr(self) -> str:
        module = isinstance(self.segmenter, torch.nn.Module)  # shown as a child
        return ", ".join(
            f"{name}={value!r}" for name, value in self.settings.items() if not (module and name == "segmenter")
        )
