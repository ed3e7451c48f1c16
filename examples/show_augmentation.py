"""Draw what AnatPaste does to an image: the image, its lungs, the soft mask, and the result.

python examples/show_augmentation.py                         # a phantom radiograph
python examples/show_augmentation.py chest.png -o picture.png --seed 3
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.cli import CommandLine
from anatpaste_aug.cli.output import check_picture_path, save_figure
from anatpaste_aug.cli.values import SEED, SIDE
from anatpaste_aug.datasets import phantom_batch, read_gray


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandLine(__doc__, prog="python examples/show_augmentation.py", usage="%(prog)s [options] [IMAGE]")
    parser.add_argument("image", type=Path, nargs="?", help="a frontal chest radiograph; default: a phantom")
    parser.add_argument("-o", "--out", type=Path, default=Path("anatpaste.png"))
    parser.add_argument("--seed", type=SEED, default=173)
    parser.add_argument("--size", type=SIDE, default=256)
    return parser.run(draw, argv)


def draw(arguments: Namespace) -> None:
    check_picture_path(arguments.out)
    if arguments.image is None:
        images = phantom_batch(1, size=arguments.size).images
    else:
        images = torch.from_numpy(read_gray(arguments.image, arguments.size)).view(1, 1, arguments.size, -1)
    torch.manual_seed(arguments.seed)
    result = AnatPasteTransform().augment(images)

    panels = {
        "normal image": images,
        "lungs found in it": result.region_mask,
        "soft mask: what is replaced": result.soft_mask,
        "image with an anomaly": result.image,
    }
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    for axes, (title, panel) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(panel[0, 0].numpy(), cmap="gray", vmin=0, vmax=255 if panel.dtype == torch.uint8 else 1)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    save_figure(figure, arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    raise SystemExit(main())
