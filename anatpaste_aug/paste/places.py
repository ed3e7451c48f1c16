"""Where patches are cut and pasted."""

import numpy as np
import torch
from torch import Tensor

from anatpaste_aug.paste.config import PasteConfig


def place(
    config: PasteConfig,
    u: Tensor,
    box_h: Tensor,
    box_w: Tensor,
    height: int,
    width: int,
    region: tuple[Tensor, Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Choose the tops and lefts of the bounding boxes, B×K×T for T tries.

    ``region`` is a random pixel of each region, as `random_pixel` returns it.
    """
    high, wide = each(box_h), each(box_w)
    down, right = u[:, :, 0], u[:, :, 1]
    if config.place == "inside":
        return _inside(down, height - high), _inside(right, width - wide)
    if config.place == "foreground":
        # As the authors draw the center: the first row and column stay free.
        return 1 + index(down, height - high - 1), 1 + index(right, width - wide - 1)
    if config.place == "middle":
        center_y = int(0.1 * height) + index(down, int(0.9 * height) - int(0.1 * height))
        center_x = int(0.1 * width) + index(right, int(0.9 * width) - int(0.1 * width))
    else:
        center_y, center_x = index(down, height), index(right, width)
    if region is not None:
        row, column, exists = (each(field) for field in region)
        center_y, center_x = torch.where(exists, row, center_y), torch.where(exists, column, center_x)
    return center_y - (high >> 1), center_x - (wide >> 1)


def place_on_foreground(
    config: PasteConfig,
    foreground: Tensor,
    donor_foreground: Tensor,
    cut: tuple[Tensor, ...],
    top: Tensor,
    left: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the first place where enough of the patch's foreground falls on foreground; also return if one exists.

    The patch's foreground is read at the nearest pixels.
    """
    if top.device.type == "cpu" and not torch.compiler.is_compiling():
        return _place_one_by_one(config, foreground, donor_foreground, cut, top, left)
    height, width = foreground.shape[1:]
    rows, columns = (torch.arange(side, device=top.device) for side in _largest(config, height, width))
    source_top, source_left, patch_h, patch_w, scaled_h, scaled_w = cut
    fits, tops, lefts = [], [], []
    for k in range(top.shape[1]):
        high, wide = scaled_h[:, k : k + 1], scaled_w[:, k : k + 1]
        row = source_top[:, k : k + 1] + ((rows + 0.5) * (patch_h[:, k : k + 1] / high)).long()
        column = source_left[:, k : k + 1] + ((columns + 0.5) * (patch_w[:, k : k + 1] / wide)).long()
        mine = _read(donor_foreground, row, column)
        mine &= (rows < high).unsqueeze(2) & (columns < wide).unsqueeze(1)
        own = mine.sum((1, 2))
        enough = []
        for t in range(top.shape[2]):
            there = _read(foreground, top[:, k, t : t + 1] + rows, left[:, k, t : t + 1] + columns)
            enough.append((mine & there).sum((1, 2)) > config.min_overlap * own)
        fitting = torch.stack(enough, 1) & (own > config.min_overlap * high[:, 0] * wide[:, 0]).unsqueeze(1)
        first = fitting.int().argmax(1, keepdim=True)
        fits.append(fitting.gather(1, first))
        tops.append(top[:, k].gather(1, first))
        lefts.append(left[:, k].gather(1, first))
    return torch.cat(tops, 1), torch.cat(lefts, 1), torch.cat(fits, 1)


def _place_one_by_one(
    config: PasteConfig,
    foreground: Tensor,
    donor_foreground: Tensor,
    cut: tuple[Tensor, ...],
    top: Tensor,
    left: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Do the same on the CPU, where code may depend on the sizes: only the pixels of each patch, only until it fits."""
    own, donors, tops, lefts = (tensor.numpy() for tensor in (foreground, donor_foreground, top, left))
    height, width = own.shape[1:]
    overlap, half = np.float32(config.min_overlap), np.float32(0.5)
    chosen = np.zeros(top.shape[:2], np.int64)
    fits = np.zeros(top.shape[:2], bool)
    sizes = np.stack([tensor.expand(fits.shape).numpy() for tensor in cut], 2)
    for i, k in np.ndindex(fits.shape):
        source_top, source_left, patch_h, patch_w, high, wide = sizes[i, k]
        rows, columns = np.arange(high), np.arange(wide)
        # In float32, like the tensors.
        row = source_top + ((rows + half).astype(np.float32) * (np.float32(patch_h) / np.float32(high))).astype(int)
        column = source_left + ((columns + half).astype(np.float32) * (np.float32(patch_w) / np.float32(wide))).astype(
            int
        )
        mine = donors[i, row.clip(0, height - 1)][:, column.clip(0, width - 1)]
        count = np.float32(np.count_nonzero(mine))
        if count <= overlap * np.float32(high * wide):
            continue
        for t in range(tops.shape[2]):
            there = own[i, (tops[i, k, t] + rows).clip(0, height - 1)][:, (lefts[i, k, t] + columns).clip(0, width - 1)]
            if np.count_nonzero(mine & there) > overlap * count:
                chosen[i, k], fits[i, k] = t, True
                break
    first = torch.from_numpy(chosen).unsqueeze(2)
    return top.gather(2, first)[..., 0], left.gather(2, first)[..., 0], torch.from_numpy(fits)


def _largest(config: PasteConfig, height: int, width: int) -> tuple[int, int]:
    """Return the largest possible height and width of a resized patch, without reading the sizes from the device."""
    if config.size in ("half_width", "gamma"):
        bound = config.half_width[1] * (1 if config.resize else 2)
        return min(round(bound * height) + 1, height), min(round(bound * width) + 1, width)
    return height, width


def _read(masks: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Read B×H×W masks at B×h rows and B×w columns; edge pixels are repeated."""
    height, width = masks.shape[1:]
    where = row.clamp(0, height - 1).unsqueeze(2) * width + column.clamp(0, width - 1).unsqueeze(1)
    return masks.flatten(1).gather(1, where.flatten(1)).view(where.shape)


def each(values: Tensor) -> Tensor:
    """Reshape B×K to B×K×1, to broadcast over the tries."""
    return values.unsqueeze(2)


def cut_around_a_center(
    config: PasteConfig,
    u: Tensor,
    patch_h: Tensor,
    patch_w: Tensor,
    height: int,
    width: int,
    donor_foreground: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Cut around a center at least the smallest half-width from the edges; patches are clipped to the image.

    Chooses the first place where enough of the patch is foreground. Returns top, left, height, width, and whether such
    a place exists.
    """
    edges = []
    for drawn, side, patch in ((u[:, :, 0], height, patch_h), (u[:, :, 1], width, patch_w)):
        low = round(config.half_width[0] * side)
        center = low + index(drawn, max(side - 2 * low, 1))
        half = each(patch // 2)
        edges.append(((center - half).clamp_min(0), (center + half).clamp_max(side)))
    (top, bottom), (left, right) = edges
    if config.place != "foreground" or donor_foreground is None:
        first = torch.zeros_like(top[..., :1])
        enough = torch.ones_like(top, dtype=torch.bool)
    else:
        enough = _mostly_foreground(config.min_overlap, donor_foreground, top, bottom, left, right)
        first = enough.int().argmax(2, keepdim=True)
    top, bottom, left, right, fits = (field.gather(2, first)[..., 0] for field in (top, bottom, left, right, enough))
    return top, left, bottom - top, right - left, fits


def _mostly_foreground(share: float, masks: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Test which boxes, B×K×T, have more than a share of True pixels in B×H×W masks.

    On the CPU, boxes after the first such one of a patch are not tested, and are False.
    """
    least = share * (bottom - top) * (right - left)
    if top.device.type == "cpu" and not torch.compiler.is_compiling():
        own, limits = masks.numpy(), least.numpy()
        enough = np.zeros(top.shape, bool)
        boxes = torch.stack([top, bottom, left, right], 3).numpy()
        for i, k in np.ndindex(enough.shape[:2]):
            for t, (y, y_end, x, x_end) in enumerate(boxes[i, k]):
                if np.count_nonzero(own[i, y:y_end, x:x_end]) > limits[i, k, t]:
                    enough[i, k, t] = True
                    break
        return torch.from_numpy(enough)
    sums = torch.nn.functional.pad(masks.int().cumsum(1).cumsum(2), (1, 0, 1, 0)).flatten(1)
    stride = masks.shape[2] + 1

    def upto(row: Tensor, column: Tensor) -> Tensor:
        return sums.gather(1, (row * stride + column).flatten(1)).view(top.shape)

    return upto(bottom, right) - upto(top, right) - upto(bottom, left) + upto(top, left) > least


def uniform(u: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Scale uniform numbers in [0, 1) to the bounds."""
    return bounds[0] + u * (bounds[1] - bounds[0])


def index(u: Tensor, count: Tensor | int) -> Tensor:
    """Convert uniform numbers to integers in 0…count − 1; 0 where the count is 0 or less."""
    drawn = (u * count).long()  # can equal the count where a float64 just below 1 was rounded to 1 in float32
    if isinstance(count, int):
        return drawn.clamp(max=max(count - 1, 0))
    return torch.minimum(drawn, count - 1).clamp_min(0)


def _inside(u: Tensor, slack: Tensor) -> Tensor:
    """Convert uniform numbers to starts in 0…slack; a negative slack centers the patch, at a negative start."""
    return torch.where(slack >= 0, index(u, slack + 1), slack // 2)
