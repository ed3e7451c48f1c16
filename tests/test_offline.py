"""Nothing looks at the network, unless a download is asked for."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Python tells its audit hooks of every look at the network, and nobody can remove a hook.
GUARD = """
import sys

def refuse(event, arguments):
    asks = event in ("urllib.Request", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    connects = event in ("socket.connect", "socket.sendto", "socket.sendmsg")
    if asks or (connects and isinstance(arguments[1], tuple)):  # a text is the path of a local socket
        print("LOOKED AT THE NETWORK", event, arguments)
        raise ConnectionRefusedError(f"no network here: {event}")

sys.addaudithook(refuse)
"""

WORK = """
import importlib.util, pathlib, sys
import torch

import anatpaste_aug
from anatpaste_aug import AnatPasteTransform, CutPasteTransform, KorniaAnatPaste, LungFieldSegmenter
from anatpaste_aug.commands import main
from anatpaste_aug.datasets import phantom_batch

images = phantom_batch(4, size=64).images
AnatPasteTransform().augment(images)
AnatPasteTransform(segmenter=LungFieldSegmenter())(images)
CutPasteTransform(variant="union").augment(images)
KorniaAnatPaste()(images / 255)
print("transforms done")

spec = importlib.util.spec_from_file_location("reproduce_paper", "EXAMPLE")
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
example.PRESETS["smoke"] = {"image_size": 32, "batch_size": 4, "updates": 2, "updates_per_epoch": 1}
sys.argv = "reproduce_paper.py --preset smoke --device cpu --backbone test_resnet --out run".split()
example.main()
print("example done")

from PIL import Image

Image.fromarray(images[0, 0].numpy()).save("a.png")
assert main(["preview", "a.png", "-o", "grid.png", "--size", "64", "--seeds", "1"]) == 0
assert main(["check", ".", "--size", "64", "--sheet", "sheet.png"]) == 0
assert main(["score", "--model", "run", "a.png", "-o", "scores"]) == 0
print("commands done")

import anatpaste_aug.datasets.download as download

download._PAUSE = 0
try:
    download.download_zhanglab("root", progress=False)
except ValueError as error:
    print("download failed:", error)
"""


def test_import_transforms_example_and_commands_ask_nobody_but_a_download_does(tmp_path):
    code = GUARD + WORK.replace("EXAMPLE", str(ROOT / "examples" / "reproduce_paper.py"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    offline, end, rest = done.stdout.partition("commands done")
    assert end
    for step in ("transforms", "example"):
        assert f"{step} done" in offline
    assert "LOOKED AT THE NETWORK" not in offline
    # The guard does see it, and a server that cannot be reached leaves nothing behind.
    assert "LOOKED AT THE NETWORK urllib.Request" in rest
    assert "download failed: cannot download https://data.mendeley.com/" in rest
    assert not list((tmp_path / "root").iterdir())
