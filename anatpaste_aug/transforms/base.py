"""The base class of all recipes: a torchvision v2 transform with a config, which also augments plain batches."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug.functional import Intensities
from anatpaste_aug.paste import ANATPASTE, PasteConfig, PasteParams, PasteResult, draw_uniforms
from anatpaste_aug.paste.draws import draws_shape
from anatpaste_aug.segmentation import LungSegmenter, Segmenter
from anatpaste_aug.transforms.sample import add_changes, as_batch, is_image_tensor, like_input, read_sample
from anatpaste_aug.transforms.signature import HELP, document
from anatpaste_aug.transforms.steps import find_foregrounds, find_region, paste_patches, sample
from anatpaste_aug.transforms.tv_tensors import AnomalyMask, RegionMask
from anatpaste_aug.validation import (
    check_apply,
    check_donors,
    check_generator,
    check_images,
    check_intensities,
    check_params,
    check_range,
    check_uniforms,
    intensities_for,
)

Donors = Tensor | Callable[[int], Tensor]
"""Images N×C×H×W to cut patches from, or a callable that returns a given number of images."""


class PasteTransform(v2.Transform):
    """Paste patches of images into images, as a config says.

    A subclass sets ``recipe``; its signature and documentation are generated from the config's fields.

    Convention:
        * images: PIL (L, RGB), ``tv_tensors.Image`` or a plain tensor …×1×H×W or …×3×H×W, H and W at least 32; uint8
          in [0, 255], floating point in [0, 1] unless set otherwise. Type, dtype, device, memory format and range are
          preserved
        * each image of a batch gets its own parameters; several images of one sample share the parameters and the
          region of the first, and must have the same size
        * a `RegionMask` in the sample replaces the segmentation. Changed pixels are added to an `AnomalyMask` (floating
          point: the target of a pixel loss), so that after a chain of transforms it holds the changes of all of them.
          Everything else passes through as the identical object. The first plain tensor with at least three dimensions
          is an image, unless the sample has a PIL image, ``tv_tensors.Image`` or ``tv_tensors.Video``
        * randomness: ``torch.manual_seed``, or the generator passed to `augment`. Processes of distributed training
          (DDP) draw the same numbers if they have the same seed: give each its own, such as ``seed + rank``
        * calls do not modify the transform: threads may share it

    Raises:
        ValueError: A setting is not allowed; the message names it and says what is.
        TypeError: A setting is unknown, or has the wrong type.

    Example:
        >>> from anatpaste_aug.paste import FPI
        >>> class SmallFPI(PasteTransform):
        ...     recipe = FPI
        >>> SmallFPI(half_width=(0.02, 0.05)).augment(torch.rand(4, 1, 64, 64)).label
        tensor([1, 1, 1, 1])
    """

    recipe: ClassVar[PasteConfig] = ANATPASTE
    _transformed_types = (PIL.Image.Image, tv_tensors.Image, is_image_tensor, RegionMask, AnomalyMask)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        document(cls)

    def __init__(
        self,
        p: float | None = None,
        *,
        segmenter: Segmenter | None = None,
        donors: Donors | None = None,
        value_range: tuple[float, float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if p is not None:
            settings["p"] = p
        if donors is not None:
            settings.setdefault("source", "donors")
        self.config = replace(self.recipe, **settings)
        if segmenter is not None and not callable(segmenter):
            raise TypeError(
                f"segmenter must be callable or None, got {type(segmenter).__name__}; pass a finished mask to augment"
            )
        if donors is not None and not (isinstance(donors, Tensor) or callable(donors)):
            raise TypeError(
                f"donors must be a tensor N×C×H×W or a callable that returns one, got {type(donors).__name__}"
            )
        self.segmenter = LungSegmenter() if segmenter is None and self.config.needs_region else segmenter
        self.donors = donors
        self.value_range, self.mean, self.std = check_intensities(value_range, mean, std)

    def augment(
        self,
        images: Tensor,
        region_mask: Tensor | None = None,
        *,
        params: PasteParams | None = None,
        apply: Tensor | None = None,
        uniforms: Tensor | None = None,
        generator: torch.Generator | None = None,
        donors: Donors | None = None,
    ) -> PasteResult:
        """Augment a plain batch.

        Args:
            images: B×1×H×W or B×3×H×W, uint8 or floating point; not modified.
            region_mask: Boolean (or integer) B×1×H×W or B×H×W; None calls the segmenter. It is ignored if the
                recipe uses no region.
            params: The parameters of an earlier call on images of this size, to repeat it bit for bit. Pass the same
                region mask and donors as well, if there were any.
            apply: Boolean B; False leaves an image unchanged, regardless of ``p``. ``labels == 0`` augments the normal
                images of a mixed batch.
            uniforms: Random numbers from `draw_uniforms`, for frameworks that draw them before the images are known;
                None draws them. The same numbers and images give the same result.
            generator: Source of the random numbers, on the images' device.
            donors: Images to cut patches from, instead of those that were passed to the constructor.

        Returns:
            The augmented images, their masks and labels, and the parameters used.

        Raises:
            TypeError, ValueError: Wrong type, shape, dtype, range (CPU only) or device; raised before any work.
        """
        intensities = self._intensities(check_images(images))
        check_range(images, intensities)
        if generator is not None:
            check_generator(generator, images)
        if apply is not None:
            check_apply(apply, images)
        if uniforms is not None:
            check_uniforms(uniforms, images, draws_shape(self.config, images.shape[0]))
        sources = self._sources(images, donors)
        if params is not None:
            check_params(params, images, self.config, sources)
        region, converged = find_region(self.config, self.segmenter, images, region_mask, intensities)
        foregrounds = find_foregrounds(self.config, images, sources, intensities)
        if params is None:
            params = sample(self.config, images, region, converged, sources, foregrounds, uniforms, generator)
        if apply is not None:
            params = params._replace(apply=params.apply & apply.unsqueeze(1))
        return paste_patches(self.config, images, sources, region, foregrounds, params, intensities)

    def draw_uniforms(
        self, batch: int, *, device: torch.device | str = "cpu", generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw the random numbers for `augment`, float32 B×K×D, before anything is known about the images."""
        return draw_uniforms(self.config, batch, device=device, generator=generator)

    def _sources(self, images: Tensor, donors: Donors | None) -> Tensor | None:
        """Return the images that patches are cut from; None if each image is its own source."""
        if self.config.source == "same":
            return None
        if self.config.source == "batch":
            return images
        donors = self.donors if donors is None else donors
        if donors is None:
            raise ValueError(
                f'source="donors" needs images to cut from; pass donors=, a tensor N×C×H×W or a callable that returns '
                f"one, to {type(self).__name__} or to augment"
            )
        return check_donors(donors(images.shape[0]) if callable(donors) else donors, images)

    def _intensities(self, images: Tensor) -> Intensities:
        return intensities_for(images, self.value_range, self.mean, self.std)

    # The interface of torchvision. make_params augments the first image, because masks can depend on its pixels;
    # transform augments further images, leaf by leaf.

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        images, mask = read_sample(flat_inputs)
        for image in images:
            check_range(check_images(image), self._intensities(image))
        image, intensities = images[0], self._intensities(images[0])
        sources = self._sources(image, None)
        region, converged = find_region(self.config, self.segmenter, image, mask, intensities)
        foregrounds = find_foregrounds(self.config, image, sources, intensities)
        params = sample(self.config, image, region, converged, sources, foregrounds)
        result = paste_patches(self.config, image, sources, region, foregrounds, params, intensities)
        first = next(leaf for leaf in flat_inputs if not isinstance(leaf, (RegionMask, AnomalyMask)))
        return {"params": params, "first": first, "result": result, "sources": sources, "foregrounds": foregrounds}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        result: PasteResult = params["result"]
        if isinstance(inpt, RegionMask):
            return inpt
        if isinstance(inpt, AnomalyMask):
            return add_changes(inpt, result.target if inpt.is_floating_point() else result.anomaly_mask)
        if inpt is params["first"]:
            return like_input(result.image, inpt)
        images, sources = as_batch(inpt), params["sources"]
        if self.config.source == "batch":
            sources = images
        elif sources is not None:
            check_donors(sources, images)
        pasted = paste_patches(
            self.config,
            images,
            sources,
            result.region_mask,
            params["foregrounds"],
            params["params"],
            self._intensities(images),
        )
        return like_input(pasted.image, inpt)

    # The names of these methods in torchvision 0.20.
    _get_params = make_params
    _transform = transform

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name: ``type(transform)(**transform.settings)`` is an equal transform."""
        own = {name: getattr(self, name) for name in HELP}
        return {entry.name: getattr(self.config, entry.name) for entry in fields(self.config)} | own

    def extra_repr(self) -> str:
        """Describe the probability and every setting that differs from the recipe."""
        settings: dict[str, Any] = {"p": self.config.p}
        settings |= {
            name: value
            for name, value in self.settings.items()
            if (value is not None if name in HELP else value != getattr(self.recipe, name))
        }
        if isinstance(self.segmenter, torch.nn.Module):
            settings.pop("segmenter", None)  # torch prints it as a child
        if isinstance(self.donors, Tensor):
            settings["donors"] = tuple(self.donors.shape)
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())
