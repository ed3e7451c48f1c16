"""The paper's tables with measured figures beside the published ones, as Markdown or HTML."""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from anatpaste_aug.detection.evaluation.groups import GroupAuroc
from anatpaste_aug.detection.evaluation.intervals import MIN_PER_CLASS, Interval
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc


@dataclass(frozen=True)
class Auroc:
    """An AUROC as a table shows it.

    Args:
        auroc: in [0, 1]; of several seeds the mean.
        spread: standard deviation over the seeds; of measured ones the sample's (n - 1).
        seeds: how many there were.
        interval: of the test images, for a single set of scores.
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
    """A method's AUROCs, by name of the dataset; ``source`` says whether measured here or published.

    ``by`` says who reported published figures, where it is not the paper itself.
    """

    method: str
    source: Literal["measured", "published"]
    figures: Mapping[str, Auroc]
    by: str = ""


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns, with notes below.

    Example:
        >>> print(Table("Small", ("method", "AUROC"), (("a|b", "91.4"),), ("A note.",)).markdown())
        **Small**
        <BLANKLINE>
        | method | AUROC |
        |---|---|
        | a\\|b | 91.4 |
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
        """Return a ``table`` element with a caption, and the notes as paragraphs; every text is escaped."""
        heads = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in self.header)
        body = "\n".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"\n<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<table>\n<caption>{html.escape(self.title)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table>{notes}"
        )


def mean_over_seeds(aurocs: Sequence[float]) -> Auroc:
    """Return mean and sample standard deviation over seeds; a single seed has no spread.

    Raises:
        ValueError: no seeds.

    Example:
        >>> str(mean_over_seeds([0.90, 0.92]))
        '91.0 ± 1.4'
    """
    if not aurocs:
        raise ValueError("the AUROC of one seed or more is needed")
    spread = statistics.stdev(aurocs) if len(aurocs) > 1 else None
    return Auroc(statistics.fmean(aurocs), spread, len(aurocs))


def methods_table(measured: Iterable[MethodRow], *, notes: Sequence[str] = ()) -> Table:
    """Return Table I: AUROC (%) of published and measured methods, one column per dataset.

    A measured value is shown in a published column only if its dataset has the same name, "Zhanglab", "CheXpert" or
    "RSNA"; any other data, such as a development split, get a column of their own.

    Args:
        measured: rows such as ``MethodRow("AnatPaste", "measured", {task.name: mean_over_seeds(aurocs)})``.
        notes: about the measured data.

    Example:
        >>> row = MethodRow("AnatPaste", "measured", {"phantoms (synthetic)": mean_over_seeds([0.90, 0.92])})
        >>> methods_table([row]).rows[-1]
        ('AnatPaste (2 seeds)', 'measured', '–', '–', '–', '91.0 ± 1.4')
    """
    return _compared("AUROC (%) by method", [*PUBLISHED, *measured], notes)


def ablation_table(measured: Iterable[MethodRow], *, notes: Sequence[str] = ()) -> Table:
    """Return Table III: AUROC (%) without parts of the augmentation.

    See :func:`methods_table` for columns and arguments.

    Example:
        >>> ablation_table([]).rows[1]
        ('AnatPaste without segmentation', 'published', '70.7')
    """
    return _compared("AUROC (%) of the ablations", [*PUBLISHED_ABLATIONS, *measured], notes)


def groups_table(
    methods: Mapping[str, Mapping[str, GroupAuroc]], *, title: str = "AUROC (%) by group", notes: Sequence[str] = ()
) -> Table:
    """Return Table II: AUROC (%) of each disease against all normal images, or of each view, with its interval.

    Args:
        methods: name -> what :func:`group_aurocs` returned for it, on the same images. The column titles give the
            number of images in a group; a group with too few has no AUROC.
        title: the caption.
        notes: about the data.

    Example:
        >>> table = groups_table({"AnatPaste": {"edema": GroupAuroc(30, 9, None, None)}})
        >>> table.header, table.rows
        (('method', 'edema (9 abnormal, 30 normal)'), (('AnatPaste', 'too few'),))
    """
    first: Mapping[str, GroupAuroc] = next(iter(methods.values()), {})
    columns = (f"{name} ({group.abnormal} abnormal, {group.normal} normal)" for name, group in first.items())
    rows = []
    for method, groups in methods.items():
        intervals = [group.interval for group in groups.values()]
        cells = ["too few" if each is None else str(Auroc(each.estimate, interval=each)) for each in intervals]
        rows.append((method, *cells))
    about = f"Brackets: 95 % interval (stratified bootstrap). Too few: under {MIN_PER_CLASS} images of a class."
    return Table(title, ("method", *columns), tuple(rows), (about, *notes))


def matched_groups_table(methods: Mapping[str, Mapping[str, MatchedAuroc]], *, notes: Sequence[str] = ()) -> Table:
    """Return the table of AUROC (%) by group at matched nuisance.

    Args:
        methods: what :func:`matched_group_aurocs` returned. The column titles give the effective number of images.
        notes: about the data.

    Example:
        >>> matched_groups_table({"AnatPaste": {"edema": MatchedAuroc(None, note="too few images")}}).rows
        (('AnatPaste', 'too few images'),)
    """
    first: Mapping[str, MatchedAuroc] = next(iter(methods.values()), {})
    columns = (f"{name} ({each.abnormal:.0f} abnormal, {each.normal:.0f} normal)" for name, each in first.items())
    rows = []
    for method, groups in methods.items():
        intervals = [(each, each.interval) for each in groups.values()]
        cells = [
            each.note if level is None else str(Auroc(level.estimate, interval=level)) for each, level in intervals
        ]
        rows.append((method, *cells))
    about = "Brackets: 95 % interval. The images of each group are weighted; their effective numbers are in the titles."
    return Table("AUROC (%) by group at matched nuisance", ("method", *columns), tuple(rows), (about, *notes))


def _compared(title: str, rows: Sequence[MethodRow], notes: Sequence[str]) -> Table:
    columns = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = []
    for row in rows:
        seeds = {figure.seeds for figure in row.figures.values() if row.source == "measured" and figure.seeds > 1}
        name = f"{row.method} ({'/'.join(map(str, sorted(seeds)))} seeds)" if seeds else row.method
        cells = (str(row.figures[column]) if column in row.figures else "–" for column in columns)
        lines.append((name, ", ".join(filter(None, [row.source, row.by])), *cells))
    about = "± is the standard deviation over seeds, brackets a 95 % interval of the test images, – not measured."
    return Table(title, ("method", "source", *columns), tuple(lines), (_SOURCE, about, *notes))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """Escape what Markdown would read as a column, a tag or a line break."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _published(method: str, by: str = "", **percent: float | tuple[float, float]) -> MethodRow:
    """Return a row of published values: the AUROC, or (mean, deviation over five seeds), in percent."""
    figures = {
        name: Auroc(value[0] / 100, value[1] / 100, 5) if isinstance(value, tuple) else Auroc(value / 100)
        for name, value in percent.items()
    }
    return MethodRow(method, "published", figures, by)


_SOURCE = (
    "Published: Sato et al., iScience 2023, arXiv 2205.04282; other methods as quoted there. Figures reported by the "
    "authors of a method are from their own split, image size and choice of weights, and are no comparison with those "
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
