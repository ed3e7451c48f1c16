"""Poisson blending: copy differences between neighboring pixels instead of values, and solve for the values."""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.library import custom_op
from torch.nn.functional import pad

from anatpaste_aug.functional import _numba
from anatpaste_aug.functional._numba.threads import empty, run_in_threads
from anatpaste_aug.functional.intensity import at_least_float32

Guidance = Literal["source", "stronger", "mixed"]


def poisson_blend(
    target: Tensor,
    source: Tensor,
    box: Tensor,
    *,
    guidance: Guidance,
    alpha: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Blend a box of the source into the target by its gradients (Pérez et al., 2003).

    Inside the box, the result is the image whose differences between neighbors come closest to the guidance, with the
    target's values on the box's frame of one pixel: the discrete Poisson equation Δu = div(guidance) with Dirichlet
    values. The type-I sine transform of the box makes that equation diagonal, so it is solved directly.

    Differences are forward, from a pixel p to the one on its right and the one below. Let d and s be those of the
    target and of the source. The guidance is

    - "source": s (OpenCV's NORMAL_CLONE);
    - "stronger": for each difference separately, the larger in magnitude of (1 − α)·d and α·s, the latter if they are
      equal (PII, Tan et al., arXiv 2107.02622);
    - "mixed": both differences of p from the source where ``abs(s_right - s_below) > abs(d_right - d_below)``, else
      both from the target (OpenCV's MIXED_CLONE, as implemented there).

    A weight w at p gives w · guidance + (1 − w) · d for both differences of p; as in OpenCV, a difference takes the
    weight of its left or upper pixel. To reproduce ``cv2.seamlessClone``, set the outermost rows and columns of its
    mask to 0, pass the mask's bounding rectangle as the box, and as the weight the mask eroded by 7×7 (OpenCV erodes
    three times by 3×3), with zeros around it; then clip to [0, 255] and truncate.

    Args:
        target: Floating-point B×C×H×W; never modified.
        source: Like the target, and aligned with it pixel by pixel.
        box: int64 B×4, each row top, left, height and width in pixels, frame included. A box is clipped to the
            image; its frame is then the outermost row or column that remains. A box with no pixel inside its frame
            (fewer than 3 rows or columns) leaves the image unchanged.
        guidance: Where the differences come from.
        alpha: Floating-point B, in [0, 1]; required for "stronger", and None otherwise.
        weight: Floating-point B×1×H×W, in [0, 1]; None is 1 everywhere.

    Returns:
        The blended images, of the target's shape and dtype, computed in float32 (float64 for float64). They are not
        clipped: values may exceed the range of both images. Outside of the box and on its frame they equal the target
        bit for bit. Gradients flow to both images, to ``alpha`` and to ``weight``.

    Raises:
        TypeError: A dtype is not supported.
        ValueError: Shapes or devices do not match, the guidance is unknown, or alpha is missing or not used.

    Example:
        >>> target, source = torch.zeros(1, 1, 8, 8), torch.eye(8).view(1, 1, 8, 8)
        >>> poisson_blend(target, source, torch.tensor([[1, 1, 6, 6]]), guidance="source").shape
        torch.Size([1, 1, 8, 8])
    """
    _check(target, source, box, guidance, alpha, weight)
    height, width = target.shape[-2:]
    top, left = box[:, 0].clamp(0, height), box[:, 1].clamp(0, width)
    bottom, right = (box[:, 0] + box[:, 2]).clamp(0, height), (box[:, 1] + box[:, 3]).clamp(0, width)
    if _numba.supports(target, source, box, alpha, weight):
        edges = torch.stack([top, left, bottom, right], 1)
        blended: Tensor = _blend_on_cpu(target, source, edges, guidance, alpha, weight)
        return blended
    with torch.autocast(target.device.type, enabled=False):
        # The boxes' sizes are not known on the host, so each box is solved in a window of the whole image.
        rows, columns = _sine_basis(top, bottom, height, target.dtype), _sine_basis(left, right, width, target.dtype)
        change = pad(_change(target, source, rows, columns, guidance, alpha, weight), (1, 1, 1, 1))
        inside = pad(_inside(rows, columns), (1, 1, 1, 1))
        return torch.where(inside, (target + change).to(target.dtype), target)


@custom_op("anatpaste_aug::poisson_blend", mutates_args=(), device_types="cpu")
def _blend_on_cpu(
    target: Tensor, source: Tensor, edges: Tensor, guidance: str, alpha: Tensor | None, weight: Tensor | None
) -> Tensor:
    """Solve each box separately, in float64: most are much smaller than the image."""
    from anatpaste_aug.functional._numba.poisson import blend_differences

    others = at_least_float32(source).contiguous()
    out = empty(*target.shape, dtype=others.dtype).copy_(target)
    arrays = (
        out.numpy(),
        others.numpy(),
        edges.numpy(),
        get_args(Guidance).index(guidance),
        (out.new_empty(0) if alpha is None else alpha.to(out.dtype).contiguous()).numpy(),
        (out.new_empty(len(out), 0, 0) if weight is None else weight[:, 0].to(out.dtype).contiguous()).numpy(),
    )
    run_in_threads(lambda begin, end: blend_differences(*arrays, begin, end), len(out))
    return out.to(target.dtype)


@_blend_on_cpu.register_fake
def _(
    target: Tensor, source: Tensor, edges: Tensor, guidance: str, alpha: Tensor | None, weight: Tensor | None
) -> Tensor:
    return torch.empty_like(target, memory_format=torch.contiguous_format)


def _change(
    target: Tensor,
    source: Tensor,
    rows: "_SineBasis",
    columns: "_SineBasis",
    guidance: Guidance,
    alpha: Tensor | None,
    weight: Tensor | None,
) -> Tensor:
    """Compute the change of the target inside the frames of windows: B×C×(H − 2)×(W − 2), 0 outside of the boxes.

    It solves Δv = div(guidance − target's differences) with 0 on the frame.
    """
    right, down = _excess(at_least_float32(target), at_least_float32(source), guidance, alpha)
    if weight is not None:
        weight = weight[..., :-1, :-1].to(right.dtype)
        right, down = weight * right, weight * down
    divergence = right[..., 1:, 1:] - right[..., 1:, :-1] + down[..., 1:, 1:] - down[..., :-1, 1:]
    outside = ~_inside(rows, columns)
    divergence = divergence.masked_fill(outside, 0.0)
    change = _solve(divergence, rows, columns)
    # One step of iterative refinement: matrix products may be less accurate than float32, in TF32 on CUDA and in
    # bfloat16 on the CPU, if the user has allowed that by torch.set_float32_matmul_precision.
    padded = pad(change, (1, 1, 1, 1))
    around = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    residual = (divergence - (around - 4 * change)).masked_fill(outside, 0.0)
    return change + _solve(residual, rows, columns)


def _excess(target: Tensor, source: Tensor, guidance: Guidance, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
    """Subtract the target's differences from the guidance, to the right and down: each B×C×(H − 1)×(W − 1)."""
    if guidance == "source":
        return _differences(source - target)
    own, theirs = _differences(target), _differences(source)
    if guidance == "mixed":
        stronger = (theirs[0] - theirs[1]).abs() > (own[0] - own[1]).abs()
        return torch.where(stronger, theirs[0] - own[0], 0.0), torch.where(stronger, theirs[1] - own[1], 0.0)
    assert alpha is not None
    weight = alpha.to(target.dtype).view(-1, 1, 1, 1)
    pairs = [((1 - weight) * d, weight * s) for d, s in zip(own, theirs, strict=True)]
    guides = [torch.where(d.abs() > s.abs(), d, s) for d, s in pairs]
    return guides[0] - own[0], guides[1] - own[1]


def _differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract each pixel from the one on its right and from the one below, where both exist."""
    here = images[..., :-1, :-1]
    return images[..., :-1, 1:] - here, images[..., 1:, :-1] - here


class _SineBasis(NamedTuple):
    """The type-I sine transform along one side of a batch of boxes, in windows of one size; 0 outside of the boxes."""

    inside: Tensor  # boolean B×N: which pixels of the window (without its first and last) are inside of the frame
    waves: Tensor  # B×1×N×N, pixel × frequency, orthonormal
    decay: Tensor  # B×1×N: minus the eigenvalue of the second difference


def _sine_basis(first: Tensor, end: Tensor, side: int, dtype: torch.dtype) -> _SineBasis:
    """Make the basis for boxes that extend from ``first`` to ``end``, frame included, in windows of ``side`` px."""
    dtype = torch.float64 if dtype == torch.float64 else torch.float32
    place = torch.arange(1, max(side, 2) - 1, dtype=torch.int32, device=first.device)
    distance = place - first.int().unsqueeze(1)  # from the frame
    count = (end - first - 2).clamp_min(0).int().unsqueeze(1)
    inside, used = (distance > 0) & (distance <= count), place <= count
    # The phase is reduced to one turn in integers: a float32 of many turns loses the digits of the angle.
    turns = (distance.unsqueeze(2) * place) % (2 * (count + 1)).unsqueeze(2)
    step = math.pi / (count + 1).to(dtype)
    waves = (turns * step.unsqueeze(2)).sin() * (2 / (count + 1)).to(dtype).sqrt().unsqueeze(2)
    waves = waves.masked_fill(~(inside.unsqueeze(2) & used.unsqueeze(1)), 0.0)
    decay = torch.where(used, 4 * (place * step / 2).sin().square(), 1.0)
    return _SineBasis(inside, waves.unsqueeze(1), decay.unsqueeze(1))


def _inside(rows: _SineBasis, columns: _SineBasis) -> Tensor:
    return (rows.inside.unsqueeze(2) & columns.inside.unsqueeze(1)).unsqueeze(1)


def _solve(divergence: Tensor, rows: _SineBasis, columns: _SineBasis) -> Tensor:
    """Solve Δv = divergence with v = 0 on the frames."""
    amplitudes = rows.waves.mT @ divergence @ columns.waves
    amplitudes = amplitudes / -(rows.decay.unsqueeze(3) + columns.decay.unsqueeze(2))
    return rows.waves @ amplitudes @ columns.waves.mT


def _check(
    target: Tensor, source: Tensor, box: Tensor, guidance: str, alpha: Tensor | None, weight: Tensor | None
) -> None:
    if guidance not in get_args(Guidance):
        raise ValueError(f"guidance must be one of {', '.join(get_args(Guidance))}, got {guidance!r}")
    if not target.is_floating_point() or source.dtype != target.dtype:
        raise TypeError(f"target and source must have one floating-point dtype, got {target.dtype} and {source.dtype}")
    if target.ndim != 4 or source.shape != target.shape:
        shapes = f"{tuple(target.shape)} and {tuple(source.shape)}"
        raise ValueError(f"target and source must have the same shape (B, C, H, W), got {shapes}")
    if box.dtype != torch.int64:
        raise TypeError(f"box must be int64, got {box.dtype}; pass box.long()")
    count, height, width = target.shape[0], *target.shape[2:]
    if (alpha is None) == (guidance == "stronger"):
        raise ValueError('alpha is required for guidance="stronger", and must be None for any other guidance')
    wanted = {"box": (box, (count, 4)), "alpha": (alpha, (count,)), "weight": (weight, (count, 1, height, width))}
    for name, (tensor, shape) in wanted.items():
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    for name, tensor in {"source": source, "box": box, "alpha": alpha, "weight": weight}.items():
        if tensor is not None and tensor.device != target.device:
            raise ValueError(f"{name} is on {tensor.device} and the target on {target.device}")
