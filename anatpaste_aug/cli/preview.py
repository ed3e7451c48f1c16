"""Draw what the augmentation does to images, step by step.

Input, lung mask, soft shape, soft mask, result and difference, one row per seed.

    python -m anatpaste_aug preview chest.png -o grid.png
    python -m anatpaste_aug preview a.dcm b.jpeg --seeds 4 7 --area 0.05 0.2 --no-blur
"""

import argparse
from pathlib import Path

from anatpaste_aug.cli.settings import add_settings, transform_from
from anatpaste_aug.cli.values import SEED, SIDE

USAGE = "%(prog)s [-o PICTURE] [--seeds N ...] [options] IMAGE ..."
_MAX_ROWS = 300  # matplotlib is limited to 65536 pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, DICOM, ...")
    parser.add_argument("-o", "--out", type=Path, default=Path("preview.png"), help="image to write (preview.png)")
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=SEED,
        default=[3],
        metavar="N",
        help="one number: this many seeds, from 0; several: these seeds (3)",
    )
    parser.add_argument("--size", type=SIDE, default=256, help="side of the square that images are resized to (256)")
    parser.add_argument("--white", type=int, metavar="N", help="white in 16-bit files that do not specify it (65535)")
    add_settings(parser)
    parser.add_argument("--no-segmentation", action="store_true", help="paste anywhere, without lungs (ablation)")


def run(arguments: argparse.Namespace) -> int:
    from anatpaste_aug.cli.output import check_picture_path, save_figure
    from anatpaste_aug.inspection import preview

    check_picture_path(arguments.out)
    seeds = range(arguments.seeds[0]) if len(arguments.seeds) == 1 else arguments.seeds
    if (rows := len(seeds) * len(arguments.images)) > _MAX_ROWS:
        raise ValueError(f"{rows} rows, at most {_MAX_ROWS} can be drawn: give fewer images or --seeds")
    figure = preview(
        arguments.images,
        seeds=seeds,
        transform=transform_from(arguments, segmentation=not arguments.no_segmentation),
        size=arguments.size,
        white=arguments.white,
    )
    save_figure(figure, arguments.out)
    print(f"wrote {arguments.out}")
    return 0
