"""The paper's tables with measured and published results, as Markdown or HTML."""

from __future__ import annotations

import html
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from anatpaste_aug.detection.evaluation.groups import GroupAuroc
from anatpaste_aug.detection.evaluation.intervals import MIN_PER_CLASS, Interval
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc


@dataclass(frozen=True)
class Auroc:
    """An AUROC as shown in a table.

    Args:
        auroc: In [0, 1]; the mean of several seeds.
        spread: Standard deviation over the seeds; for measured ones, of the sample (n - 1).
        seeds: Number of seeds.
        interval: Interval of the test images, for a single set of scores.
    """

    auroc: float
    spread: float | None = None
    seeds: int = 1
    interval: Interval | None = None

    def __str__(self) -> str:
        text = f"{100 * self.auroc:.1f}"
        if self.spread is not None:
            text += f" ± {100 * self.spread:.1f}"
        if self.interval is not None:
            text += f" [{100 * self.interval.low:.1f}, {100 * self.interval.high:.1f}]"
        return text


@dataclass(frozen=True)
class MethodRow:
    """The AUROCs of a method by dataset.

    ``source`` says whether they are measured here or published, and ``by`` who reported published ones, if it was not
    the paper itself.
    """

    method: str
    source: Literal["measured", "published"]
    aurocs: Mapping[str, Auroc]
    by: str = ""


@dataclass(frozen=True)
class Table:
    r"""A table of text with a title and notes.

    Example:
        >>> print(Table("Small", ("method", "AUROC"), (("a|b", "91.4"),), ("A note.",)).markdown())
        **Small**
        <BLANKLINE>
        | method | AUROC |
        |---|---|
        | a\|b | 91.4 |
        <BLANKLINE>
        A note.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Return a GitHub-flavored Markdown table."""
        lines = [f"**{_escaped(self.title)}**", ""]
        lines += [_line(self.header), "|" + "---|" * len(self.header), *map(_line, self.rows)]
        for note in self.notes:
            lines += ["", _escaped(note)]
        return "\n".join(lines)

    def html(self) -> str:
        """Return a ``table`` element with a caption, followed by the notes as paragraphs; all text is escaped."""
        heads = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in self.header)
        body = "\n".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(unbroken(cell))}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"\n<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<table>\n<caption>{html.escape(self.title)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table>{notes}"
        )


def unbroken(text: str) -> str:
    r"""Put no-break spaces into a cell of numbers, so that lines break between estimate and interval only.

    Example:
        >>> unbroken("91.0 [88.5, 93.1]"), unbroken("a, b")
        ('91.0 [88.5,\xa093.1]', 'a, b')
    """
    if re.fullmatch(r"[-+\d., ±\[\]]+", text):
        return text.replace(", ", ",\xa0").replace(" ± ", "\xa0±\xa0")
    return text


def mean_over_seeds(aurocs: Sequence[float]) -> Auroc:
    """Return mean and sample standard deviation over seeds; a single seed has no deviation.

    Raises:
        ValueError: There are no seeds.

    Example:
        >>> str(mean_over_seeds([0.90, 0.92]))
        '91.0 ± 1.4'
    """
    if not aurocs:
        raise ValueError("expected the AUROC of at least one seed")
    spread = statistics.stdev(aurocs) if len(aurocs) > 1 else None
    return Auroc(statistics.fmean(aurocs), spread, len(aurocs))


def methods_table(measured: Iterable[MethodRow], *, notes: Sequence[str] = ()) -> Table:
    """Make Table I: AUROC (%) of published and measured methods, one column per dataset.

    A measured result is in a published column only if the dataset has the same name ("Zhanglab", "CheXpert" or "RSNA");
    other data, such as a development split, have their own column.

    Args:
        measured: Rows such as ``MethodRow("AnatPaste", "measured", {task.name: mean_over_seeds(aurocs)})``.
        notes: Notes about the measured data.

    Example:
        >>> row = MethodRow("AnatPaste", "measured", {"phantoms (synthetic)": mean_over_seeds([0.90, 0.92])})
        >>> methods_table([row]).rows[-1]
        ('AnatPaste (2 seeds)', 'measured', '–', '–', '–', '91.0 ± 1.4')
    """
    return _compared("AUROC (%) by method", [*PUBLISHED, *measured], notes)


def ablation_table(measured: Iterable[MethodRow], *, notes: Sequence[str] = ()) -> Table:
    """Make Table III: AUROC (%) without parts of the augmentation.

    Args:
        measured: See `methods_table`.
        notes: Notes about the measured data.

    Example:
        >>> ablation_table([]).rows[1]
        ('AnatPaste without segmentation', 'published', '70.7')
    """
    return _compared("AUROC (%) of the ablations", [*PUBLISHED_ABLATIONS, *measured], notes)


