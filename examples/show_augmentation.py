"""Draw what AnatPaste does to an image: input, lung mask, soft mask, result.

python examples/show_augmentation.py                         # a phantom radiograph
python examples/show_augmentation.py chest.png -o picture.png --seed 3
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.datasets import phantom_batch, read_gray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?", help="a frontal chest radiograph; default: a phantom")
    parser.add_argument("-o", "--out", type=Path, default=Path("anatpaste.png"))
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()

    if arguments.image is None:
        images = phantom_batch(1, size=arguments.size).images
    else:
        images = torch.from_numpy(read_gray(arguments.image, arguments.size)).view(1, 1, arguments.size, -1)
    torch.manual_seed(arguments.seed)
    result = AnatPasteTransform().augment(images)

    panels = {
        "input": images,
        "lung mask": result.region_mask,
        "soft mask": result.soft_mask,
        "result": result.image,
    }
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    for axes, (title, panel) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(panel[0, 0].numpy(), cmap="gray", vmin=0, vmax=255 if panel.dtype == torch.uint8 else 1)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    figure.savefig(arguments.out, dpi=100)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
