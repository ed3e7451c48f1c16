"""What the device path costs at least: the bytes that its operations move, counted without a device.

    python benchmarks/device_floor.py --batch 256 --size 256

Every operation is taken to read its inputs from memory and to write its outputs there once, as eager torch does; with
--cache, tensors that fit in half of it are taken to stay there. Random access and scratch memory inside an operation
make it more. Nothing is timed, nothing computed.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from measuring import LiveBytes, in_stages
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anatpaste_aug import AnatPasteTransform


class Traffic(TorchDispatchMode):
    """Counts what operations move, by the stage that runs. Views and tensors of at most ``cached`` bytes move nothing.

    Attributes:
        bytes: Read and written, per stage.
        elements: Written, per stage: a measure of the arithmetic.
        operations: Per stage.
    """

    def __init__(self, cached: int = 0) -> None:
        super().__init__()
        self._cached = cached
        self.bytes, self.elements, self.operations = Counter[str](), Counter[str](), Counter[str]()
        self._stage = "other"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stage = name
        yield
        self._stage = "other"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given, made = _tensors((args, kwargs)), _tensors(out)
        theirs = {tensor.untyped_storage()._cdata for tensor in given}
        view = not func._schema.is_mutable and all(tensor.untyped_storage()._cdata in theirs for tensor in made)
        if not view:
            self.bytes[self._stage] += sum(size for size in map(_size, given + made) if size > self._cached)
            self.elements[self._stage] += sum(tensor.numel() for tensor in made)
            self.operations[self._stage] += 1
        return out


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _size(tensor: torch.Tensor) -> int:
    """In bytes; what an expanded tensor repeats counts once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def count(batch: int, size: int, channels: int, dtype: torch.dtype, cached: bool, cache: int = 0) -> dict[str, Any]:
    """The traffic of one call of `AnatPasteTransform.augment` on a CUDA device that need not be there."""
    transform = AnatPasteTransform()
    with FakeTensorMode():
        images = torch.zeros(batch, channels, size, size, dtype=dtype, device="cuda")
        lungs = images[:, :1] > 0 if cached else None
        traffic = Traffic(cache // 2)
        with in_stages(traffic.stage) as stages, traffic:
            transform.augment(images, lungs)
        with LiveBytes(images, *([lungs] if cached else [])) as live:
            transform.augment(images, lungs)
    pixels = batch * size * size
    rows = {
        stage: {
            "bytes_per_pixel": traffic.bytes[stage] / pixels,
            "elements_per_pixel": traffic.elements[stage] / pixels,
            "operations": traffic.operations[stage],
        }
        for stage in [*stages, "other"]
        if traffic.operations[stage]
    }
    total = {name: sum(row[name] for row in rows.values()) for name in next(iter(rows.values()))}
    return {"stages": rows, "total": total, "peak_bytes_per_pixel": live.peak / pixels}


def table(result: dict[str, Any], pixels: int, batch: int, bandwidth: float, launch: float) -> str:
    """The stages with the time that their bytes take, and the rates that follow."""
    lines = ["| stage | bytes/pixel | values written/pixel | operations | ms |", "|---|---:|---:|---:|---:|"]
    for stage, row in {**result["stages"], "total": result["total"]}.items():
        seconds = row["bytes_per_pixel"] * pixels * batch / bandwidth
        lines.append(
            f"| {stage} | {row['bytes_per_pixel']:.1f} | {row['elements_per_pixel']:.1f} | {row['operations']} "
            f"| {1000 * seconds:.2f} |"
        )
    moving = result["total"]["bytes_per_pixel"] * pixels / bandwidth
    starting = result["total"]["operations"] * launch / batch
    lines += [
        "",
        f"At most {1 / moving:,.0f} images/s by the bytes at {bandwidth / 1e12:g} TB/s, and {1 / starting:,.0f} by the "
        f"operations at {launch * 1e6:g} µs each; not measured.",
        f"Peak memory above the input: {result['peak_bytes_per_pixel']:.1f} bytes/pixel.",
    ]
    return "\n".join(lines)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the bytes that the device path moves; needs no device.")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3))
    parser.add_argument("--dtype", default="uint8", choices=("uint8", "float16", "float32"))
    parser.add_argument("--cached", action="store_true", help="with lung masks given")
    parser.add_argument("--bandwidth", type=float, default=3e12, help="of the memory, bytes/s (H100: 3e12)")
    parser.add_argument("--cache", type=int, default=0, help="bytes of the last cache (H100: 50_000_000); 0 is none")
    parser.add_argument("--launch", type=float, default=5e-6, help="seconds to start one operation from Python")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    args = parse(words)
    result = count(args.batch, args.size, args.channels, getattr(torch, args.dtype), args.cached, args.cache)
    print(table(result, args.size**2, args.batch, args.bandwidth, args.launch))
    if args.out:
        settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
        args.out.write_text(json.dumps({"settings": settings, **result}, indent=2))


if __name__ == "__main__":
    main()
