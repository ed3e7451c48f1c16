"""The tables of a study against NumPy, scikit-learn and tested functions on the scores of the runs."""

import json

import numpy as np
import pytest
from helpers.tiny.study import SHORT, TASK
from sklearn.metrics import roc_auc_score

from anatpaste_aug.detection import bootstrap_auroc, bootstrap_difference, delong_test
from anatpaste_aug.detection.evaluation.groups import group_aurocs
from anatpaste_aug.detection.evaluation.matched import matched_aurocs
from anatpaste_aug.detection.evaluation.one_number import one_number_scores
from anatpaste_aug.detection.reporting.output_files import write_metrics_json
from anatpaste_aug.detection.studies.evaluated_methods import baseline_methods, trained_methods
from anatpaste_aug.detection.studies.study import analyze

LABELS = TASK.test.labels


@pytest.fixture(scope="module")
def found(finished_runs):
    methods, last = trained_methods(finished_runs), trained_methods(finished_runs, "last")
    return analyze(TASK, (1, 2, 3), methods, last, baseline_methods(TASK, SHORT))


def percent(interval):
    return f"{100 * interval.estimate:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def test_table_1_has_mean_deviation_and_ensemble_beside_the_published_rows(found, finished_runs):
    table = found.tables[0]
    assert table.title == "Table I: AUROC (%) by method"
    assert {row[1].split(",")[0] for row in table.rows} == {"published", "measured"}
    assert table.header[-2:] == (TASK.name, f"{TASK.name}, matched")
    rows = {row[0]: row[-2] for row in table.rows if row[1] == "measured"}
    for weights, label in (("best", "AnatPaste"), ("last", "AnatPaste, last weights")):
        areas = [100 * roc_auc_score(LABELS, getattr(run, weights).test) for run in finished_runs[:2]]
        assert rows[f"{label} (2 seeds)"] == f"{np.mean(areas):.1f} ± {np.std(areas, ddof=1):.1f}"
    (evaluated,) = trained_methods(finished_runs[:2])
    assert rows["AnatPaste, ensemble of 2 seeds"] == percent(bootstrap_auroc(LABELS, evaluated.scores.test))
    assert {"untrained test_byobnet features", "CutPaste (scar), seed 3, last weights"} <= rows.keys()
    assert any(name.startswith("mean vertical gradient") for name in rows)


def test_results_have_matched_aurocs(found, finished_runs):
    scores = {each.name: each.test for method in trained_methods(finished_runs) for each in method.all_scores}
    expected = matched_aurocs(LABELS, scores, {each.name: each.test for each in one_number_scores(TASK)})
    rows = {row.weights: row.matched for row in found.rows}
    assert {name: rows[name] for name in scores} == expected
    assert all(matched is not None and matched.interval is not None for matched in rows.values())
    table = {row[0]: row[-1] for row in found.tables[0].rows if row[1] == "measured"}
    name = "AnatPaste, ensemble of 2 seeds"
    assert table[name] == percent(expected[name].interval)
    areas = [100 * expected[f"AnatPaste, seed {seed}"].interval.estimate for seed in (3, 4)]
    assert table["AnatPaste (2 seeds)"] == f"{np.mean(areas):.1f} ± {np.std(areas, ddof=1):.1f}"
    (note,) = (note for note in found.tables[0].notes if note.startswith("Matched: "))
    assert note.endswith(f"{expected[name].normal:.0f} normal, {expected[name].abnormal:.0f} abnormal.")


def test_methods_that_are_not_better_than_one_number_are_named(found, finished_runs):
    best = max(one_number_scores(TASK), key=lambda each: roc_auc_score(LABELS, each.test))
    assert found.findings[0].startswith(f"Best one-number score: {best.name}, AUROC ")
    evaluated_methods = [*trained_methods(finished_runs), *trained_methods(finished_runs, "last")]
    worse = [m.scores for m in evaluated_methods if bootstrap_difference(LABELS, m.scores.test, best.test).low <= 0]
    named = [line.split(" is not significantly better than ")[0] for line in found.findings[1:]]
    assert named == [each.name for each in worse]
    assert found.record["findings"] == found.findings


