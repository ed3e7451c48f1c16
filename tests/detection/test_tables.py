"""Tables show the figures they are given, each with its source, and nothing where there are too few images."""

import re
import statistics
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import bootstrap_auroc
from anatpaste_aug.detection.tables import (
    PUBLISHED,
    Auroc,
    MethodRow,
    Table,
    ablation_table,
    groups_table,
    methods_table,
    over_seeds,
)

NASTY = "<script>a|b</script>\n& `x`"


def test_over_seeds_is_mean_and_sample_deviation():
    areas = [0.91, 0.93, 0.90, 0.95, 0.92]
    found = over_seeds(areas)
    assert found.auroc == pytest.approx(np.mean(areas))
    assert found.spread == pytest.approx(np.std(areas, ddof=1)) == pytest.approx(statistics.stdev(areas))
    assert (found.seeds, str(found)) == (5, "92.2 ± 1.9")
    assert str(over_seeds([0.5])) == "50.0"
    with pytest.raises(ValueError, match="one seed or more"):
        over_seeds([])


def test_published_rows_are_the_papers():
    rows = {row[0]: row[1:] for row in methods_table([]).rows}
    assert methods_table([]).header == ("method", "source", "Zhanglab", "CheXpert", "RSNA")
    assert rows["CutPaste (scar)"] == ("published", "76.8", "58.0", "69.1")
    assert rows["SQUID"] == ("published", "87.6", "–", "–")
    assert rows["AnatPaste"] == ("published", "91.4 ± 1.3", "76.0 ± 1.8", "80.4 ± 1.4")
    assert rows["AnatPaste, ensemble of 5 seeds"] == ("published", "92.1", "78.7", "81.9")
    assert len(rows) == len(PUBLISHED) == 7
    assert [row[2] for row in ablation_table([]).rows] == ["76.0", "70.7", "60.2"]


def test_measured_rows_are_marked_and_other_data_keep_to_their_own_column():
    development = MethodRow("AnatPaste", "measured", {"Zhanglab (development split)": over_seeds([0.90, 0.94])})
    official = MethodRow("AnatPaste, ensemble", "measured", {"RSNA": Auroc(0.8)})
    table = methods_table([development, official], notes=["Development figures."])
    assert table.header == ("method", "source", "Zhanglab", "CheXpert", "RSNA", "Zhanglab (development split)")
    assert table.rows[-2] == ("AnatPaste (2 seeds)", "measured", "–", "–", "–", "92.0 ± 2.8")
    assert table.rows[-1] == ("AnatPaste, ensemble", "measured", "–", "–", "80.0", "–")
    assert {row[1] for row in table.rows[:-2]} == {"published"}
    assert table.notes[-1] == "Development figures."
    ablations = ablation_table([development])
    assert ablations.header == ("method", "source", "CheXpert", "Zhanglab (development split)")


def test_a_group_with_few_images_shows_its_counts_alone():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [30, 25])
    scores = labels + rng.normal(size=55)
    disease = np.zeros(55, dtype=bool)
    masks = {}
    for name, count in (("edema", 9), ("effusion", 10)):
        disease[:] = labels == 0
        disease[30 : 30 + count] = True
        masks[name] = torch.from_numpy(disease.copy())
    masks["nothing"] = torch.zeros(55, dtype=torch.bool)
    table = groups_table(masks, torch.from_numpy(labels), torch.from_numpy(scores), notes=["Note."], resamples=300)
    chosen = masks["effusion"].numpy()
    interval = bootstrap_auroc(labels[chosen], scores[chosen], resamples=300)
    area = 100 * roc_auc_score(labels[chosen], scores[chosen])
    assert table.rows == (
        ("edema", "9", "30", "too few"),
        ("effusion", "10", "30", f"{area:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"),
        ("nothing", "0", "0", "too few"),
    )
    assert "under 10 images" in table.notes[0]
    with pytest.raises(ValueError, match="edema has 3 marks for 55 labels"):
        groups_table({"edema": [True] * 3}, labels, scores)


def test_the_groups_of_a_task():
    task = phantom_task(32, train=1, val=2, test=100)
    scores = task.test.images.double().mean((1, 2, 3))
    rows = groups_table(task.groups(), task.test.labels, scores, resamples=100).rows
    assert [row[0] for row in rows] == list(task.findings)
    assert sum(int(row[1]) for row in rows) == int(task.test.labels.sum())
    assert all(row[2] == "50" for row in rows)


def test_markdown_and_html_escape_every_text():
    table = Table(NASTY, (NASTY, "b"), ((NASTY, NASTY),), (NASTY,))
    lines = table.markdown().splitlines()
    assert len(lines) == 7
    for line in (lines[2], lines[4]):
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    page = table.html()
    assert "<script" not in page + table.markdown()
    assert page.count("&lt;script&gt;") == 5
    root = ElementTree.fromstring(f"<div>{page}</div>")
    assert root.find("table/caption").text == NASTY
    assert [cell.text for cell in root.iterfind("table/tbody/tr/*")] == [NASTY, NASTY]
    assert root.find("p").text == NASTY


def test_html_has_the_cells_of_the_table():
    table = methods_table([MethodRow("AnatPaste", "measured", {"Zhanglab": Auroc(0.9)})])
    root = ElementTree.fromstring(f"<div>{table.html()}</div>")
    assert tuple(cell.text for cell in root.iterfind("table/thead/tr/th")) == table.header
    assert tuple(tuple(cell.text for cell in row) for row in root.iterfind("table/tbody/tr")) == table.rows
