"""The transforms as kornia augmentations, with their anomaly masks in ``AugmentationSequential``."""

from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor

from anatpaste_aug.adapters.common import Writes, as_transform, check_writes, described, mask_of, unite
from anatpaste_aug.paste import PasteResult
from anatpaste_aug.transforms import PasteTransform


class KorniaPaste(IntensityAugmentationBase2D):
    """A transform of this package in kornia's pipelines, as an intensity augmentation.

    Convention:
        * in and out: floating-point H×W, C×H×W or B×C×H×W with C 1 or 3, in [0, 1]; after ``Normalize`` give the
          transform the same ``mean`` and ``std``. uint8 is an error, as everywhere in kornia: divide by 255 first
        * ``AugmentationSequential(..., data_keys=["input", "mask"])``: what was changed is added to the mask of the
          call, in its own dtype and on all of its channels. A mask of zeros comes back as the anomaly mask, that of a
          whole chain of augmentations too. A call takes one mask, as a tensor, and together with its image. Not for
          ``PatchSequential``, which hands masks on untouched
        * ``params`` hold random numbers, not places: ``forward(x, params=aug._params)`` repeats a call bit for bit; on
          other images each patch goes to the same share of their own regions
        * random numbers are drawn on the image's device; in a container, which draws before it shows an image, where
          ``.to(device)`` put it. Nothing waits for the device
        * it keeps the result of its last call, as kornia's augmentations keep their parameters: one object per thread
        * ``torch.manual_seed`` gives a direct call, and a container that draws nothing else first, the same pixels as
          `PasteTransform.augment`

    Args:
        transform: The transform, with all of its settings; None is ``AnatPasteTransform()``.
        same_on_batch: Use the same random numbers for every image of a batch.
        keepdim: Give C×H×W and H×W images back without a batch dimension.
        writes: The mask to write: "anomaly", "target" or a threshold (`anatpaste_aug.adapters.common.Writes`). A target
            needs a floating-point mask: kornia rounds it down to 0 in an integer one.

    Attributes:
        result: The `PasteResult` of the last image call, detached; None before and after a call that failed. It is not
            pickled.

    Raises:
        TypeError, ValueError: An impossible setting, or an image or mask that doesn't fit; the message says what would.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform, FPITransform
        >>> from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip
        >>> augmentations = RandomHorizontalFlip(), KorniaPaste(FPITransform(p=0.5))
        >>> pipeline = AugmentationSequential(*augmentations, data_keys=["input", "mask"])
        >>> image, mask = pipeline(torch.rand(4, 1, 64, 64), torch.zeros(4, 1, 64, 64))
        >>> mask.shape, mask.dtype
        (torch.Size([4, 1, 64, 64]), torch.float32)

        Regions that are known already are handed to a direct call:

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
        # The mask handler sees no image, and params can't carry a mask, because kornia hands copies of them around. So
        # the handler takes the last result, once, and only for the very params object of that image call.
        self._unclaimed: dict[str, Tensor] | None = None

    def forward_parameters(self, batch_shape: tuple[int, ...], device: torch.device | None = None) -> dict[str, Tensor]:
        batch = batch_shape[0]
        uniforms = self.transform.draw_uniforms(1 if self.same_on_batch else batch, device=device or self.device)
        uniforms = uniforms.expand(batch, -1, -1)
        return {
            "uniforms": uniforms,
            "batch_prob": (uniforms[:, 0, 0] < self.p).to(uniforms.dtype),  # as the transform itself decides
            "forward_input_shape": torch.tensor(batch_shape, device="cpu"),
        }

    def forward(self, input: Tensor, params: dict[str, Tensor] | None = None, **kwargs: Any) -> Tensor:
        if not isinstance(input, Tensor) or not input.is_floating_point():
            kind = input.dtype if isinstance(input, Tensor) else type(input).__name__
            raise TypeError(
                f"{type(self).__name__} takes floating-point image tensors in [0, 1], got {kind}; "
                "divide uint8 by 255, and convert arrays with kornia.utils.image_to_tensor"
            )
        self.result = self._unclaimed = None  # nothing of the call before outlives a call that fails
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
                f"params hold no 'uniforms', only {sorted(params)}; pass the _params of {type(self).__name__}"
            )
        if len(params["uniforms"]) != len(input):
            raise ValueError(
                f"params hold {len(params['uniforms'])} rows for {len(input)} images; replay as many images"
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
                f"the mask of {type(self).__name__} depends on the image: pass one mask tensor along with its image, "
                'as in AugmentationSequential(..., data_keys=["input", "mask"])(image, mask), no list, no second mask '
                "and no replay of the mask alone"
            )
        self._unclaimed = None
        return super().transform_masks(input, params, flags, transform, **kwargs)

    def apply_transform_mask(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        assert self.result is not None  # transform_masks has seen to it
        mask = mask_of(self.result, self.writes)
        if (len(input), *input.shape[2:]) != (len(mask), *mask.shape[2:]):
            raise ValueError(
                f"the mask has shape {tuple(input.shape)}, but the images need (B, C, H, W) = "
                f"({len(mask)}, any, {mask.shape[2]}, {mask.shape[3]}); resize or repeat it"
            )
        return unite(input, mask)

    apply_non_transform_mask = apply_transform_mask  # nothing is added where an image was left alone

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "result": None, "_unclaimed": None}

    def __repr__(self) -> str:
        settings = {name: getattr(self, name) for name in ("same_on_batch", "keepdim", "writes")}
        return described(self, self.transform, **settings)


def _to(params: Tensor, device: torch.device) -> Tensor:
    """Parameters for images that are elsewhere, without waiting; Inductor (torch 2.14) would compile that wrongly."""
    return params.to(device, non_blocking=device.type == "cuda" and not torch.compiler.is_compiling())
