"""Tables show the given results with their source, and nothing for too few images."""

import re
import statistics
from xml.etree import ElementTree

import numpy as np
import pytest

from anatpaste_aug.detection import Interval
from anatpaste_aug.detection.evaluation.groups import GroupAuroc
from anatpaste_aug.detection.reporting.result_tables import (
    Auroc,
    MethodRow,
    Table,
    ablation_table,
    groups_table,
    mean_over_seeds,
    methods_table,
)

NASTY = "<script>a|b</script>\n& `x`"


def test_over_seeds_is_mean_and_sample_deviation():
    areas = [0.91, 0.93, 0.90, 0.95, 0.92]
    found = mean_over_seeds(areas)
    assert found.auroc == pytest.approx(np.mean(areas))
    assert found.spread == pytest.approx(np.std(areas, ddof=1)) == pytest.approx(statistics.stdev(areas))
    assert (found.seeds, str(found)) == (5, "92.2 ± 1.9")
    assert str(mean_over_seeds([0.5])) == "50.0"
    with pytest.raises(ValueError, match="at least one seed"):
        mean_over_seeds([])


def test_measured_rows_are_marked_and_other_data_keep_to_their_own_column():
    development = MethodRow("AnatPaste", "measured", {"Zhanglab (development split)": mean_over_seeds([0.90, 0.94])})
    official = MethodRow("AnatPaste, ensemble", "measured", {"RSNA": Auroc(0.8)})
    table = methods_table([development, official], notes=["Development figures."])
    assert table.header == ("method", "source", "Zhanglab", "CheXpert", "RSNA", "Zhanglab (development split)")
    assert table.rows[-2] == ("AnatPaste (2 seeds)", "measured", "–", "–", "–", "92.0 ± 2.8")
    assert table.rows[-1] == ("AnatPaste, ensemble", "measured", "–", "–", "80.0", "–")
    assert {row[1].split(",")[0] for row in table.rows[:-2]} == {"published"}
    assert table.notes[-1] == "Development figures."
    ablations = ablation_table([development])
    assert ablations.header == ("method", "source", "CheXpert", "Zhanglab (development split)")


def test_a_group_with_few_images_shows_its_counts_alone():
    found = {"edema": GroupAuroc(30, 9, None, None), "effusion": GroupAuroc(30, 10, 0.8, Interval(0.8, 0.75, 0.9))}
    table = groups_table({"a": found, "b": found}, title="By disease", notes=["Note."])
    assert table.header == ("method", "effusion (10 abnormal, 30 normal)")
    assert table.rows == tuple((name, "80.0 [75.0, 90.0]") for name in "ab")
    assert table.title == "By disease"
    assert table.notes[1].endswith("(under 10 images of a class): edema (9 abnormal, 30 normal).")
    assert table.notes[2] == "Note."
    assert groups_table({"a": {"edema": found["edema"]}}).rows == ()


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
