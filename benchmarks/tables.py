"""Formatting helpers that the benchmarks' reports share."""

from typing import Any

BUSY = 0.05  # fraction of CPU time of other programs above which results are unreliable


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Format a Markdown table with aligned columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def many(count: int, noun: str) -> str:
    """Format a number and its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")


def environment_lines(result: dict[str, Any]) -> list[str]:
    """Describe what the results depend on."""
    found, settings = result["environment"], result["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    variables = "".join(f", {name}={value}" for name, value in found["thread_variables"].items())
    rounds = f", {many(settings['repeats'], 'round')}" if "repeats" in settings else ""
    return [
        f"- {found['date']}, commit {found['commit'] or 'unknown'}",
        f"- {found['cpu']}, {many(found['cores'], 'core')}, load before {found['load_before']}, "
        f"{found['platform']}; device {found['device']}",
        f"- {many(settings['threads'], 'thread')}, {many(settings['processes'], 'process')}{rounds}{variables}; "
        f"CPU kernels: {found['cpu_kernels']}",
        f"- {versions}",
    ]


def other_work_lines(case: dict[str, Any]) -> list[str]:
    """Report how busy the machine was with other programs, if known."""
    share = case["other_work"]
    if share is None:
        return []
    busy = " — TOO BUSY: these figures are not worth quoting" if share > BUSY else ""
    return [f"- Other work took {100 * share:.0f} % of the machine's processor time{busy}"]
