"""Small folders of a user's images. All images differ, so that swapped ones are detected."""

from helpers.files.layouts import pixels
from PIL import Image


def write_images(folder, count, first=0, suffix="png"):
    """Write ``count`` images; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{first + i:03d}.{suffix}" for i in range(count)]
    for i, path in enumerate(paths):
        Image.fromarray(pixels(first + i)).resize((40, 40)).save(path)
    return paths


def write_layout(root, *, val=True, masks=False):
    """The layout of MVTec AD: 8 normal images to train on, 2 classes of 3 to validate, 3 of 4 to test."""
    write_images(root / "train" / "good", 8)
    first = 8
    for part, findings, count in (("val", ("edema",), 3), ("test", ("edema", "nodule"), 4)):
        if part == "val" and not val:
            continue
        for name in ("good", *findings):
            write_images(root / part / name, count, first)
            first += count
    if masks:
        for path in sorted((root / "test").glob("*/*.png")):
            if path.parent.name != "good":
                place = root / "ground_truth" / path.parent.name
                place.mkdir(parents=True, exist_ok=True)
                mask = Image.new("L", (40, 40))
                mask.paste(255, (0, 0, 20, 40))
                mask.save(place / f"{path.stem}_mask.png")
    return root


def write_manifest(path, rows, header="path,split,label,patient,view,finding"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
