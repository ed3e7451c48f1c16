"""AnatPaste on an axial CT slice in Hounsfield units: input, lung mask, soft mask, result.

python examples/ct_slice.py                                # a drawn slice
python examples/ct_slice.py slice.dcm -o picture.png       # one of yours (needs pydicom)
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.cli import CommandLine
from anatpaste_aug.cli.output import check_picture_path, save_figure
from anatpaste_aug.cli.values import SEED
from anatpaste_aug.segmentation import CTLungSegmenter

AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, TABLE = -1000.0, -850.0, -90.0, 45.0, 60.0, 500.0, 150.0
WINDOW = (-1350.0, 150.0)  # black and white of the picture: the lung window, level −600 and width 1500


def draw_slice(size: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A chest slice in Hounsfield units, float32 1×1×size×size, and its lungs with their vessels, boolean."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    random = torch.Generator().manual_seed(seed)

    def ellipse(center_x: float, center_y: float, radius_x: float, radius_y: float) -> Tensor:
        return ((x - center_x) / radius_x) ** 2 + ((y - center_y) / radius_y) ** 2 < 1

    heart = ellipse(0.08, -0.05, 0.24, 0.26)
    lungs = (ellipse(-0.38, 0.0, 0.28, 0.44) | ellipse(0.38, 0.0, 0.28, 0.44)) & ~heart
    hu = torch.full((size, size), AIR)
    for region, value in (
        ((y > 0.72) & (y < 0.76) & (x.abs() < 0.8), TABLE),
        (ellipse(0, 0, 0.9, 0.66), FAT),
        (ellipse(0, 0, 0.84, 0.6), MUSCLE),
        (ellipse(0, 0.42, 0.11, 0.13), BONE),
        (lungs, LUNG),
        (heart, BLOOD),
        (ellipse(0, 0.22, 0.045, 0.045), AIR),  # the trachea
    ):
        hu[region] = value
    vessels = torch.zeros_like(lungs)
    for side, across, down, radius in torch.rand(30, 4, generator=random).tolist():
        center_x = (0.2 + 0.38 * across) * (1 if side < 0.5 else -1)
        vessels |= ellipse(center_x, 0.7 * (down - 0.5), 0.006 + 0.012 * radius, 0.006 + 0.012 * radius)
    hu[lungs & vessels] = BLOOD
    hu += 20 * torch.randn(size, size, generator=random)
    return hu.clamp(-1024, 3071).view(1, 1, size, size), lungs.view(1, 1, size, size)


def read_slice(path: Path) -> Tensor:
    """A DICOM slice in Hounsfield units, float32 1×1×H×W."""
    try:
        import pydicom
        from pydicom.pixels import apply_rescale
    except ImportError as error:
        raise ImportError("reading DICOM needs pydicom: pip install pydicom") from error
    try:
        data = pydicom.dcmread(path)
        hu = apply_rescale(data.pixel_array, data)
    except OSError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a file that is damaged or no DICOM
        raise ValueError(f"{path} cannot be read as a CT slice: {str(error).split('. ')[0]}") from error
    if hu.ndim != 2 or min(hu.shape) < 32 or data.get("Modality") != "CT" or "RescaleSlope" not in data:
        raise ValueError(f"{path} is no single slice of CT that tells its Hounsfield units; give one")
    return torch.from_numpy(hu.astype("float32")).clamp(-1024, 3071)[None, None]


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandLine(__doc__, prog="python examples/ct_slice.py", usage="%(prog)s [-o PICTURE] [SLICE]")
    parser.add_argument("slice", type=Path, nargs="?", help="a DICOM file; default: a drawn slice")
    parser.add_argument("-o", "--out", type=Path, default=Path("ct_slice.png"))
    parser.add_argument("--seed", type=SEED, default=1)
    return parser.run(augment, argv)


def augment(arguments: Namespace) -> None:
    check_picture_path(arguments.out)
    images = draw_slice()[0] if arguments.slice is None else read_slice(arguments.slice)
    torch.manual_seed(arguments.seed)
    # The jitter works on this range, and its lower end is the black that surrounds the patch.
    transform = AnatPasteTransform(segmenter=CTLungSegmenter(), value_range=(-1024, 3071))
    result = transform.augment(images)
    if not result.region_mask.any():
        print("no lung was found in this slice: the patch went anywhere")

    panels = {
        "input": (images, *WINDOW),
        "lung mask": (result.region_mask, 0, 1),
        "soft mask": (result.soft_mask, 0, 1),
        "result": (result.image, *WINDOW),
    }
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    for axes, (title, (panel, low, high)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(panel[0, 0].numpy(), cmap="gray", vmin=low, vmax=high)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    save_figure(figure, arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    raise SystemExit(main())
