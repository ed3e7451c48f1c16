"""Check a folder of images: are lungs found, are augmentations visible, what looks wrong?

Prints lung fractions, components, images without lungs, the fraction of augmentations that are hardly visible, and
images that look inverted, framed, on their side or not frontal, with a remedy.

    python -m anatpaste_aug check FOLDER --sheet suspicious.png
    python -m anatpaste_aug check FOLDER --limit 500 --json > report.json

Exit code: 0 if all images were read; 1 if some could not be read (listed at the end); 2 if nothing could be checked.
Suspicious images do not affect it.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anatpaste_aug.cli.settings import add_settings, transform_from
from anatpaste_aug.cli.values import COUNT, SEED, SIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from anatpaste_aug.inspection import CheckReport

_SHEET = 16  # images on a sheet
USAGE = "%(prog)s [--sheet PNG] [--limit N] [--json] [options] FOLDER"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of images, including its subfolders")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw suspicious images (16 at most), with reasons")
    parser.add_argument("--limit", type=COUNT, metavar="N", help="check only N images, spread evenly over the names")
    parser.add_argument("--size", type=SIDE, default=256, help="side of the square that images are resized to (256)")
    parser.add_argument(
        "--white", type=int, metavar="N", help="white in 16-bit files that do not specify it (inferred)"
    )
    parser.add_argument(
        "--augmentations", type=COUNT, default=4, metavar="N", help="augmentations to try for each image (4)"
    )
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the augmentations (0)")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from anatpaste_aug.cli.output import check_picture_path, save_figure
    from anatpaste_aug.inspection import check_folder

    if arguments.sheet is not None:
        check_picture_path(arguments.sheet)
    report = check_folder(
        arguments.folder,
        size=arguments.size,
        limit=arguments.limit,
        white=arguments.white,
        transform=transform_from(arguments),
        augmentations=arguments.augmentations,
        seed=arguments.seed,
    )
    print(json.dumps(report.to_dict(), indent=1) if arguments.json else report)
    if arguments.sheet is not None and report.suspicious:
        save_figure(_sheet(report, arguments), arguments.sheet)
        print(f"wrote {arguments.sheet}", file=sys.stderr)
    elif arguments.sheet is not None and report.images:
        print(f"no suspicious images: {arguments.sheet} was not written", file=sys.stderr)
    return 0 if not report.unreadable else 1 if report.images else 2


def _sheet(report: "CheckReport", arguments: argparse.Namespace) -> "Figure":
    """Draw the most suspicious images; these few are read again, because a check keeps no images."""
    import numpy as np
    import torch

    from anatpaste_aug.datasets.files.images import read_gray
    from anatpaste_aug.inspection import contact_sheet
    from anatpaste_aug.segmentation import LungSegmenter

    rows, white = report.suspicious[:_SHEET], None if report.white is None else report.white.value
    arrays = [read_gray(arguments.folder / row.name, arguments.size, white=white) for row in rows]
    images = torch.from_numpy(np.stack(arrays)).unsqueeze(1)
    return contact_sheet(rows, images, LungSegmenter()(images))
