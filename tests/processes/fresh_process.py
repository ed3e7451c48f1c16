"""Runs all parts of the package with a hook that reports network access, and writes digests of all results as JSON.

python fresh_process.py THREADS backwards|as-it-is
"""

import hashlib
import json
import os
import random
import sys
from functools import partial
from pathlib import Path

TINY = {"image_size": 32, "batch_size": 4, "updates": 2, "updates_per_epoch": 1}


def watch(event, arguments):
    """Audit hook that makes every network access an error; hooks cannot be removed."""
    asks = event in ("urllib.Request", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    connects = event in ("socket.connect", "socket.sendto", "socket.sendmsg")
    if asks or (connects and isinstance(arguments[1], tuple)):  # a text is the path of a local socket
        print("LOOKED AT THE NETWORK", event, file=sys.stderr)
        raise ConnectionRefusedError(f"no network here: {event}")


class Backwards:
    """`os.scandir` of a file system that lists its files from z to a."""

    scandir = os.scandir

    def __init__(self, folder="."):
        with Backwards.scandir(folder) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def close(self):
        pass


def digest(*tensors):
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().contiguous().numpy().tobytes())
    return content.hexdigest()


def unseeded():
    from anatpaste_aug import AnatPasteTransform

    return digest(AnatPasteTransform().draw_uniforms(4))


def transforms(threads):
    import torch

    from anatpaste_aug import AnatPasteTransform, CutPasteTransform, LungFieldSegmenter
    from anatpaste_aug.adapters.kornia import KorniaPaste
    from anatpaste_aug.datasets import phantom_batch

    torch.set_num_threads(threads)
    images = phantom_batch(6, size=96).images
    found = {"phantoms": digest(images)}
    inputs = {"bytes": images, "floats": images / 255, "colors": images.expand(-1, 3, -1, -1) / 255}
    for name, batch in inputs.items():
        torch.manual_seed(3)
        result = AnatPasteTransform(p=0.8).augment(batch)
        found[name] = digest(result.image, result.soft_mask, result.region_mask, *result.params)
        torch.manual_seed(3)
        found[f"{name} in a sample"] = digest(AnatPasteTransform(p=0.8)({"image": batch})["image"])
    for name, transform in {
        "lung fields": AnatPasteTransform(segmenter=LungFieldSegmenter()),
        "no lungs": AnatPasteTransform(segmentation=False),
        "CutPaste": CutPasteTransform(variant="union"),
    }.items():
        torch.manual_seed(3)
        found[name] = digest(transform.augment(images).image)
    torch.manual_seed(4)  # with 3, p=0.8 would leave no image alone, and the sample above would be the same
    found["kornia"] = digest(KorniaPaste()(images / 255))
    # Whatever the batch an image comes in: the same numbers and image give the same bits.
    uniforms = AnatPasteTransform().draw_uniforms(6, generator=torch.Generator().manual_seed(4))
    whole = AnatPasteTransform().augment(images, uniforms=uniforms).image
    order = torch.tensor([5, 0, 3])
    for part in (order, order[:1], torch.arange(6).flip(0)):
        assert torch.equal(AnatPasteTransform().augment(images[part], uniforms=uniforms[part]).image, whole[part])
    torch.set_num_threads(1)  # torch promises no equal sums in other numbers of threads
    return found


def splits(folder):
    from anatpaste_aug.datasets import Record, index_zhanglab, split_chexpert, split_rsna, split_zhanglab
    from anatpaste_aug.datasets.chexpert.index import DISEASES

    people = [(f"patient{i:05d}", i % 3 == 0) for i in range(120)]
    chexpert, rsna = [], []
    for name, ill in people:
        findings = (DISEASES[int(name[-2:]) % 5], "Support Devices") if ill else ("No Finding",)
        source = "valid" if name.endswith(("3", "4")) else "train"
        chexpert.append(Record(f"{source}/{name}/view1_frontal.jpg", int(ill), name, source, "PA", findings=findings))
        rsna.append(Record(f"images/{name}.dcm", int(ill), name, "train", "PA", findings=("Normal",)))
    for records in (chexpert, rsna):
        random.shuffle(records)  # without a seed: other orders in every process
    made = {
        "zhanglab": split_zhanglab(index_zhanglab(folder), seed=5),
        "chexpert": split_chexpert(chexpert, seed=5),
        "diseases": split_chexpert(chexpert, seed=5, protocol="diseases"),
        "rsna": split_rsna(rsna, seed=5),
    }
    found = {}
    for name, split in made.items():
        split.save(f"{name}.json")
        found[name] = hashlib.sha256(Path(f"{name}.json").read_bytes()).hexdigest()
    return found


def example():
    from anatpaste_aug import datasets
    from anatpaste_aug.cli import main
    from anatpaste_aug.detection import PRESETS

    PRESETS["smoke"] = TINY
    datasets.phantom_task = partial(datasets.phantom_task, train=40, val=24, test=24)
    options = {"preset": "smoke", "device": "cpu", "backbone": "test_byobnet", "seed": "2", "out": "run"}
    assert main(["reproduce", *(word for name, value in options.items() for word in (f"--{name}", value))]) == 0


def commands():
    from PIL import Image

    from anatpaste_aug.cli import main
    from anatpaste_aug.datasets import phantom_batch

    Path("images").mkdir()
    for i, image in enumerate(phantom_batch(3, size=64).images[:, 0].numpy()):
        Image.fromarray(image if i else 255 - image).save(f"images/{i}.png")  # one is suspicious
    sheet = main(["check", "images", "--size", "64", "--sheet", "sheet.png"])
    drawn = main(["preview", "images/1.png", "-o", "grid.png", "--size", "64", "--seeds", "1"])
    return [sheet, drawn, main(["score", "--model", "run", "images", "-o", "scores"])]


def download():
    from anatpaste_aug.datasets.zhanglab.download import download

    try:
        download("https://data.mendeley.com/a", "a.zip", progress=False, tries=1)
    except ValueError as error:
        return str(error)


def main(threads, order, folder):
    sys.addaudithook(watch)
    if order == "backwards":
        os.scandir = Backwards
    found = {"unseeded": unseeded(), "transforms": transforms(int(threads)), "splits": splits(folder)}
    example()
    found["commands"] = commands()
    print("OFFLINE UNTIL HERE", file=sys.stderr)
    found["download"] = download()
    Path("found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
