"""The domain of a detector: how far an image is from those that it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

_SIDE = 8  # fields per side
_SHRINKAGE = 0.2  # fraction of the covariance that is replaced by its mean variance
_MARGIN = 1.1  # limit, relative to the largest distance of a validation image
_LEAST = 20  # validation images: the largest distance of fewer says too little about that of others
_BATCH = 256


class Domain(NamedTuple):
    """The training images as a normal distribution, to recognize images that are unlike them.

    An image is described by the mean gray values of 8×8 fields, standardized, so that its brightness and contrast do
    not matter. Its distance is the Mahalanobis distance from the training images. It is unlike them if that is more
    than 1.1 times the largest distance of a validation image, normal or not. With fewer than 20 validation images there
    is no limit.

    A small distance does not show that an image belongs to the domain: radiographs of adults are rarely farther from
    those of children than other children are (see the page of measurements).

    Attributes:
        mean: 64 float32.
        whitening: 64×64 float32; the distance is the norm of ``whitening @ (fields - mean)``.
        limit: Distance above which an image is unlike the training images; may be infinite.
    """

    mean: Tensor
    whitening: Tensor
    limit: float

    @classmethod
    def fit(cls, images: Tensor, val_images: Tensor) -> Domain:
        """Return the domain of training and validation images, each N×1×S×S, uint8 or float in [0, 1].

        Example:
            >>> from anatpaste_aug.datasets import phantom_batch
            >>> images = phantom_batch(40, size=64).images
            >>> domain = Domain.fit(images[:20], images[20:])
            >>> (domain.distances(images[20:]) <= domain.limit).all().item()
            True
        """
        fields = _fields(images).double()
        covariance = torch.cov(fields.T, correction=0)
        variance = covariance.diagonal().mean()
        covariance *= 1 - _SHRINKAGE
        covariance.diagonal().add_(_SHRINKAGE * variance + 1e-6)
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance))
        domain = cls(fields.mean(0).float(), whitening.float(), math.inf)
        if len(val_images) < _LEAST:
            return domain
        return domain._replace(limit=_MARGIN * float(domain.distances(val_images).max()))

    @classmethod
    def of(cls, images: Tensor) -> Domain:
        """Return the domain of images without validation images: each half is compared with the other for the limit."""
        domain, halves = cls.fit(images, images[:0]), images.tensor_split(2)
        if len(images) < _LEAST:
            return domain
        largest = max(float(cls.fit(a, a[:0]).distances(b).max()) for a, b in (halves, halves[::-1]))
        return domain._replace(limit=_MARGIN * largest)

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> Domain:
        """Return the domain of ``_asdict``, as a file keeps it.

        Raises:
            TypeError: The content is not that of a domain.
        """
        domain, count = cls(**state), _SIDE * _SIDE
        shapes = [tuple(value.shape) for value in domain[:2] if isinstance(value, Tensor)]
        if shapes != [(count,), (count, count)] or not isinstance(domain.limit, float):
            raise TypeError("the domain of the training images has another shape")
        return domain

    def distances(self, images: Tensor) -> Tensor:
        """Return the distances of N×1×S×S images, N float32 on the CPU."""
        distances: Tensor = torch.linalg.vector_norm((_fields(images) - self.mean) @ self.whitening.T, dim=1)
        return distances


def _fields(images: Tensor) -> Tensor:
    fields = torch.cat([adaptive_avg_pool2d(batch.float(), _SIDE).flatten(1).cpu() for batch in images.split(_BATCH)])
    spread, mean = torch.std_mean(fields, dim=1, correction=0, keepdim=True)
    return (fields - mean) / spread.clamp_min(1e-6)
