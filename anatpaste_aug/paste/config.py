# ruff: noqa: RUF009  # a field made by setting() is not a shared default
"""Every choice and every distribution of the engine, each defined in one place."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, Literal, get_args

Source = Literal["same", "batch", "donors"]
Size = Literal["area", "scar", "area_or_scar", "half_width", "gamma"]
Cut = Literal["anywhere", "same"]
Place = Literal["region", "anywhere", "inside", "middle", "foreground"]
Shape = Literal["ellipse_or_rectangle", "ellipse", "rectangle", "patch"]
Beyond = Literal["black", "source", "edge"]
Blend = Literal["alpha", "poisson", "poisson_stronger", "poisson_mixed"]
Target = Literal["soft", "intensity"]

LARGEST = 1e6
"""Upper limit of lengths and ratios: larger than every image, and far below the limits of float32 and int64."""

Check = Callable[[str, object], None]


def setting(default: Any, check: Check, help: str) -> Any:
    """Make a field of `PasteConfig`, with its default, its check, and the text that documents it everywhere."""
    return field(default=default, metadata={"check": check, "help": help})


def number(lowest: float, highest: float) -> Check:
    """Allow one number in [lowest, highest]."""

    def check(name: str, value: object) -> None:
        if not lowest <= _as_float(value) <= highest:
            raise ValueError(f"{name} must be a number in [{lowest:g}, {highest:g}], got {value!r}")

    return check


def interval(lowest: float, highest: float, *, above: bool = False) -> Check:
    """Allow (low, high) with low <= high in [lowest, highest], or in (lowest, highest] where ``above`` is True."""

    def check(name: str, value: object) -> None:
        low, high = map(_as_float, value if isinstance(value, (tuple, list)) and len(value) == 2 else (None, None))
        if not ((lowest < low if above else lowest <= low) and low <= high <= highest):
            within = f"{'(' if above else '['}{lowest:g}, {highest:g}]"
            raise ValueError(f"{name} must be (low, high) with low <= high in {within}, got {value!r}")

    return check


def numbers(names: str, *limits: tuple[float, float], optional: bool = False) -> Check:
    """Allow a tuple of numbers, each within its own limits; ``names`` names them in the error."""

    def check(name: str, value: object) -> None:
        if optional and value is None:
            return
        given = value if isinstance(value, (tuple, list)) and len(value) == len(limits) else [None] * len(limits)
        if not all(low <= _as_float(number) <= high for number, (low, high) in zip(given, limits, strict=True)):
            within = ", ".join(f"[{low:g}, {high:g}]" for low, high in limits)
            raise ValueError(f"{name} must be ({names}) in {within}{' or None' if optional else ''}, got {value!r}")

    return check


def choice(kind: Any) -> Check:
    """Allow the values of a Literal."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, str) or value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(map(repr, get_args(kind)))}, got {value!r}")

    return check


