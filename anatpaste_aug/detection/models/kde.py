"""Gaussian kernel density estimate of the normal training features: the anomaly score of the paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anatpaste_aug.validation import check_number

LARGEST = 1e70
"""Of features and bandwidths: up to here the squares of their ratios are numbers of float64."""

# Elements of one block of the query-by-training distance matrix; 32 MiB in float64.
_BLOCK_ELEMENTS = 2**22


class GaussianKDE:
    """Gaussian kernel density estimate on the device where the features live.

    The same density as scikit-learn's `KernelDensity(kernel="gaussian")`, computed as a logsumexp over one matrix
    product (`|x - y|² = |x|² - 2 x·y + |y|²`) instead of a tree, in blocks of queries so that memory stays bounded.
    Scores follow section III of Sato et al. (arXiv 2205.04282): minus the log density of the normal training
    features, bandwidth 1.

    Convention:
        - `features`: N×D floating tensor, the training rows; queries are M×D on the same device.
        - The arithmetic is float64 (float32 on a device without it, such as MPS) about the training mean, so that
          neither a large common offset nor TF32 or autocast costs digits. Results have the queries' dtype,
          at least float32.

    Args:
        features: N×D floating tensor of finite values, within ±1e70, N and D at least 1. It is copied.
        bandwidth: Standard deviation of the kernel, positive, from 1e-70 to 1e70.

    Raises:
        TypeError: `features` is not a floating tensor.
        ValueError: Empty, not two-dimensional, not finite, or `features` or `bandwidth` out of range.

    Example:
        >>> kde = GaussianKDE(torch.tensor([[0.0], [2.0]]), bandwidth=1.0)
        >>> kde.score(torch.tensor([[1.0], [9.0]]))  # minus log of the mean kernel: larger is more anomalous
        tensor([ 0.5000, 25.1931])
    """

    def __init__(self, features: Tensor, bandwidth: float = 1.0) -> None:
        check_features(features, "training features")
        self.bandwidth = check_number("bandwidth", bandwidth, 1 / LARGEST, LARGEST)
        self._work = torch.float32 if features.device.type == "mps" else torch.float64
        rows = features.detach().to(self._work)
        self._center = rows.mean(dim=0)
        self._rows = rows - self._center
        self._squares = self._rows.square().sum(dim=1)

    def __len__(self) -> int:
        return self._rows.shape[0]

    def __repr__(self) -> str:
        count, width = self._rows.shape
        return f"GaussianKDE({count} rows of {width} features, bandwidth={self.bandwidth}, device={self._rows.device})"

    def log_density(self, x: Tensor, normalize: bool = True) -> Tensor:
        """Log density of each query; with `normalize` equal to scikit-learn's `KernelDensity.score_samples`.

        Args:
            x: M×D floating tensor of finite values on the device of the training features; M may be 0.
            normalize: Add the logarithm of the normalizing constant, `-D/2 · log(2π) - D · log(bandwidth)`. In
                hundreds of dimensions it is hundreds large, and in float32 hides the digits that tell queries apart.

        Returns:
            Tensor of M values, in the dtype of `x` (at least float32).

        Raises:
            TypeError: `x` is not a floating tensor.
            ValueError: Wrong number of dimensions, features or device, or non-finite values.
        """
        check_queries(x, self._rows)
        count, width = self._rows.shape
        result_dtype = torch.promote_types(x.dtype, torch.float32)
        constant = -math.log(count)
        if normalize:
            constant -= width * (0.5 * math.log(2 * math.pi) + math.log(self.bandwidth))
        blocks = [
            (self._log_kernel_sum(block) + constant).to(result_dtype)
            for block in x.detach().split(max(1, _BLOCK_ELEMENTS // count))
        ]
        return torch.cat(blocks)

    def score(self, x: Tensor) -> Tensor:
        """Anomaly score, `-log_density(x, normalize=False)`: larger means further from the normal images.

        Takes, returns and raises as `log_density`.
        """
        return -self.log_density(x, normalize=False)

    def _log_kernel_sum(self, block: Tensor) -> Tensor:
        queries = block.to(self._work) - self._center
        distances = queries.square().sum(dim=1, keepdim=True) + self._squares
        # Rounding can leave the distance of a row to itself slightly below zero.
        distances = distances.addmm(queries, self._rows.T, alpha=-2).clamp_(min=0)
        return torch.logsumexp(distances.mul_(-0.5 / self.bandwidth**2), dim=1)


def check_queries(queries: Tensor, rows: Tensor) -> None:
    """Check that queries are features as `check_features` takes them, like the training rows; M may be 0."""
    check_features(queries, "query features", allow_empty=True)
    if queries.shape[1] != rows.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} features, the training features have {rows.shape[1]}")
    if queries.device != rows.device:
        raise ValueError(f"queries are on {queries.device}, the training features on {rows.device}: move one")


def check_features(features: Tensor, name: str, allow_empty: bool = False) -> None:
    """Raise a TypeError or ValueError unless these are N×D floating, finite and within ±1e70."""
    if not isinstance(features, Tensor) or not features.is_floating_point():
        kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
        raise TypeError(f"{name} must be a floating tensor, got {kind}")
    if features.ndim != 2:
        raise ValueError(f"{name} must be rows × features, got shape {tuple(features.shape)}")
    if features.numel() == 0 and not (allow_empty and features.shape[1] > 0):
        raise ValueError(f"{name} are empty: shape {tuple(features.shape)}")
    if not bool(torch.isfinite(features).all()):
        bad = int((~torch.isfinite(features)).any(dim=1).sum())
        raise ValueError(f"{name} contain NaN or infinity in {bad} of {features.shape[0]} rows")
    if features.numel() and not float(features.detach().abs().max()) <= LARGEST:
        raise ValueError(f"{name} must lie within ±1e70, got {float(features.detach().abs().max()):g}; scale them")
