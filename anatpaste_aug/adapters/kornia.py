"""The transforms as kornia augmentations, with their anomaly masks in ``AugmentationSequential``."""

from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor

from anatpaste_aug.adapters.common import Writes, as_transform, check_writes, format_repr, mask_of, unite
from anatpaste_aug.paste import PasteResult
from anatpaste_aug.transforms import PasteTransform


class KorniaPaste(IntensityAugmentationBase2D):
    """A transform of this package as an intensity augmentation of kornia.

    Convention:
        * in and out: floating-point H×W, C×H×W or B×C×H×W with C 1 or 3, in [0, 1]; after ``Normalize``,
          create the transform with the same ``mean`` and ``std``. As everywhere in kornia, uint8 is an error: divide by
          255 first
        * ``AugmentationSequential(..., data_keys=["input", "mask"])``: the changed pixels are added to the mask
          of the call, in its dtype and on all of its channels. A mask of zeros becomes the anomaly mask, also of a
          chain of augmentations. Pass exactly one mask tensor per call, together with its image. ``PatchSequential`` is
          not supported: it does not transform masks
        * ``params`` hold random numbers, not places: ``forward(x, params=aug._params)`` repeats a call bit for bit; on
          other images, patches are placed within their own regions
        * random numbers are drawn on the image's device. A container draws them before it passes the image, on the
          device set by ``.to(device)``. Nothing waits for the device
        * it stores the result of its last call, as kornia's augmentations store their parameters: use one object per
          thread
        * with the same ``torch.manual_seed``, a direct call gives the same pixels as `PasteTransform.augment`, and so
          does a container that draws no other numbers first

    Args:
        transform: The transform with all settings; None is ``AnatPasteTransform()``.
        same_on_batch: Use the same random numbers for every image of a batch.
        keepdim: Return C×H×W and H×W images without a batch dimension.
        writes: The mask to write: "anomaly", "target" or a threshold (`anatpaste_aug.adapters.common.Writes`). A target
            needs a floating-point mask: kornia rounds it down to 0 in an integer one.

    Attributes:
        result: The `PasteResult` of the last image call, detached; None before the first call and after a failed one.
            It is not pickled.

    Raises:
        TypeError, ValueError: An invalid setting, image or mask; the message says what is expected.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform, FPITransform
        >>> from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip
        >>> augmentations = RandomHorizontalFlip(), KorniaPaste(FPITransform(p=0.5))
        >>> pipeline = AugmentationSequential(*augmentations, data_keys=["input", "mask"])
        >>> image, mask = pipeline(torch.rand(4, 1, 64, 64), torch.zeros(4, 1, 64, 64))
        >>> mask.shape, mask.dtype
        (torch.Size([4, 1, 64, 64]), torch.float32)

        Known regions can be passed to a direct call:

        >>> aug, images = KorniaPaste(AnatPasteTransform(p=0.5)), torch.rand(4, 1, 64, 64)
        >>> image = aug(images, region_mask=aug.transform.segmenter(images))
        >>> torch.equal(aug.result.params.apply[:, 0], aug.result.label > 0)
        True
    """

    def __init__(
        self,
        transform: PasteTransform | None = None,
        same_on_batch: bool = False,
        keepdim: bool = False,
        writes: Writes = "anomaly",
    ) -> None:
        transform = as_transform(transform)
        super().__init__(p=transform.config.p, same_on_batch=same_on_batch, keepdim=keepdim)
        self.transform = transform
        self.writes = check_writes(writes)
        self.result: PasteResult | None = None
        # The mask handler does not get the image, and params can't carry a mask, because kornia copies them. So the
        # handler uses the last result, once, and only if it gets the same params object as that image call.
        self._unclaimed: dict[str, Tensor] | None = None

    def forward_parameters(self, batch_shape: tuple[int, ...], device: torch.device | None = None) -> dict[str, Tensor]:
        batch = batch_shape[0]
        uniforms = self.transform.draw_uniforms(1 if self.same_on_batch else batch, device=device or self.device)
        uniforms = uniforms.expand(batch, -1, -1)
        return {
            "uniforms": uniforms,
            "batch_prob": (uniforms[:, 0, 0] < self.p).to(uniforms.dtype),  # as in the transform itself
            "forward_input_shape": torch.tensor(batch_shape, device="cpu"),
        }

    def forward(self, input: Tensor, params: dict[str, Tensor] | None = None, **kwargs: Any) -> Tensor:
        if not isinstance(input, Tensor) or not input.is_floating_point():
            kind = input.dtype if isinstance(input, Tensor) else type(input).__name__
            raise TypeError(
                f"{type(self).__name__} takes floating-point image tensors in [0, 1], got {kind}; "
                "divide uint8 by 255, and convert arrays with kornia.utils.image_to_tensor"
            )
        self.result = self._unclaimed = None  # so that a failed call does not leave the previous result
        if params is None:
            params = self.forward_parameters(self.transform_tensor(input).shape, input.device)
        output: Tensor = super().forward(input, params, **kwargs)
        self._unclaimed = params
        return output

    def apply_transform(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        if "uniforms" not in params:
            raise ValueError(
                f"params have no 'uniforms', only {sorted(params)}; pass the _params of {type(self).__name__}"
            )
        if len(params["uniforms"]) != len(input):
            raise ValueError(
                f"params have {len(params['uniforms'])} rows for {len(input)} images; replay the same number of images"
            )
        result = self.transform.augment(
            input,
            params.get("region_mask"),
            apply=_to(params["batch_prob"], input.device) > 0.5,
            uniforms=_to(params["uniforms"], input.device),
        )
        self.result = result._replace(image=result.image.detach(), target=result.target.detach())
        return result.image

    def transform_masks(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        if params is not self._unclaimed:
            raise ValueError(
                f"the mask of {type(self).__name__} depends on the image; pass one mask tensor along with its image, "
                'as in AugmentationSequential(..., data_keys=["input", "mask"])(image, mask); lists, second masks '
                "and replays of the mask alone are not supported"
            )
        self._unclaimed = None
        return super().transform_masks(input, params, flags, transform, **kwargs)

    def apply_transform_mask(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        assert self.result is not None  # checked by transform_masks
        mask = mask_of(self.result, self.writes)
        if (len(input), *input.shape[2:]) != (len(mask), *mask.shape[2:]):
            raise ValueError(
                f"the mask has shape {tuple(input.shape)}, but must have (B, C, H, W) = "
                f"({len(mask)}, any, {mask.shape[2]}, {mask.shape[3]}); resize or repeat it"
            )
        return unite(input, mask)

    apply_non_transform_mask = apply_transform_mask  # nothing is added if the image was not augmented

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "result": None, "_unclaimed": None}

    def __repr__(self) -> str:
        settings = {name: getattr(self, name) for name in ("same_on_batch", "keepdim", "writes")}
        return format_repr(self, self.transform, **settings)


def _to(params: Tensor, device: torch.device) -> Tensor:
    """Copy to a device without waiting, except when compiling: Inductor (torch 2.14) compiles that incorrectly."""
    return params.to(device, non_blocking=device.type == "cuda" and not torch.compiler.is_compiling())
