"""Run the CUDA tests and measure the speed of all recipes on a GPU; started by `on_gpu.sh`.

A row is a recipe on a batch of uint8 images on the device: images per second called from Python, and replayed from a
captured CUDA graph; and the time it adds to a training step (torchvision's ResNet-18, the batch's images once as they
are and once augmented, SGD). The rows alternate. Rows that fail are shown with their error.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
import torch.nn.functional as F
from measuring import Method, environment, interleave, say, synchronize
from memory import peak_bytes
from options import image_size, positive
from tables import aligned, environment_lines
from torch import Tensor
from torchvision.models import resnet18

from anatpaste_aug import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PasteResult,
    PIITransform,
)
from anatpaste_aug.datasets import phantom_batch

ROOT = Path(__file__).resolve().parents[1]
TOTAL, TESTS = 290.0, 170.0  # seconds in total, and for the tests

Augment = Callable[[Tensor], PasteResult]


def recipes(images: Tensor) -> dict[str, Augment]:
    """Make the rows."""
    anatpaste = AnatPasteTransform()
    assert anatpaste.segmenter is not None
    masks = anatpaste.segmenter(images)
    mixed = AnatPasteTransform(blend="poisson", source="batch", patches=(1, 3))
    return {
        "AnatPaste": anatpaste.augment,
        "AnatPaste, masks given": lambda batch: anatpaste.augment(batch, masks),
        "AnatPaste, Poisson, 1 to 3 patches of other images, masks given": lambda batch: mixed.augment(batch, masks),
        "CutPaste": CutPasteTransform(variant="union").augment,
        "FPI": FPITransform().augment,
        "PII": PIITransform().augment,
        "NSA": NSATransform().augment,
    }


def cuda_tests(seconds: float) -> dict[str, Any]:
    """Run the tests that need a CUDA device; return what passed, failed or was skipped, by name."""
    if importlib.util.find_spec("pytest") is None:
        return {"not_run": "pytest is not installed"}
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "pytest.mark.cuda" in path.read_text()]
    found: dict[str, Any] = {"passed": [], "failed": [], "skipped": []}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        # One process: several would share the device, and pytest-xdist need not be installed.
        options = ["-o", "addopts=--import-mode=importlib --strict-markers"]
        options += ["-q", "-m", "cuda", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", *options, f"--junit-xml={report}", *map(str, files)]
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=seconds, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            return {"not_run": f"the tests had not ended after {seconds:.0f} s"}
        print(done.stdout[-6000:], done.stderr[-2000:], sep="", file=sys.stderr, flush=True)
        if not report.exists():
            return {"not_run": f"pytest ended with exit code {done.returncode}: {done.stderr.strip()[-300:]}"}
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            found[kind].append(f"{case.get('classname')}::{case.get('name')}")
    return found


def captured(call: Callable[[], object]) -> Callable[[], object]:
    """Capture the call as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


class Step:
    """One update of a network on the images and their augmentations by a recipe."""

    def __init__(self, images: Tensor) -> None:
        torch.manual_seed(0)
        self._images = images
        self._net = resnet18(num_classes=2).to(images.device)
        self._optimizer = torch.optim.SGD(self._net.parameters(), lr=0.03, momentum=0.9, weight_decay=3e-5)

    def __call__(self, augment: Augment | None) -> None:
        normal = self._images
        if augment is None:
            second, label = normal, torch.ones(len(normal), dtype=torch.int64, device=normal.device)
        else:
            result = augment(normal)
            second, label = result.image, result.label
        inputs = (torch.cat([normal, second]).float() / 127.5 - 1).expand(-1, 3, -1, -1)
        loss = F.cross_entropy(self._net(inputs), torch.cat([torch.zeros_like(label), label]))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()


def measure(images: Tensor, training: Tensor, repeats: int, seconds: float, until: float) -> dict[str, dict[str, Any]]:
    """Measure each row; if it fails or no time is left, return the reason instead."""
    device, rows, methods = images.device, recipes(images), []
    figures: dict[str, dict[str, Any]] = {name: {} for name in rows}

    def add(name: str, kind: str, make: Callable[[], Callable[[], object]], count: int) -> None:
        if time.monotonic() > until:
            figures[name][kind] = {"error": "no time was left"}
            return
        try:
            call = make()
            call()
            synchronize(device)
        except Exception as error:  # any failure on a device; measure the other rows
            figures[name][kind] = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
            return

        def run() -> None:
            call()
            synchronize(device)

        methods.append((name, kind, Method(f"{name} {kind}", f"{name}, {kind}", count, run, count)))

    for name, augment in rows.items():
        add(name, "eager", lambda augment=augment: lambda: augment(images), len(images))
        if device.type == "cuda":
            add(name, "graph", lambda augment=augment: captured(lambda: augment(images)), len(images))
        else:
            figures[name]["graph"] = {"error": "no CUDA device"}
    step, alone = Step(training), "no augmentation"
    for name, augment in {alone: None, **recipes(training)}.items():
        figures.setdefault(name, {})
        add(name, "step", lambda augment=augment: lambda: step(augment), len(training))
    if methods:
        interleave([method for *_, method in methods], repeats, seconds, lambda text: say(f"  {text}"))
    for name, kind, method in methods:
        figures[name][kind] = method.summary()
        if kind == "eager":
            peak = peak_bytes(method.run, device)
            figures[name]["peak_bytes_per_pixel"] = None if peak is None else peak / images[:, 0].numel()
    return figures