def groups_table(
    methods: Mapping[str, Mapping[str, GroupAuroc]], *, title: str = "AUROC (%) by group", notes: Sequence[str] = ()
) -> Table:
    """Make Table II: AUROC (%) of each disease against all normal images, or of each view, with its interval.

    Args:
        methods: Name -> result of `group_aurocs` on the same images. The column titles give the number of images in a
            group; groups with too few images are named below the table.
        title: The caption.
        notes: Notes about the data.

    Example:
        >>> table = groups_table({"AnatPaste": {"edema": GroupAuroc(30, 9, None, None)}})
        >>> table.header, table.notes[1]
        (('method',), 'Too few for an AUROC (under 10 images of a class): edema (9 abnormal, 30 normal).')
    """
    first: Mapping[str, GroupAuroc] = next(iter(methods.values()), {})
    titles = {name: f"{name} ({group.abnormal} abnormal, {group.normal} normal)" for name, group in first.items()}
    shown = [name for name, group in first.items() if group.interval is not None]
    rows = [
        (method, *(_percent(groups[name].interval) for name in shown)) for method, groups in methods.items() if shown
    ]
    about = ["A group is a finding, with all normal images, or a view. Brackets: 95 % interval (stratified bootstrap)."]
    if few := [title for name, title in titles.items() if name not in shown]:
        about.append(f"Too few for an AUROC (under {MIN_PER_CLASS} images of a class): {', '.join(few)}.")
    return Table(title, ("method", *map(titles.__getitem__, shown)), tuple(rows), (*about, *notes))


def matched_groups_table(methods: Mapping[str, Mapping[str, MatchedAuroc]], *, notes: Sequence[str] = ()) -> Table:
    """Make the table of matched AUROC (%) by group.

    Args:
        methods: Result of `matched_group_aurocs`. The column titles give the effective number of images; groups that
            cannot be matched are named below the table.
        notes: Notes about the data.

    Example:
        >>> matched_groups_table({"AnatPaste": {"edema": MatchedAuroc(None, note="too few images")}}).notes[1]
        'No AUROC of edema: too few images.'
    """
    first: Mapping[str, MatchedAuroc] = next(iter(methods.values()), {})
    shown = {name: each for name, each in first.items() if each.interval is not None}
    columns = (f"{name} ({each.abnormal:.0f} abnormal, {each.normal:.0f} normal)" for name, each in shown.items())
    rows = [
        (method, *(_percent(groups[name].interval) for name in shown)) for method, groups in methods.items() if shown
    ]
    about = [
        "Brackets: 95 % interval. The images of a group are weighted; the column titles give their effective numbers."
    ]
    about += [f"No AUROC of {name}: {each.note}." for name, each in first.items() if name not in shown]
    return Table("Matched AUROC (%) by group", ("method", *columns), tuple(rows), (*about, *notes))


def _percent(interval: Interval | None) -> str:
    return "–" if interval is None else str(Auroc(interval.estimate, interval=interval))


def _compared(title: str, rows: Sequence[MethodRow], notes: Sequence[str]) -> Table:
    columns = list(dict.fromkeys(name for row in rows for name in row.aurocs))
    lines = []
    for row in rows:
        seeds = {auroc.seeds for auroc in row.aurocs.values() if row.source == "measured" and auroc.seeds > 1}
        name = f"{row.method} ({'/'.join(map(str, sorted(seeds)))} seeds)" if seeds else row.method
        cells = (str(row.aurocs[column]) if column in row.aurocs else "–" for column in columns)
        lines.append((name, ", ".join(filter(None, [row.source, row.by])), *cells))
    about = "± is the standard deviation over seeds, brackets a 95 % interval of the test images, – not measured."
    return Table(title, ("method", "source", *columns), tuple(lines), (_SOURCE, about, *notes))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """Escape what Markdown would interpret as a column, tag or line break."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _published(method: str, by: str = "", **percent: float | tuple[float, float]) -> MethodRow:
    """Make a row of published results in percent: the AUROC, or (mean, deviation over five seeds)."""
    aurocs = {
        name: Auroc(value[0] / 100, value[1] / 100, 5) if isinstance(value, tuple) else Auroc(value / 100)
        for name, value in percent.items()
    }
    return MethodRow(method, "published", aurocs, by)


_SOURCE = (
    "Published: Sato et al., iScience 2023, arXiv 2205.04282; other methods as quoted there. Figures reported by the "
    "authors of a method are from their own split, image size and choice of weights, and cannot be compared with those "
    "measured here."
)

PUBLISHED = (
    _published("f-AnoGAN", Zhanglab=62.4, CheXpert=60.3, RSNA=60.1),
    _published("GANomaly", Zhanglab=75.1, CheXpert=61.7, RSNA=65.7),
    _published("CutPaste (scar)", Zhanglab=76.8, CheXpert=58.0, RSNA=69.1),
    _published("SALAD", "reported by its authors, not reproducible from what is public", Zhanglab=82.7),
    _published("SQUID", "reported by its authors", Zhanglab=87.6),
    _published("AnatPaste", Zhanglab=(91.4, 1.3), CheXpert=(76.0, 1.8), RSNA=(80.4, 1.4)),
    _published("AnatPaste, ensemble of 5 seeds", Zhanglab=92.1, CheXpert=78.7, RSNA=81.9),
)
"""Table I of the paper."""

PUBLISHED_ABLATIONS = (
    _published("AnatPaste", CheXpert=76.0),
    _published("AnatPaste without segmentation", CheXpert=70.7),
    _published("AnatPaste without blur", CheXpert=60.2),
)
"""The ablations of the paper."""
