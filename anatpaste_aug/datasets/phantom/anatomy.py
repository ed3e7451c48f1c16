"""The anatomy of a phantom radiograph: the position and density of its parts, and the film that records them.

All lengths are fractions of the image, so that a subject can be drawn at any size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating[Any]]  # float32; NumPy's type stubs lose the precision in arithmetic
_LETTERS = {  # 5 × 7 pixels
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "R": ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"),
}


@lru_cache(maxsize=64)
def _splines(size: int, cells: int) -> Map:
    """Return cubic B-spline weights of the pixels, (size, cells + 3), for ``cells`` knots per image."""
    t = np.abs((np.arange(size)[:, None] + 0.5) / size * cells + 1 - np.arange(cells + 3))
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.clip(2 - t, 0, None) ** 3 / 6).astype(np.float32)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Map:
    """Draw (size, size) smooth noise of about unit standard deviation; the same pattern at every size."""
    knots: Map = 2 * rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return _splines(size, cells) @ knots @ _splines(size, cells).T


def step(distance: Map, softness: float) -> Map:
    """Return a smooth step: 0 below zero, 1 above ``softness``."""
    t: Map = np.clip(distance * (1 / softness), 0, 1)
    return t * t * (3 - 2 * t)


def _bump(t: Map, center: float, width: float | Map) -> Map:
    """Return a bell curve of this width that is 1 at ``center``."""
    bell: Map = np.exp(-np.square((t - center) / width))
    return bell


def _smooth_min(a: Map, b: Map, radius: float) -> Map:
    """Return the smaller of two distances, with a rounded corner between them."""
    h = np.clip(radius - np.abs(a - b), 0, None)
    rounded: Map = np.minimum(a, b) - h * h / (4 * radius)
    return rounded


def _by_side(side: Map, left: float, right: float) -> Map:
    return (left + right) / 2 + (right - left) / 2 * side


class Frame:
    """Where each pixel lies in the body: `x`, `y` from the midline at the lung apices, in fractions of the image.

    `u` = |x| in half thorax widths and `v` = y in lung heights serve both sides at once; `side` is -1 on the left of
    the image (the patient's right) and +1 on the right.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.size, self.width, self.height = size, rng.uniform(0.33, 0.40), rng.uniform(0.52, 0.64)
        turn = float(np.clip(rng.normal(0, 0.03), -0.07, 0.07))
        grid = (np.arange(size, dtype=np.float32) + 0.5) / size
        dx = grid[None, :] - 0.5 - rng.uniform(-0.03, 0.03)
        dy = grid[:, None] - 0.485 + self.height / 2 - rng.uniform(-0.03, 0.03)
        # A slight warp, so that the two sides differ.
        self.x: Map = dx + turn * dy + 0.008 * smooth_noise(rng, size, 4)
        self.y: Map = dy - turn * dx + 0.008 * smooth_noise(rng, size, 4)
        self.side: Map = np.sign(self.x)
        self.u: Map = np.abs(self.x) / self.width
        self.v: Map = self.y / self.height

    def bone(self, start: tuple[float, float], end: tuple[float, float]) -> Map:
        """Return the distance, in fractions of the image, to the segment between two (u, v) points on both sides."""
        x, y = (self.u - start[0]) * self.width, (self.v - start[1]) * self.height
        ex, ey = (end[0] - start[0]) * self.width, (end[1] - start[1]) * self.height
        along = np.clip((x * ex + y * ey) * (1 / (ex * ex + ey * ey)), 0, 1)
        distance: Map = np.sqrt(np.square(x - along * ex) + np.square(y - along * ey))
        return distance


class Chest:
    """The surfaces that bound the lungs, and the air between them."""

    def __init__(self, rng: np.random.Generator, frame: Frame) -> None:
        self.frame, self.taper = frame, rng.uniform(0.42, 0.62)
        lifts = rng.uniform(0.15, 0.22), rng.uniform(0.12, 0.18)  # the liver raises the dome on the patient's right
        dome = np.square((frame.u - rng.uniform(0.38, 0.46)) * (1 / rng.uniform(0.58, 0.66)))
        self.diaphragm: Map = 1 - _by_side(frame.side, *lifts) * (1 - dome)
        self.midline, self.arch = rng.uniform(0.17, 0.23), rng.uniform(0.03, 0.10)
        self.heart, self.heart_at = (rng.uniform(0.10, 0.16), rng.uniform(0.32, 0.42)), rng.uniform(0.70, 0.78)

    def cage(self, v: Map) -> Map:
        """Return the half width of the rib cage."""
        above = np.clip(1 - v, 0, 1.4)
        half: Map = 1 - self.taper * above * above * above
        return half

    def mediastinum(self, v: Map, side: Map, enlargement: float = 0.0) -> Map:
        """Return the half width between the lungs; at an ``enlargement`` of 1 the heart is twice as wide."""
        spread = np.where(v > self.heart_at, 0.20 + 0.1 * enlargement, _by_side(side, 0.19, 0.29)).astype(np.float32)
        heart = _by_side(side, *self.heart) * (1 + enlargement) * _bump(v, self.heart_at, spread)
        return self.midline + heart + _by_side(side, 0, self.arch) * _bump(v, 0.25, 0.07)

    def inside(self, enlargement: float = 0.0) -> Map:
        """Return the signed distance to the edge of the lungs in fractions of the image, positive inside."""
        f = self.frame
        medial = (f.u - self.mediastinum(f.v, f.side, enlargement)) * f.width
        sides = _smooth_min((self.cage(f.v) - f.u) * f.width, medial, 0.03)
        apex = f.y - 0.9 * f.width * np.square(f.u - 0.45)
        return _smooth_min(sides, _smooth_min(apex, (self.diaphragm - f.v) * f.height, 0.02), 0.03)

    def air(self, rng: np.random.Generator, inside: Map) -> Map:
        """Return what the lungs subtract from the density: more deep inside, less at the vessels."""
        depth = 0.72 + 0.28 * np.clip(inside * 10, 0, 1)
        return rng.uniform(0.37, 0.46) * rim(inside) * depth * (1 - _vessels(rng, self.frame))


def rim(inside: Map) -> Map:
    """Return 1 in the lungs and 0 outside, with a soft edge."""
    return step(inside + 0.004, 0.014)


def _vessels(rng: np.random.Generator, frame: Frame) -> Map:
    """Return the fraction of the air that the hila and the branching vessels replace."""
    dx, dy = (frame.u - 0.30) * frame.width, (frame.v - 0.48) * frame.height
    reach = np.sqrt(dx * dx + dy * dy) + 0.01
    quarter = dy / (np.abs(dx) + np.abs(dy) + 1e-6)  # an angle without an arctangent, -1 up to 1 down
    angle = (np.pi / 2) * np.where(dx > 0, quarter, 2 - quarter) + frame.side
    angle += 0.35 * smooth_noise(rng, frame.size, 9)
    blotch = smooth_noise(rng, frame.size, 26)
    out = rng.uniform(0.25, 0.5) * _bump(reach, 0, 0.06) * (1 + 0.5 * blotch)
    start = 0.3 * step(reach - 0.02, 0.05)
    for number, width, faint in ((4, 0.0065, 0.10), (7, 0.0045, 0.15)):
        across = np.sin(number * angle + rng.uniform(0, 6)) * reach * (1 / (number * width))
        out += start * np.exp(-np.square(across) - reach * (1 / faint))
    share: Map = np.clip(out + 0.03 * blotch + 0.03 * smooth_noise(rng, frame.size, 60), 0, 0.8)
    return share


def soft_tissue(rng: np.random.Generator, frame: Frame, chest: Chest) -> Map:
    """Draw torso, shoulders, neck, chin and arms as one rounded body; 0 is the air around it."""
    u, v = frame.u, frame.v
    flank = (rng.uniform(1.16, 1.34) + 0.04 * v - u + 0.5 * _bump(v, -0.02, 0.22)) * frame.width
    shoulder = (v + rng.uniform(0.20, 0.28) - 0.09 * u * u) * frame.height
    neck = _smooth_min((rng.uniform(0.34, 0.44) - u) * frame.width, 0.3 - frame.y, 0.02)
    chin = 0.16 - np.sqrt(np.square(frame.x) + np.square(frame.y + rng.uniform(0.25, 0.42)))
    arm = rng.uniform(0.08, 0.11) - frame.bone((1.2, 0.02), (2.0, rng.uniform(-0.5, 0.9)))
    body = np.maximum(np.maximum(_smooth_min(flank, shoulder, 0.08), arm), np.maximum(neck, chin))
    rounded = 1 - np.square(np.clip(1 - body * (1 / rng.uniform(0.16, 0.24)), 0, 1))
    below = v - chest.diaphragm
    belly = rng.uniform(0.10, 0.22) * step(below + 0.1, 0.25)
    bubble = np.square((u - rng.uniform(0.3, 0.5)) * 6) + np.square((below - 0.12) * 14)  # air in the stomach
    belly -= max(0.0, rng.uniform(-0.2, 0.2)) * step(1 - bubble, 0.5) * (frame.side > 0)
    mottle = 0.02 * smooth_noise(rng, frame.size, 9) + 0.012 * smooth_noise(rng, frame.size, 40)
    thick: Map = 0.24 + 0.30 * rounded + 0.13 * _bump(u, 0, 0.45) + belly + mottle + 0.2 * step(chin, 0.03)
    return step(body, 0.02) * thick


def ribs(rng: np.random.Generator, frame: Frame, chest: Chest, inside: Map) -> Map:
    """Draw the ribs: outward and down in the back, then down and inward in the front, fainter."""
    v, cage = frame.v, chest.cage(frame.v)
    across = np.clip(frame.u / np.clip(cage, 0.2, None), 0, 1.1)
    pitch, start = 2 * np.pi * rng.uniform(7.0, 8.8), rng.uniform(0, 6)
    drop, rise = rng.uniform(0.20, 0.32), rng.uniform(0.25, 0.4)
    level = v + _by_side(frame.side, 0, rng.uniform(-0.05, 0.05))
    behind = np.cos(pitch * (level - drop * across * across + 0.08 * across) + start)
    front = np.cos(pitch * (level - drop - rise * (1 - across) + 0.08) + start)
    # A bright cortex around a fainter marrow; the cartilage at the front ends is not visible.
    hoops = step(behind + 0.3, 0.6) - 0.35 * step(behind - 0.3, 0.6)
    hoops += 0.55 * (step(front + 0.3, 0.6) - 0.35 * step(front - 0.3, 0.6)) * step(frame.u - 0.42, 0.3)
    wall = (cage - frame.u) * frame.width
    hoops += _bump(wall, -0.004, 0.014) * (0.84 + 0.6 * behind)  # seen end on
    within = step(wall + 0.005, 0.012) * step(1.25 - v, 0.3) * step(v + 0.12, 0.1)
    buried = 1 - 0.6 * step(0.03 - inside, 0.1)  # fainter over the heart and the liver
    return rng.uniform(0.05, 0.10) * hoops * within * buried


def spine(rng: np.random.Generator, frame: Frame) -> Map:
    """Draw a column of vertebrae and discs, and the trachea in front of its upper end."""
    half = rng.uniform(0.13, 0.16)
    discs = np.cos((2 * np.pi * rng.uniform(10, 13)) * frame.v + rng.uniform(0, 6))
    bone = 0.7 + 0.3 * step(discs + 0.8, 0.8) + 0.3 * _bump(frame.u, half * 0.9, 0.025) * np.clip(discs, 0, 1)
    windpipe = _bump(frame.u, 0, 0.065) * step(0.32 - frame.v, 0.1)
    column: Map = rng.uniform(0.10, 0.18) * step((half - frame.u) * frame.width + 0.015, 0.03) * bone
    return column - rng.uniform(0.05, 0.12) * windpipe


def shoulder_bones(rng: np.random.Generator, frame: Frame) -> Map:
    """Draw clavicles, the edges of the scapulae, and the upper arms."""
    collar = frame.bone((0.14, 0.07), (1.12, rng.uniform(-0.10, 0.02)))
    collar += rng.uniform(0.004, 0.011) * np.sin(5.5 * frame.u)
    blade, arm = frame.bone((1.08, 0.02), (0.98, 0.42)), frame.bone((1.28, 0.02), (2.0, 0.3))
    bones: Map = step(0.014 - collar, 0.012) + 0.5 * step(0.022 - blade, 0.02) + 0.8 * step(0.022 - arm, 0.014)
    return rng.uniform(0.08, 0.15) * bones


class Film:
    """One exposure: gray curve, side marker, collimation, blur and grain; the same with and without a finding."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.gain, self.gamma, self.fog = rng.uniform(0.95, 1.25), rng.uniform(0.75, 1.25), rng.uniform(0, 0.06)
        self.sigma = float(
            np.hypot(rng.uniform(0.0012, 0.0045) * size, 0.4)
        )  # in pixels, including the size of a pixel itself
        rows, columns = rng.uniform(0, 0.05, (2, 2)).tolist() if rng.random() < 0.35 else ((0.0, 0.0), (0.0, 0.0))
        self.shutter = _cover(size, rows[0], 1 - rows[1], 1) @ _cover(size, columns[0], 1 - columns[1], 1).T
        name, top, height = "R" if rng.random() < 0.7 else "L", rng.uniform(0.03, 0.6), rng.uniform(0.03, 0.05)
        left = rng.uniform(0.02, 0.05) if name == "R" else 1 - rng.uniform(0.02, 0.05) - height * 5 / 7
        letter = np.array([[pixel == "#" for pixel in line] for line in _LETTERS[name]], np.float32)
        letter *= 0.95 if rng.random() < 0.85 else 0.0
        self.label = _cover(size, top, top + height, 7) @ letter @ _cover(size, left, left + height * 5 / 7, 5).T
        # Drawn last, since the number of draws depends on the size. Large pixels average over the grain.
        grain = rng.uniform(0.004, 0.014) * min(1.0, size / 256)
        self.grain: Map = grain * rng.standard_normal((size, size), dtype=np.float32)

    def expose(self, density: Map) -> npt.NDArray[np.uint8]:
        """Convert a density to 8-bit gray."""
        light = (self.fog + (1 - self.fog) * np.clip(self.gain * density, 0, None)) ** self.gamma
        light /= np.sqrt(np.sqrt(1 + np.square(np.square(light))))  # dense parts saturate softly
        light = _blur(np.maximum(light, self.label) * self.shutter, self.sigma) + self.grain
        return (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)


def _cover(size: int, start: float, stop: float, cells: int) -> Map:
    """Return the fraction of each pixel that each of the cells from ``start`` to ``stop`` covers, (size, cells)."""
    pixels, edges = np.arange(size)[:, None] / size, np.linspace(start, stop, cells + 1)
    share: Map = size * (np.minimum(pixels + 1 / size, edges[1:]) - np.maximum(pixels, edges[:-1]))
    return np.clip(share, 0, 1).astype(np.float32)


def _blur(image: Map, sigma: float) -> Map:
    radius = max(1, round(3 * sigma))
    weights = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    weights /= weights.sum()
    for _ in range(2):  # down the columns, then, turned over, along the rows
        padded = np.pad(image, ((radius, radius), (0, 0)), mode="edge")
        total = np.zeros_like(image)
        for i, weight in enumerate(weights.tolist()):
            total += weight * padded[i : i + len(image)]
        image = np.ascontiguousarray(total.T)
    return image
