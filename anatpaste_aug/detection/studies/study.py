"""Several runs on the same images, judged together: the paper's tables, from finished run folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from anatpaste_aug.datasets.tasks import DetectionTask
from anatpaste_aug.detection.evaluation.groups import group_aurocs
from anatpaste_aug.detection.evaluation.intervals import Interval, bootstrap_auroc, bootstrap_difference, delong_test
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.evaluation.robustness import Change, robustness_row, standard_changes
from anatpaste_aug.detection.reporting.report import ResultRow
from anatpaste_aug.detection.reporting.result_tables import (
    Auroc,
    MethodRow,
    Table,
    ablation_table,
    groups_table,
    methods_table,
    over_seeds,
)
from anatpaste_aug.detection.studies.evaluated_methods import Entrant


@dataclass
class Findings:
    """What a study found: tables for a reader, and the same figures in full precision (``record``, JSON)."""

    tables: list[Table] = field(default_factory=list)
    rows: list[ResultRow] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)


def study(
    task: DetectionTask,
    tables: Collection[int],
    methods: Sequence[Entrant],
    last: Sequence[Entrant],
    baselines: Sequence[Entrant],
) -> Findings:
    """The paper's tables of trained methods on a task.

    Args:
        task: the images.
        tables: 1 for the methods and their comparisons, 2 for the diseases or views, 3 for the ablations. Each has the
            baselines beside the methods, and a table of their robustness goes with them.
        methods: with the best validation weights; the first is the one that the others are compared with.
        last: the same with the last weights.
        baselines: what nobody trained.
    """
    found = Findings()
    notes = [f"Measured on {task.name}: {task.protocol}.", _IMAGES, *filter(None, [task.note])]
    everyone = [*methods, *last, *baselines]
    found.rows = [row for entrant in everyone for row in entrant.rows(task)]
    measured = [row for entrant in everyone for row in method_rows(entrant, task)]
    if 1 in tables:
        found.tables.append(_numbered("Table I", methods_table(measured, notes=[*notes, _WEIGHTS])))
        others = [*methods[1:], *baselines]
        found.record["comparisons"] = compare(methods[0], others, task)
        found.tables.append(comparisons_table(methods[0], found.record["comparisons"], notes=notes))
    if 2 in tables:
        parts = task.groups()
        found.record["groups"] = {
            entrant.scores.name: group_aurocs(parts, task.test.labels, entrant.scores.test)
            for entrant in [*methods, *baselines]
        }
        found.tables.append(_numbered("Table II", groups_table(found.record["groups"], notes=[*notes, _WEIGHTS])))
    if 3 in tables:
        found.tables.append(_numbered("Table III", ablation_table(measured, notes=[*notes, _WEIGHTS])))
    if tables:
        found.record["robustness"] = robustness([*methods, *baselines], task)
        found.tables.append(robustness_table(found.record["robustness"], notes=notes))
    found.record["methods"] = {row.method: dict(row.figures) for row in measured}
    return found


def method_rows(entrant: Entrant, task: DetectionTask) -> list[MethodRow]:
    """Mean and deviation over the seeds, and the ensemble with its interval; of a single member its interval alone."""
    labels = task.test.labels
    interval = bootstrap_auroc(labels, entrant.scores.test)
    whole = Auroc(interval.estimate, interval=interval)
    if len(entrant.members) == 1:
        return [MethodRow(entrant.scores.name, "measured", {task.name: whole})]
    seeds = over_seeds([auroc(labels, member.test) for member in entrant.members])
    return [
        MethodRow(entrant.label, "measured", {task.name: seeds}),
        MethodRow(entrant.scores.name, "measured", {task.name: whole}),
    ]


def compare(reference: Entrant, others: Iterable[Entrant], task: DetectionTask) -> dict[str, dict[str, Any]]:
    """The reference's AUROC minus each other's on the same test images: DeLong's test and the paired bootstrap."""
    labels, own = task.test.labels, reference.scores.test
    return {
        other.scores.name: {
            "delong": delong_test(labels, own, other.scores.test),
            "bootstrap": bootstrap_difference(labels, own, other.scores.test),
        }
        for other in others
    }


def robustness(entrants: Iterable[Entrant], task: DetectionTask) -> dict[str, dict[str, Interval]]:
    """The AUROCs of those that have a detector on changed test images, see :func:`robustness_row`."""
    images, labels = task.test.images, task.test.labels
    changed = {name: change(images) for name, change in standard_changes(images).items()}  # once for all
    changes: dict[str, Change] = {name: partial(_given, done) for name, done in changed.items()}
    return {
        entrant.scores.name: robustness_row(entrant.scorer(), images, labels, changes)
        for entrant in entrants
        if entrant.detectors
    }


def comparisons_table(
    reference: Entrant, comparisons: Mapping[str, Mapping[str, Any]], *, notes: Sequence[str] = ()
) -> Table:
    """What :func:`compare` found."""
    rows = []
    for name, found in comparisons.items():
        test = found["delong"]
        p_value = "< 0.001" if test.p_value < 0.001 else f"{test.p_value:.3f}"
        rows.append((name, _points(test.difference), p_value, _points(found["bootstrap"])))
    about = (
        "Differences in AUROC (percentage points) on the same test images; above 0 the method of the caption is "
        "better. Brackets: 95 % interval. The p-values are two-sided and not corrected for the number of comparisons; "
        "test images alone are resampled, not trainings."
    )
    header = ("against", "difference (DeLong)", "p (DeLong)", "difference (paired bootstrap)")
    return Table(f"{reference.scores.name}, compared with the others", header, tuple(rows), (about, *notes))


def robustness_table(rows: Mapping[str, Mapping[str, Interval]], *, notes: Sequence[str] = ()) -> Table:
    """What :func:`anatpaste_aug.detection.robustness_row` found for each method."""
    header = ("method", *next(iter(rows.values()), {}))
    lines = tuple(
        (name, *(str(Auroc(found.estimate, interval=found)) for found in row.values())) for name, row in rows.items()
    )
    about = (
        "The test images alone are changed, the detectors are not. Common sharpness: each image is blurred to the mean "
        "gradient that 95 % of them exceed, as far as a sigma of 16 pixels (at 256×256) goes; the blurriest 5 % stay "
        "as they are. Brackets: 95 % interval."
    )
    return Table("AUROC (%) on changed test images", header, lines, (about, *notes))


_IMAGES = "Intervals and tests take the test images as independent, even where a patient has several."

_WEIGHTS = (
    "Measured rows have the weights with the best validation AUROC, as in the paper, which takes labelled abnormal "
    "images, unless they say “last weights”, those at the end of the training."
)


def _given(images: Tensor, _: Tensor) -> Tensor:
    return images


def _numbered(number: str, table: Table) -> Table:
    return Table(f"{number}: {table.title}", table.header, table.rows, table.notes)


def _points(difference: Interval) -> str:
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.estimate:+.1f} [{low:+.1f}, {high:+.1f}]"
