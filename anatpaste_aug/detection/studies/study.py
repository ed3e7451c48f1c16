"""The paper's tables, from the scores of several methods on the same images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor

from anatpaste_aug.datasets import DetectionTask
from anatpaste_aug.detection.evaluation.groups import group_aurocs, matched_group_aurocs
from anatpaste_aug.detection.evaluation.intervals import Interval, bootstrap_auroc, bootstrap_difference, delong_test
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc, matched_aurocs
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.evaluation.results import ResultRow
from anatpaste_aug.detection.evaluation.robustness import Change, robustness_row, standard_changes
from anatpaste_aug.detection.evaluation.shortcuts import shortcut_findings
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.reporting.result_tables import (
    Auroc,
    MethodRow,
    Table,
    ablation_table,
    groups_table,
    matched_groups_table,
    mean_over_seeds,
    methods_table,
)
from anatpaste_aug.detection.studies.evaluated_methods import EvaluatedMethod


@dataclass
class StudyResults:
    """Tables and findings for a reader, rows of results, and the same numbers in full precision (``record``).

    Every table names its data; any other note is below the first table that it belongs to.
    """

    tables: list[Table] = field(default_factory=list)
    rows: list[ResultRow] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)


def analyze(
    task: DetectionTask,
    tables: Collection[int],
    methods: Sequence[EvaluatedMethod],
    last: Sequence[EvaluatedMethod],
    baselines: Sequence[EvaluatedMethod],
) -> StudyResults:
    """Compute the paper's tables of trained methods on a task.

    Args:
        task: The images.
        tables: 1 is the methods and their comparisons, 2 the diseases or views, 3 the ablations. Each includes the
            baselines, and a table of the robustness is added.
        methods: Methods with the weights chosen by validation images; the first is compared with the others.
        last: The same methods with the last weights.
        baselines: See `baseline_methods`.
    """
    results = StudyResults()
    about_data = [f"Measured on {task.name}: {task.protocol}.", *filter(None, [task.note])]
    notes = [*about_data, _IMAGES]
    all_methods = [*methods, *last, *baselines]
    one_numbers = [method.scores for method in baselines if not method.detectors]
    matched: dict[str, MatchedAuroc] = {}
    nuisances: dict[str, Any] = {}
    both = has_both(task.test.labels)
    if both and one_numbers:
        scores = {each.name: each.test for method in all_methods for each in method.all_scores}
        nuisances = {each.name: each.test for each in one_numbers}
        matched = matched_aurocs(task.test.labels, scores, nuisances)
        first = matched[one_numbers[0].name]
        trained = [method.scores for method in (*methods, *last)]
        results.findings = shortcut_findings(task.test.labels, trained, one_numbers, first)
        notes.append(_matched_note(first))
    results.rows = [row for method in all_methods for row in method.rows(task, matched)]
    if not both:
        return results
    measured = [row for method in all_methods for row in method_rows(method, task, matched)]
    if 1 in tables:
        results.tables.append(_numbered("Table I", methods_table(measured, notes=[*notes, _WEIGHTS])))
        others = [*methods[1:], *baselines]
        results.record["comparisons"] = compare(methods[0], others, task)
        results.tables.append(comparisons_table(methods[0], results.record["comparisons"], notes=notes))
    if 2 in tables:
        parts = task.groups()
        results.record["groups"] = {
            method.scores.name: group_aurocs(parts, task.test.labels, method.scores.test)
            for method in [*methods, *baselines]
        }
        results.tables.append(_numbered("Table II", groups_table(results.record["groups"], notes=[*notes, _WEIGHTS])))
        if one_numbers:
            tests = {method.scores.name: method.scores.test for method in [*methods, *baselines]}
            results.record["matched_groups"] = matched_group_aurocs(parts, task.test.labels, tests, nuisances)
            results.tables.append(matched_groups_table(results.record["matched_groups"], notes=notes))
    if 3 in tables:
        results.tables.append(_numbered("Table III", ablation_table(measured, notes=[*notes, _WEIGHTS])))
    if tables:
        results.record["robustness"] = robustness_rows([*methods, *baselines], task)
        results.tables.append(robustness_table(results.record["robustness"], notes=notes))
    results.tables = _without_repeated_notes(results.tables, about_data)
    results.record["findings"] = results.findings
    results.record["methods"] = {row.method: dict(row.aurocs) for row in measured}
    return results


def method_rows(
    method: EvaluatedMethod, task: DetectionTask, matched: Mapping[str, MatchedAuroc] | None = None
) -> list[MethodRow]:
    """Return mean and deviation over the seeds, and the ensemble with its interval; one row for a single member.

    Args:
        method: The scores.
        task: The images.
        matched: Name of scores -> matched AUROC, which has its own column.
    """
    labels, column = task.test.labels, f"{task.name}, matched"
    intervals = {name: each.interval for name, each in (matched or {}).items() if each.interval is not None}
    interval = bootstrap_auroc(labels, method.scores.test)
    whole = {task.name: Auroc(interval.estimate, interval=interval)}
    if level := intervals.get(method.scores.name):
        whole[column] = Auroc(level.estimate, interval=level)
    rows = [MethodRow(method.scores.name, "measured", whole)]
    if len(method.members) > 1:
        seeds = {task.name: mean_over_seeds([auroc(labels, member.test) for member in method.members])}
        if intervals:
            seeds[column] = mean_over_seeds([intervals[member.name].estimate for member in method.members])
        rows.insert(0, MethodRow(method.label, "measured", seeds))
    return rows


def compare(
    reference: EvaluatedMethod, others: Iterable[EvaluatedMethod], task: DetectionTask
) -> dict[str, dict[str, Any]]:
    """Compare the AUROC of the reference with each other method by DeLong's test and the paired bootstrap."""
    labels, own = task.test.labels, reference.scores.test
    return {
        other.scores.name: {
            "delong": delong_test(labels, own, other.scores.test),
            "bootstrap": bootstrap_difference(labels, own, other.scores.test),
        }
        for other in others
    }


