"""AnatPaste as a torchvision v2 transform, and on plain batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from ..functional import Intensities, paste, soft_mask
from ..functional.intensity import at_least_float32
from ..params import AnatPasteConfig, AnatPasteParams, sample_params
from ..segmentation import LungSegmenter, Segmenter, segment_with
from ..validation import (
    check_generator,
    check_images,
    check_intensities,
    check_lung_mask,
    check_params,
    check_range,
)
from .tv_tensors import AnomalyMask, LungMask


class AnatPasteResult(NamedTuple):
    """What `AnatPasteTransform.augment` returns.

    Attributes:
        image: The augmented B×C×H×W images, of the input's dtype.
        soft_mask: X_mask, float32 B×1×H×W in [0, 1]; 0 where an image was left alone.
        lung_mask: Boolean B×1×H×W, or None without segmentation.
        params: The parameters used, one row per image; ``params.fallback`` tells where no lung was found.
        settled: Boolean B; False where a segmentation on an accelerator did not settle (its lung mask is empty).
    """

    image: Tensor
    soft_mask: Tensor
    lung_mask: Tensor | None
    params: AnatPasteParams
    settled: Tensor

    @property
    def anomaly_mask(self) -> Tensor:
        """Boolean B×1×H×W: X_mask > 0. Outside it, ``image`` is the input bit for bit."""
        return self.soft_mask > 0


class AnatPasteTransform(v2.Transform):
    """Turn normal chest radiographs into realistic anomalous ones (AnatPaste; Sato et al., arXiv 2205.04282).

    A patch of the image is jittered and pasted elsewhere through a blurred ellipse or rectangle that is multiplied with
    the lungs. As a torchvision v2 transform it takes a sample of any structure; `augment` takes a plain batch.

    Convention:
        * images: PIL (L, RGB), ``tv_tensors.Image`` or a plain tensor …×1×H×W or …×3×H×W, H and W from 32 up; uint8 in
          [0, 255], floating point in [0, 1] unless said otherwise. The type, dtype, device and range come back.
        * every image of a batch gets its own parameters; several images of one sample share them and the lung mask of
          the first, and must be of one size
        * a `LungMask` in the sample is read as the segmentation, an `AnomalyMask` is written; everything else passes
          through as the identical object
        * randomness: ``torch.manual_seed``, or the generator given to `augment`

    Args:
        p: Probability that an image is augmented, drawn per image.
        segmenter: Callable from B×C×H×W images to boolean B×1×H×W masks of the lungs, or of another organ
            (`anatpaste_aug.segmentation`); None takes `LungSegmenter`, the paper's Algorithm 1. It sees the images as
            they are, but in [0, 1] where ``mean`` and ``std`` are set.
        segmentation: False is the ablation "without segmentation": centres anywhere, no multiplication with the lungs,
            and lung masks that are given are not looked at.
        blur: False is the ablation "without blur": the shape stays hard.
        skip_without_lungs: True leaves an image alone in which no lung is found; False pastes anywhere in it, as the
            authors do.
        value_range: (black, white) of the images; None is (0, 255) for uint8 and (0, 1) for floating point.
        mean: Per-channel mean of images that are already normalised, as given to ``Normalize``.
        std: Per-channel standard deviation of the same.
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

    _transformed_types = (PIL.Image.Image, tv_tensors.Image, v2._utils.is_pure_tensor, LungMask, AnomalyMask)

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
        generator: torch.Generator | None = None,
    ) -> AnatPasteResult:
        """Augment a plain batch.

        Args:
            images: B×1×H×W or B×3×H×W, uint8 or floating point; not modified.
            lung_mask: Boolean (or integer) B×1×H×W or B×H×W; None calls the segmenter.
            params: The parameters of an earlier call on images of this size, to repeat it bit for bit.
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
            )
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
        integer = images.dtype == torch.uint8
        if self.mean is not None and integer:
            raise TypeError("mean and std are set, so the images must be normalised floats, got torch.uint8")
        if self.mean is not None and len(self.mean) != images.shape[1]:
            raise ValueError(f"mean has {len(self.mean)} values for images of {images.shape[1]} channels")
        black, white = self.value_range or ((0.0, 255.0) if integer else (0.0, 1.0))
        return Intensities(black, white, self.mean, self.std)

    # torchvision's side: everything is drawn in make_params and applied, leaf by leaf, in transform.

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        images = [_as_batch(leaf) for leaf in flat_inputs if not isinstance(leaf, LungMask | AnomalyMask)]
        if not images:
            raise TypeError(
                f"{type(self).__name__} found no image in the sample: no PIL image, tv_tensors.Image or plain tensor; "
                "convert numpy arrays with torchvision.transforms.v2.functional.to_image"
            )
        sizes = [(image.shape[0], *image.shape[2:]) for image in images]
        if any(size != sizes[0] for size in sizes):
            raise ValueError(f"the images of one sample must be of one size, got (B, H, W) = {sizes}")
        for image in images:
            check_range(check_images(image), self._intensities(image))
        batch, _, height, width = images[0].shape
        given = [leaf for leaf in flat_inputs if isinstance(leaf, LungMask)]
        if len(given) > 1:
            raise ValueError(f"a sample may hold one LungMask, got {len(given)}")
        mask = _mask_batch(given[0], "LungMask", (batch, height, width)) if given else None
        for leaf in flat_inputs:
            if isinstance(leaf, AnomalyMask):
                _mask_batch(leaf, "AnomalyMask", (batch, height, width))
        lungs, _ = self._lungs(images[0], mask, self._intensities(images[0]))
        params = sample_params(
            self.config,
            batch,
            height,
            width,
            lung_mask=lungs,
            skip_without_lungs=self.skip_without_lungs,
            device=images[0].device,
        )
        return {"params": params, "lung_mask": lungs}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        drawn, lungs = params["params"], params["lung_mask"]
        if isinstance(inpt, LungMask):
            return inpt
        if isinstance(inpt, AnomalyMask):
            soft = soft_mask(drawn, inpt.shape[-2], inpt.shape[-1], lungs).reshape(inpt.shape)
            written = soft if inpt.is_floating_point() else soft > 0
            return tv_tensors.wrap(written.to(inpt.dtype), like=inpt)
        images = _as_batch(inpt)
        pasted, _ = paste(images, drawn, lungs, self._intensities(images))
        if isinstance(inpt, PIL.Image.Image):
            return tvf.to_pil_image(pasted[0])
        pasted = pasted.reshape(inpt.shape)
        return tv_tensors.wrap(pasted, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else pasted

    def extra_repr(self) -> str:
        shown = {name: value for name, value in vars(self).items() if name in _SHOWN}
        if not isinstance(self.segmenter, torch.nn.Module):
            shown["segmenter"] = self.segmenter
        return ", ".join(f"{name}={value!r}" for name, value in (vars(self.config) | shown).items())


_SHOWN = ("segmentation", "skip_without_lungs", "value_range", "mean", "std")


def _as_batch(image: Any) -> Tensor:
    """B×C×H×W of a PIL image or of a tensor with any leading dimensions."""
    if isinstance(image, PIL.Image.Image):
        if image.mode not in ("L", "RGB"):
            remedy = (
                'image.convert("L")' if image.mode[0] not in "IF" else "a float tensor in [0, 1], scaled by its range"
            )
            raise ValueError(f"PIL images must be of mode L or RGB, got {image.mode}; use {remedy}")
        return torch.as_tensor(tvf.pil_to_tensor(image)).unsqueeze(0)
    tensor: Tensor = image.as_subclass(Tensor) if isinstance(image, tv_tensors.TVTensor) else image
    if tensor.ndim < 3:
        raise ValueError(f"an image tensor must have shape (..., C, H, W), got {tuple(tensor.shape)}")
    return tensor.reshape(-1, *tensor.shape[-3:])


def _mask_batch(mask: Tensor, kind: str, size: tuple[int, int, int]) -> Tensor:
    """B×H×W of a mask whose leading dimensions are those of the images."""
    if tuple(mask.shape[-2:]) != size[1:] or mask.numel() != size[0] * size[1] * size[2]:
        raise ValueError(f"{kind} has shape {tuple(mask.shape)}, which does not fit images of (B, H, W) = {size}")
    return mask.as_subclass(Tensor).reshape(size)