def failures(result: dict[str, Any]) -> list[str]:
    """List what failed."""
    tests = result["tests"]
    found = [f"test failed: {name}" for name in tests.get("failed", [])]
    for name, row in result["rows"].items():
        kinds = [kind for kind in ("eager", "graph", "step") if "error" in row.get(kind, {})]
        found += [f"{name}, {kind}: {row[kind]['error']}" for kind in kinds]
    return found


def report(result: dict[str, Any]) -> list[str]:
    """Format the Markdown page."""
    tests, settings = result["tests"], result["settings"]
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in tests.items() if kind != "not_run")
    lines = ["# On a GPU", "", *environment_lines(result)]
    lines += [f"- CUDA tests: {counts or 'NOT RUN: ' + tests['not_run']}"]
    base = result["rows"].get("no augmentation", {}).get("step", {})
    without = 1000 * settings["training_batch"] / base["images_per_s"]["median"] if "images_per_s" in base else None
    if without is not None:
        lines.append(f"- Training step without augmentation: {without:.2f} ms")
    lines += [f"- Batch {settings['batch']} (training {settings['training_batch']}), {settings['size']} px, uint8", ""]
    head = ("recipe", "images/s [min–max]", "in a CUDA graph", "peak bytes/pixel", "added to a training step")
    table = [head]
    for name, row in result["rows"].items():
        if "eager" not in row:
            continue
        peak, step, added = row.get("peak_bytes_per_pixel"), row["step"], "failed"
        if "images_per_s" in step and without is not None:
            more = 1000 * settings["training_batch"] / step["images_per_s"]["median"] - without
            added = f"{more:+.2f} ms ({100 * more / without:+.1f} %)"
        rates = [_rate(row[kind]) for kind in ("eager", "graph")]
        table.append((name, *rates, "" if peak is None else f"{peak:.1f}", added))
    found = [f"- FAILED: {what}" for what in failures(result)]
    return [*lines, *aligned(table), "", *found, f"- {result['seconds']:.0f} seconds in all"]


def _rate(figures: dict[str, Any]) -> str:
    if "error" in figures:
        return "failed"
    rate = figures["images_per_s"]
    return f"{rate['median']:,.0f} [{rate['min']:,.0f}–{rate['max']:,.0f}]"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/on_gpu"), help="folder for on_gpu.json and on_gpu.md")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the script itself")
    parser.add_argument("--batch", type=positive, default=256, help="images in a batch (default: 256)")
    parser.add_argument("--training-batch", type=positive, default=64, help="normal images in a step (default: 64)")
    parser.add_argument("--size", type=image_size, default=256, help="side of the images in pixels (default: 256)")
    parser.add_argument("--repeats", type=positive, default=5, help="rounds (default: 5)")
    parser.add_argument("--round-seconds", type=float, default=0.2, help="least duration of a row's round")
    parser.add_argument("--no-tests", action="store_true", help="figures only")
    args = parser.parse_args(argv)
    start, device = time.monotonic(), torch.device(args.device)
    settings = {name: getattr(args, name) for name in ("batch", "training_batch", "size", "repeats")}
    settings |= {"threads": torch.get_num_threads(), "processes": 1}
    result: dict[str, Any] = {"environment": environment(device), "settings": settings}
    result["tests"] = {"not_run": "left out by --no-tests"} if args.no_tests else cuda_tests(TESTS)
    some = phantom_batch(min(args.batch, 32), size=args.size).images
    pool = some[torch.arange(max(args.batch, args.training_batch)) % len(some)].to(device)
    images, training = pool[: args.batch], pool[: args.training_batch]
    result["rows"] = measure(images, training, args.repeats, args.round_seconds, start + TOTAL - 60)
    result["seconds"] = time.monotonic() - start
    lines = report(result)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "on_gpu.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "on_gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return int(any(device.type == "cuda" or "no CUDA device" not in what for what in failures(result)))


if __name__ == "__main__":
    sys.exit(main())
