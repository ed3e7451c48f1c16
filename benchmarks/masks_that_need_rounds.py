"""Masks that need many rounds of label propagation: what `label_rounds.py` searches through."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def random_masks(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    for density in np.linspace(0.05, 0.95, 37):
        for grain in (1, 2, 3):
            coarse = rng.random((-(-rows // grain), -(-columns // grain))) < density
            yield np.kron(coarse, np.ones((grain, grain), dtype=bool))[:rows, :columns]


def walk(rows: int, columns: int, gap: int) -> Mask:
    """A path of one pixel's width that winds inwards, leaving ``gap`` pixels between its turns."""
    mask = np.zeros((rows, columns), dtype=bool)
    top, left, bottom, right = 0, 0, rows - 1, columns - 1
    entry = left
    while top <= bottom and left <= right:
        mask[top, entry : right + 1] = mask[top : bottom + 1, right] = mask[bottom, left : right + 1] = True
        entry, top, left, bottom, right = left, top + gap + 1, left + gap + 1, bottom - gap - 1, right - gap - 1
        mask[top : bottom + gap + 2, entry] = True
    return mask


def spirals(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    for gap in (1, 2):
        yield walk(rows, columns, gap)
    arms = walk(rows, columns, 3)  # and a second arm in between
    other = np.zeros_like(arms)
    other[2:-2, 2:-2] = walk(rows - 4, columns - 4, 3)
    yield arms | other


def snakes(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    for thick in (1, 2):
        mask = np.zeros((rows, columns), dtype=bool)
        step = 2 * thick
        for line, top in enumerate(range(0, rows, step)):
            mask[top : top + thick] = True
            edge = slice(-thick, None) if line % 2 == 0 else slice(0, thick)
            mask[top : top + step, edge] = True
        yield mask


def combs(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    """Teeth on a back, whose tips are of one height, of random heights, and of the heights of a ruler's marks.

    In row-major order every tip is the smallest label near it. On a ruler every second tip is a higher mark than its
    neighbours, and among those every second again: each round can only halve their number.
    """
    teeth = np.arange(0, columns, 2)
    marks = np.array([(tooth & -tooth).bit_length() - 1 for tooth in range(1, len(teeth) + 1)])
    for heights in (0 * marks, rng.integers(0, rows - 1, len(teeth)), marks, marks.max() - marks):
        mask = np.zeros((rows, columns), dtype=bool)
        for tooth, height in zip(teeth, heights, strict=True):
            mask[min(height, rows - 1) :, tooth] = True
        mask[-1] = True
        yield mask


def zigzags(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    """Diagonals that meet at alternate ends, in bands of several heights; a checkerboard with holes."""
    column = np.arange(columns)
    for height in (2, 3, 4, 6, 8, 16):
        mask = np.zeros((rows, columns), dtype=bool)
        fold = abs((column + height - 1) % (2 * height - 2) - (height - 1))
        for band, top in enumerate(range(0, rows - height + 1, height + 1)):
            mask[top + fold, column] = True
            mask[top + height - 1 : top + height + 2, -1 if band % 2 == 0 else 0] = True
        yield mask
    y, x = np.indices((rows, columns))
    for share in (0.6, 0.8, 0.95):
        yield ((y + x) % 2 == 0) & (rng.random((rows, columns)) < share)


def mazes(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    """Random trees of corridors: by depth-first search, which makes them long, and by growth at random places."""
    for pick_last in (1.0, 0.5, 0.0):
        mask = np.zeros((rows, columns), dtype=bool)
        mask[0, 0], active = True, [(0, 0)]
        while active:
            place = len(active) - 1 if rng.random() < pick_last else int(rng.integers(len(active)))
            row, column = active[place]
            steps = [
                (a, b)
                for a, b in ((0, 2), (2, 0), (0, -2), (-2, 0))
                if 0 <= row + a < rows and 0 <= column + b < columns and not mask[row + a, column + b]
            ]
            if not steps:
                active.pop(place)
                continue
            a, b = steps[rng.integers(len(steps))]
            mask[row + a // 2, column + b // 2] = mask[row + a, column + b] = True
            active.append((row + a, column + b))
        yield mask


def hilberts(rows: int, columns: int, rng: np.random.Generator) -> Iterator[Mask]:
    """Hilbert's curve, and the same with gaps, drawn with a pixel between its lines."""
    order = 1
    while 2 ** (order + 1) * 2 - 1 <= max(rows, columns):
        order += 1
    side = 2**order
    mask = np.zeros((2 * side - 1, 2 * side - 1), dtype=bool)
    last = (0, 0)
    for step in range(side * side):
        x = y = 0
        rest, scale = step, 1
        while scale < side:
            turn_x = 1 & (rest // 2)
            turn_y = 1 & (rest ^ turn_x)
            if turn_y == 0:
                if turn_x == 1:
                    x, y = scale - 1 - x, scale - 1 - y
                x, y = y, x
            x, y, rest, scale = x + scale * turn_x, y + scale * turn_y, rest // 4, 2 * scale
        mask[2 * y, 2 * x] = mask[y + last[1], x + last[0]] = True
        last = (x, y)
    full = np.zeros((rows, columns), dtype=bool)
    full[: len(mask), : len(mask)] = mask[:rows, :columns]
    yield full
    yield full & (rng.random(full.shape) < 0.995)


Family = Callable[[int, int, np.random.Generator], Iterator[Mask]]

FAMILIES: dict[str, Family] = {
    "random": random_masks,
    "spirals": spirals,
    "snakes": snakes,
    "combs": combs,
    "zigzags": zigzags,
    "mazes": mazes,
    "Hilbert curves": hilberts,
}


def turned(mask: Mask) -> list[Mask]:
    """The eight orientations, those that keep the shape: labels grow in reading order, so each is a case of its own."""
    versions = [np.rot90(version, turns) for version in (mask, mask.T) for turns in range(4)]
    return [version for version in versions if version.shape == mask.shape]


def mutated(mask: Mask, others: list[Mask], rng: np.random.Generator) -> Mask:
    """A copy with some pixels flipped, a part moved, or a part of another mask put in."""
    mask = mask.copy()
    rows, columns = mask.shape
    kind = rng.integers(4)
    if kind == 0:
        count = int(rng.integers(1, 9))
        mask[rng.integers(0, rows, count), rng.integers(0, columns, count)] ^= True
        return mask
    height, width = (int(rng.integers(1, max(2, side // int(rng.integers(1, 9))) + 1)) for side in (rows, columns))
    top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
    part = (slice(top, top + height), slice(left, left + width))
    if kind == 1:
        mask[part] = others[rng.integers(len(others))][part]
    elif kind == 2:
        mask[part] = np.roll(mask[part], tuple(rng.integers(-2, 3, 2)), (0, 1))
    else:
        mask[part] = mask[part][:, ::-1] if rng.random() < 0.5 else mask[part][::-1]
    return mask
