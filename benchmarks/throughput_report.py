"""Format the results of `throughput.py` as tables and plots."""

import json
from pathlib import Path
from typing import Any

from measuring import say
from tables import aligned, environment_lines, many, other_work_lines
from targets import target_lines
from throughput_methods import ANATPASTE, OURS
from training_report import training_lines

Result = dict[str, Any]

_DRAWN = ("per_image", "per_image_masks", "kornia", "kornia_exact", "ours", "ours_masks", "ours_pil", "ours_compiled")


def case_lines(result: Result, case: Result) -> list[str]:
    """Format one case as Markdown with aligned tables."""
    return [
        f"## {title(case)}",
        "",
        *_claims(result, case),
        "",
        *_table(case),
        "",
        *_stages(case),
        *_growth(case),
        "",
        *_agreement(case),
        *(f"- FAILED: {key}: {reason}" for key, reason in case["failed"].items()),
        *_losses(case),
        "",
    ]


def title(case: Result) -> str:
    return f"batch {case['batch']}, {case['size']} px, {case['channels']} channel{'s' * (case['channels'] > 1)}"


def _claims(result: Result, case: Result) -> list[str]:
    settings = result["settings"]
    where = settings["device"] if settings["device"] != "cpu" else f"{many(settings['threads'], 'thread')}"
    processes = many(settings["processes"], "process")
    head = f"batch {case['batch']}, {case['size']} px, {where}"
    texts = {
        ("ours", "per_image"): f"transform alone, {head}: {{}} the images/s of the per-image pipeline in {processes}",
        ("ours_masks", "per_image_masks"): f"masks given, {head}: {{}} the per-image pipeline with its masks given",
    }
    lines = []
    for ratio in case["ratios"]:
        text = texts.get((ratio["ours"], ratio["against"]))
        if text:
            times = f"{ratio['ratio']:.2f} times (rounds {ratio['min']:.2f}–{ratio['max']:.2f})"
            lines.append(f"- {text.format(times)}")
    return lines


def _table(case: Result) -> list[str]:
    methods = case["methods"]
    base = methods["per_image"]["images_per_s"]["median"] if "per_image" in methods else None
    rounds = len(next(iter(methods.values()))["images_per_s"]["rounds"])
    rows = [
        (
            "method",
            f"images/s, median of {rounds} [min–max]",
            "ms/image",
            "against a",
            "like for like",
            "peak bytes/pixel",
        )
    ]
    for key, method in sorted(methods.items(), key=lambda item: item[1]["label"]):
        rate = method["images_per_s"]
        others = [r for r in case["ratios"] if r["ours"] == key and r["against"] != "per_image"]
        alike = ", ".join(f"{r['ratio']:.2f}× {methods[r['against']]['label'].split()[0]}" for r in others)
        compared = base is not None and key in ANATPASTE
        peak = method["peak_bytes"]
        rows.append(
            (
                method["label"],
                f"{_number(rate['median'])} [{_number(rate['min'])}–{_number(rate['max'])}]",
                f"{method['ms_per_image']:.3g}",
                f"{rate['median'] / base:.2f}×" if compared else "",
                alike,
                "" if peak is None else f"{peak / (method['batch'] * case['size'] ** 2):.1f}",
            )
        )
    return aligned(rows)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _stages(case: Result) -> list[str]:
    if not case["stages"]:
        return []
    per_image = case["methods"]["ours"]["ms_per_image"]
    rows = [("stage of c", "share", "ms/image")]
    rows += [(name, f"{100 * share:.1f} %", f"{share * per_image:.3f}") for name, share in case["stages"].items()]
    return aligned(rows)


def _growth(case: Result) -> list[str]:
    grown = case["scaling"]
    if not grown:
        return []
    times = f"{grown['ratio']:.2f} times (rounds {grown['min']:.2f}–{grown['max']:.2f})"
    return ["", f"- c runs at {times} the images/s of c'."]


def _agreement(case: Result) -> list[str]:
    found, data = case["agreement"], case["data"]
    lines = [
        f"Data: {many(data['files'], 'image')}, {data['kind']}" + (f" ({data['folder']})" if data["folder"] else "")
    ]
    if "per_image_iou_mean" in found:
        lines.append(
            f"Our masks against the per-image pipeline's: IoU mean {found['per_image_iou_mean']:.5f}, "
            f"least {found['per_image_iou_min']:.5f}"
        )
    for key, name in (
        ("opencv", "OpenCV's parts (another CLAHE)"),
        ("kornia", "kornia's parts (another CLAHE, components not exact)"),
        ("kornia_exact", "kornia's parts with exact components (another CLAHE)"),
    ):
        if f"{key}_iou_mean" in found:
            lines.append(f"Against {name}: IoU mean {found[f'{key}_iou_mean']:.3f}")
    return [f"- {line}" for line in lines] + other_work_lines(case)