def switch(name: str, value: object) -> None:
    """Allow True and False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def counts(name: str, value: object) -> None:
    """Allow (low, high) of integers with 1 <= low <= high <= 100."""
    low, high = value if isinstance(value, (tuple, list)) and len(value) == 2 else (None, None)
    if not (type(low) is int and type(high) is int and 1 <= low <= high <= 100):
        raise ValueError(f"{name} must be (low, high), whole numbers with 1 <= low <= high <= 100, got {value!r}")


def count(name: str, value: object) -> None:
    """Allow a whole number from 1 to 1000."""
    if type(value) is not int or not 1 <= value <= 1000:
        raise ValueError(f"{name} must be a whole number in [1, 1000], got {value!r}")


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, Real) else math.nan


@dataclass(frozen=True, kw_only=True)
class PasteConfig:
    """The choices and distributions of one recipe; the defaults are AnatPaste's (Sato et al., arXiv 2205.04282).

    Lengths in pixels are for 256×256 images and scale with s = sqrt(H·W) / 256. Ranges are uniform unless stated
    otherwise. `PasteConfig.help` documents each setting. A subclass may add settings: each appears in the signature,
    the documentation and the ``repr`` of the transforms that use it.

    Raises:
        ValueError: A value is not allowed; the message names it and says what is.

    Example:
        >>> PasteConfig(sigma=(0, 5)).sigma
        (0, 5)
        >>> PasteConfig.help("p")
        'Probability that an image is augmented, drawn per image.'
    """

    p: float = setting(1.0, number(0, 1), "Probability that an image is augmented, drawn per image.")
    source: Source = setting(
        "same",
        choice(Source),
        'The image that a patch is cut from: "same"; "batch", another image of the batch; or "donors", '
        "one of the images passed as donors.",
    )
    patches: tuple[int, int] = setting(
        (1, 1), counts, "Minimum and maximum number of patches; each beyond the minimum is pasted with probability 1/2."
    )
    size: Size = setting(
        "area",
        choice(Size),
        'How patches are sized: "area" (with aspect_ratio); "scar" (scar_width, scar_length, rotation); "area_or_scar" '
        'with equal odds; "half_width", one number for both directions; "gamma", a gamma distribution for each.',
    )
    area: tuple[float, float] = setting(
        (0.02, 0.15), interval(0, 1, above=True), "Range of the patch's area, as a fraction of the image."
    )
    aspect_ratio: tuple[float, float] = setting(
        (0.3, 1 / 0.3),
        interval(1 / LARGEST, LARGEST),
        "Range of the patch's height / width; log-uniform, so that tall and wide patches are equally likely.",
    )
    scar_width: tuple[float, float] = setting(
        (2.0, 16.0),
        interval(0, LARGEST, above=True),
        "Range of a scar's width before its rotation, in pixels at 256×256.",
    )
    scar_length: tuple[float, float] = setting(
        (10.0, 25.0),
        interval(0, LARGEST, above=True),
        "Range of a scar's length before its rotation, in pixels at 256×256.",
    )
    rotation: tuple[float, float] = setting(
        (-45.0, 45.0),
        interval(-180, 180),
        "Range of a scar's angle in degrees, counter-clockwise. At 0, the scar is vertical.",
    )
    half_width: tuple[float, float] = setting(
        (0.05, 0.2),
        interval(0, 0.5, above=True),
        "Range of half of a patch's side, as a fraction of the image's side. For "
        'size="half_width", one number is drawn for both sides, a fraction of the height; for size="gamma", each half '
        "is clipped to the range. After resizing, the whole sides are clipped to it.",
    )
    gamma: tuple[float, float] = setting(
        (0.05, 0.03),
        numbers("offset, scale", (0, 1), (0, 1)),
        'size="gamma": a half-width is offset + Gamma(2, scale), as a fraction of the image\'s side.',
    )
    resize: tuple[float, float, float, float] | None = setting(
        None,
        numbers("mean, sd, low, high", (0, 100), (0, 100), (0.01, 100), (0.01, 100), optional=True),
        "Resize patches by a factor that is normal with (mean, sd), clipped to (low, high); None keeps their size.",
    )
    cut: Cut = setting(
        "anywhere", choice(Cut), 'Where patches are cut: "anywhere", or at the "same" place where they are pasted.'
    )
    jitter: float = setting(
        0.1,
        number(0, 0.5),
        "Strength of the patch's color jitter, as torchvision's ColorJitter takes it for brightness and contrast, and "
        "for saturation and hue where there are three channels.",
    )
    place: Place = setting(
        "region",
        choice(Place),
        'Where patches are pasted: centered on a pixel of the "region", or "anywhere"; entirely "inside" the image; '
        'centered in the "middle" 80 % of each side; or where enough of the "foreground" is covered (min_overlap).',
    )
    place_tries: int = setting(
        8, count, 'Number of places to try for place="foreground"; the patch is skipped if none of them fits.'
    )
    shape: Shape = setting(
        "ellipse_or_rectangle",
        choice(Shape),
        'What is pasted of a patch: a drawn "ellipse", "rectangle" or one of both with equal odds, reduced by the '
        'margin and blurred; or the whole "patch" with hard edges.',
    )
    margin: float = setting(
        10.0, number(0, LARGEST), "Distance of a drawn shape from the patch's edges, in pixels at 256×256 (rounded)."
    )
    opacity: tuple[float, float] = setting(
        (0.59, 1.0), interval(0, 1, above=True), "Range of the shape's value, the weight α of the patch."
    )
    blur: bool = setting(
        True, switch, "False leaves the edges of drawn shapes hard (sigma = 0), with all else unchanged."
    )
    sigma: tuple[float, float] = setting(
        (0.0, 15.0), interval(0, LARGEST), "Range of the Gaussian blur's sigma, in pixels at 256×256."
    )
    anatomy: bool = setting(True, switch, "Multiply the shape by the region, unless the region is empty.")
    beyond: Beyond = setting(
        "black",
        choice(Beyond),
        'How to fill pixels beyond the patch where a blurred shape extends over its edge: "black", as in the authors\' '
        'code; "source", the pixels around the patch where it was cut; or "edge", the patch\'s edge repeated. Poisson '
        'blending uses "edge" instead of "black".',
    )
    blend: Blend = setting(
        "alpha",
        choice(Blend),
        'How patches are blended: "alpha", x (1 − m) + y m; or by solving Poisson\'s equation over the patch, with the '
        'gradients of the patch ("poisson"), the stronger of (1 − α)∇x and α∇y ("poisson_stronger"), or the rule of '
        'OpenCV\'s MIXED_CLONE ("poisson_mixed").',
    )
    target: Target = setting(
        "soft",
        choice(Target),
        'The target of a pixel loss: the "soft" mask, or a logistic function of the change in "intensity".',
    )
    logistic: tuple[float, float] = setting(
        (0.5, 4.0),
        numbers("slope, midpoint", (0, LARGEST), (0, LARGEST)),
        'target="intensity": slope and midpoint of the logistic function, in gray levels from 0 to 255.',
    )
    foreground: float = setting(
        20.0, number(0, 255), "Pixels brighter than this gray level, from 0 to 255, are foreground."
    )
    min_overlap: float = setting(
        0.7,
        number(0, 1),
        'place="foreground": more than this fraction of a patch must be foreground, and more than this fraction of its '
        "foreground must fall on foreground.",
    )
    min_pixels: float = setting(
        0.0, number(0, LARGEST), "Skip patches that change fewer pixels than this, at any image size."
    )
    skip_without_region: bool = setting(
        False, switch, "Leave an image unchanged if its region is empty, instead of pasting anywhere in it."
    )

    def __post_init__(self) -> None:
        for entry in fields(self):
            if "check" in entry.metadata:
                entry.metadata["check"](entry.name, getattr(self, entry.name))
        if self.cut == "same" and (self.resize is not None or self.rotates):
            raise ValueError(
                'cut="same" does not resize or rotate patches; pass resize=None and a size without scars, or '
                'cut="anywhere"'
            )
        if self.resize is not None and self.resize[2] > self.resize[3]:
            raise ValueError(f"resize must be (mean, sd, low, high) with low <= high, got {self.resize!r}")

    @property
    def rotates(self) -> bool:
        """Whether a patch can be rotated."""
        return self.size in ("scar", "area_or_scar") and tuple(self.rotation) != (0, 0)

    @property
    def needs_region(self) -> bool:
        """Whether a region mask is used."""
        return self.place == "region" or self.anatomy or self.skip_without_region

    @property
    def needs_foreground(self) -> bool:
        """Whether the images' foreground is used."""
        return self.place == "foreground" or self.target == "intensity"

    @classmethod
    def help(cls, name: str) -> str:
        """Return the text that documents a setting."""
        return str(cls.__dataclass_fields__[name].metadata.get("help", ""))