def robustness_rows(methods: Iterable[EvaluatedMethod], task: DetectionTask) -> dict[str, dict[str, Interval]]:
    """Return the AUROCs on changed test images of all methods with a detector, see `robustness_row`."""
    images, labels = task.test.images, task.test.labels
    changed = {name: change(images) for name, change in standard_changes(images).items()}  # once for all methods
    changes: dict[str, Change] = {name: partial(_precomputed, done) for name, done in changed.items()}
    return {
        method.scores.name: robustness_row(method.scorer(), images, labels, changes)
        for method in methods
        if method.detectors
    }


def comparisons_table(
    reference: EvaluatedMethod, comparisons: Mapping[str, Mapping[str, Any]], *, notes: Sequence[str] = ()
) -> Table:
    """Make the table of the result of `compare`."""
    rows = []
    for name, comparison in comparisons.items():
        test = comparison["delong"]
        p_value = "< 0.001" if test.p_value < 0.001 else f"{test.p_value:.3f}"
        rows.append((name, _points(test.difference), p_value, _points(comparison["bootstrap"])))
    about = (
        "Differences in AUROC (percentage points) on the same test images; positive if the method of the caption is "
        "better. Brackets: 95 % interval. The p-values are two-sided and not corrected for multiple comparisons. Only "
        "test images are resampled, not trainings."
    )
    header = ("against", "difference (DeLong)", "p (DeLong)", "difference (paired bootstrap)")
    return Table(f"{reference.scores.name}, compared with the others", header, tuple(rows), (about, *notes))


def robustness_table(rows: Mapping[str, Mapping[str, Interval]], *, notes: Sequence[str] = ()) -> Table:
    """Make the table of the results of `robustness_row`."""
    header = ("method", *next(iter(rows.values()), {}))
    lines = tuple(
        (name, *(str(Auroc(interval.estimate, interval=interval)) for interval in row.values()))
        for name, row in rows.items()
    )
    about = (
        "Only the test images are changed, not the detectors. Common sharpness: each image is blurred to the mean "
        "gradient that 95 % of them exceed, with a sigma of at most 16 pixels (at 256×256); the blurriest 5 % are not "
        "changed. Brackets: 95 % interval."
    )
    return Table("AUROC (%) on changed test images", header, lines, (about, *notes))


_IMAGES = "Intervals and tests assume that the test images are independent, even if a patient has several."

_WEIGHTS = (
    "Measured rows have the weights with the best validation AUROC, as in the paper, which needs labeled abnormal "
    "images. Rows with “last weights” have those at the end of the training."
)


def _matched_note(matched: MatchedAuroc) -> str:
    if matched.note:
        return f"No matched AUROC: {matched.note}."
    return (
        "Matched: the test images are weighted so that both classes have the same mean of each one-number score, such "
        f"as sharpness; effective number of images: {matched.normal:.0f} normal, {matched.abnormal:.0f} abnormal."
    )


def _precomputed(images: Tensor, _: Tensor) -> Tensor:
    return images


def _without_repeated_notes(tables: Sequence[Table], about_data: Collection[str]) -> list[Table]:
    """Keep each note below the first table that has it, and those about the data below all tables."""
    seen: set[str] = set()
    result = []
    for table in tables:
        result.append(replace(table, notes=tuple(note for note in table.notes if note not in seen)))
        seen |= {*table.notes} - {*about_data}
    return result


def _numbered(number: str, table: Table) -> Table:
    return replace(table, title=f"{number}: {table.title}")


def _points(difference: Interval) -> str:
    low, high = 100 * difference.low, 100 * difference.high
    return f"{100 * difference.estimate:+.1f} [{low:+.1f}, {high:+.1f}]"