def _losses(case: Result) -> list[str]:
    methods = case["methods"]
    lost = [
        f"- SLOWER: {methods[r['ours']]['label']} is {r['ratio']:.2f}× {methods[r['against']]['label']}"
        for r in case["ratios"]
        if r["ratio"] < 1
    ]
    return lost or ["- Nothing of ours is slower than what it is compared with."] * bool(case["ratios"])


def save(result: Result, folder: Path) -> None:
    """Write throughput.json, throughput.md and, with matplotlib, throughput.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "throughput.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = ["# Throughput", "", *environment_lines(result), ""]
    for case in result["cases"]:
        lines += case_lines(result, case)
    for case in result["training"]:
        lines += training_lines(case)
    lines += target_lines(result)
    (folder / "throughput.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    try:
        _draw(result, folder / "throughput.png")
    except ImportError:
        say("no picture: it needs matplotlib (pip install matplotlib)")
    say(f"written: {folder}")


def _draw(result: Result, path: Path) -> None:
    from matplotlib.figure import Figure

    # The case that the others vary: the one that has the most in common with them.
    cases = result["cases"]
    axes_of = ("batch", "size", "channels")
    base = max(cases, key=lambda case: sum(case[axis] == other[axis] for other in cases for axis in axes_of))
    lines = [axis for axis in ("batch", "size") if len(_along(cases, base, axis)) > 1]
    figure = Figure(figsize=(6 * (len(lines) + 2), 5), layout="constrained")
    panels = figure.subplots(1, len(lines) + 2)
    others = "" if base["other_work"] is None else f" — other work {100 * base['other_work']:.0f} %"
    heading = f"{title(base)} — {base['data']['kind']} — {result['environment']['cpu']}{others}"
    figure.suptitle(heading, fontsize=10)
    for axis, panel in zip(lines, panels[2:], strict=True):
        _lines(panel, _along(cases, base, axis), axis)
    _bars(panels[0], base)
    _stage_bars(panels[1], base)
    figure.savefig(path, dpi=120)


def _along(cases: list[Result], base: Result, axis: str) -> list[Result]:
    fixed = [name for name in ("batch", "size", "channels") if name != axis]
    return sorted((c for c in cases if all(c[n] == base[n] for n in fixed)), key=lambda c: c[axis])


def _lines(panel: Any, cases: list[Result], axis: str) -> None:
    for key in _DRAWN:
        found = [case for case in cases if key in case["methods"]]  # slow methods have a point in one case only
        if found:
            rates = [case["methods"][key]["images_per_s"] for case in found]
            x, y = [case[axis] for case in found], [rate["median"] for rate in rates]
            panel.plot(x, y, marker="o", label=found[0]["methods"][key]["label"])
            panel.fill_between(x, [rate["min"] for rate in rates], [rate["max"] for rate in rates], alpha=0.2)
    panel.set(xscale="log", yscale="log", xlabel={"batch": "batch", "size": "side in px"}[axis], ylabel="images/s")
    panel.set_xticks([case[axis] for case in cases], [str(case[axis]) for case in cases])
    panel.minorticks_off()
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)


def _bars(panel: Any, case: Result) -> None:
    methods = sorted(case["methods"].items(), key=lambda item: item[1]["label"], reverse=True)
    rates = [method["images_per_s"] for _, method in methods]
    middle = [rate["median"] for rate in rates]
    spread = [[r["median"] - r["min"] for r in rates], [r["max"] - r["median"] for r in rates]]
    colors = ["tab:blue" if key in OURS else "tab:gray" for key, _ in methods]
    panel.barh([method["label"] for _, method in methods], middle, xerr=spread, color=colors, ecolor="black")
    panel.set(xlabel="images/s (median, lowest to highest round)")


def _stage_bars(panel: Any, case: Result) -> None:
    names, shares = list(case["stages"])[::-1], list(case["stages"].values())[::-1]
    panel.barh(names, [100 * share for share in shares], color="tab:blue")
    panel.set(xlabel="% of the time of c")