def test_comparisons_are_delongs_and_the_paired_bootstraps(found, finished_runs):
    table = found.tables[1]
    own, other = (trained_methods(finished_runs)[i].scores for i in (0, 1))
    test, paired = (compare(LABELS, own.test, other.test) for compare in (delong_test, bootstrap_difference))
    assert table.title.startswith("AnatPaste, ensemble of 2 seeds")
    row = table.rows[0]
    assert row[0] == other.name
    assert row[1].startswith(f"{100 * test.difference.estimate:+.1f} [{100 * test.difference.low:+.1f}, ")
    assert row[2] == ("< 0.001" if test.p_value < 0.001 else f"{test.p_value:.3f}")
    assert row[3].endswith(f", {100 * paired.high:+.1f}]")
    assert found.record["comparisons"][other.name]["delong"] == test
    assert len(table.rows) == 6  # and five baselines


def test_robustness_begins_with_the_images_as_they_are(found, finished_runs):
    table = found.tables[-1]
    assert table.header[:3] == ("method", "unchanged", "common sharpness")
    assert len(table.rows) == 3  # two methods and the untrained features; not the one-number scores
    for evaluated in trained_methods(finished_runs):
        row = found.record["robustness"][evaluated.scores.name]
        assert row["unchanged"].estimate == pytest.approx(roc_auc_score(LABELS, evaluated.scores.test), abs=0.01)
        assert len({interval.estimate for interval in row.values()}) > 2


def test_table_2_has_a_row_for_each_method_and_baseline(found, finished_runs):
    (table,) = (table for table in found.tables if table.title.startswith("Table II:"))
    (evaluated,) = trained_methods(finished_runs[:2])
    groups = group_aurocs(TASK.groups(), LABELS, evaluated.scores.test)
    assert table.header == ("method", "square (18 abnormal, 20 normal)")
    assert any(note.endswith(": odd (2 abnormal, 20 normal).") for note in table.notes)
    assert sum(note.startswith("Matched: ") for each in found.tables for note in each.notes) == 1
    assert table.rows[0] == (evaluated.scores.name, percent(groups["square"].interval))
    names = [row[0] for row in table.rows]
    assert names[2] == "untrained test_byobnet features"
    assert len(names) == 2 + 5
    (matched,) = (table for table in found.tables if table.title == "Matched AUROC (%) by group")
    inside = TASK.groups()["square"]
    numbers = {each.name: each.test[inside] for each in one_number_scores(TASK)}
    expected = matched_aurocs(LABELS[inside], {"a": evaluated.scores.test[inside]}, numbers)["a"]
    assert "No AUROC of odd: too few images (20 normal, 2 abnormal)." in matched.notes
    if expected.interval is None:
        assert f"No AUROC of square: {expected.note}." in matched.notes
    else:
        assert matched.rows[0] == (evaluated.scores.name, percent(expected.interval))
        assert [row[0] for row in matched.rows] == names


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_table_has_the_baselines_and_the_robustness_beside_the_methods(finished_runs, number):
    methods, baselines = trained_methods(finished_runs[:1]), baseline_methods(TASK, SHORT)
    tables = analyze(TASK, (number,), methods, [], baselines).tables
    names = {row[0] for row in tables[0].rows}
    assert {evaluated.scores.name for evaluated in (*methods, *baselines)} <= names
    assert tables[-1].title == "AUROC (%) on changed test images"


def test_table_3_begins_with_the_published_ablations(found):
    (table,) = (table for table in found.tables if table.title.startswith("Table III:"))
    names = [row[0] for row in table.rows]
    assert names[:3] == ["AnatPaste", "AnatPaste without segmentation", "AnatPaste without blur"]
    assert "AnatPaste (2 seeds)" in names


def test_every_table_names_its_data(found):
    for table in found.tables:
        assert "Measured on squares (synthetic): reduced protocol for tests." in table.notes
        assert TASK.note in table.notes


def test_the_record_is_json(found, tmp_path):
    written = json.loads(write_metrics_json(tmp_path / "metrics.json", found.rows, found.record).read_text())
    row = written["methods"]["AnatPaste, ensemble of 2 seeds"]["squares (synthetic)"]
    assert row["interval"]["low"] <= row["auroc"] <= row["interval"]["high"]
    assert len(written["results"]) == 2 * (3 + 1) + 5  # best and last: two seeds, ensemble, another method; baselines


def test_a_single_seed_has_its_interval_and_no_deviation(finished_runs):
    table = analyze(TASK, (3,), trained_methods(finished_runs[:1]), [], []).tables[0]
    assert table.rows[-1][0] == "AnatPaste, seed 3"
    assert table.rows[-1][-1] == percent(bootstrap_auroc(LABELS, finished_runs[0].best.test))
