"""The files of a study, and checks before its trainings."""

import dataclasses
import json
import re

import pytest
from helpers.tiny.study import SHORT, TASK
from matplotlib.image import imread

from anatpaste_aug.detection.studies.study_report import check_study, merge_values, write_study


@pytest.mark.slow
def test_a_study_writes_tables_figures_and_a_page(finished_runs, tmp_path):
    options = {
        "tables": (2, 3),
        "figures": (1, 3, 4, 5),
        "drawn_methods": ("cutpaste", "anatpaste"),
        "command": "python <x>",
    }
    printed = write_study(tmp_path, TASK, finished_runs, SHORT, **options)
    pictures = {f"figure{number}.png" for number in (1, 3, 4, 5)}
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "report.html", "tables.md"} | pictures
    for name in pictures:
        assert imread(tmp_path / name)[..., :3].std() > 0.02
    assert (tmp_path / "tables.md").read_text().strip() in printed
    assert f"report: {tmp_path / 'report.html'}" in printed
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == 4
    assert page.count("<table>") == 4  # Table II, its matched AUROCs, Table III, robustness
    for text in (TASK.note, TASK.protocol, "python &lt;x&gt;", "published", "CutPaste (scar), seed 3"):
        assert text in page
    headings = re.findall(r"<h2>(Figure \d)", page)
    assert headings == ["Figure 1", "Figure 3", "Figure 4", "Figure 5"]
    # The cards at the top are the methods with their best weights.
    cards = re.findall(r"<span>AUROC, (.*?)</span>", page)
    assert cards == ["AnatPaste, ensemble of 2 seeds", "CutPaste (scar), seed 3"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["seconds"] > sum(run.seconds for run in finished_runs)
    # Each training with its own seed and machine, which the page shows merge_values.
    assert [(each["method"], each["seed"]) for each in metrics["trainings"]] == [
        (run.method, run.seed) for run in finished_runs
    ]
    assert [each["environment"] for each in metrics["trainings"]] == [run.environment for run in finished_runs]
    seeds = "; ".join(dict.fromkeys(str(run.seed) for run in finished_runs))
    assert f'<th scope="row">seed</th><td>{seeds}</td>' in page
    assert finished_runs[0].environment["torch"] in page


def test_differing_settings_are_listed():
    one, other = {"seed": 0, "torch": "2.14.1"}, {"seed": 1, "torch": "2.14.1", "timm": "1.0"}
    assert merge_values([one, other]) == {"seed": "0; 1", "torch": "2.14.1", "timm": "–; 1.0"}


def test_figure_1_needs_no_run(tmp_path):
    printed = write_study(tmp_path, TASK, [], SHORT, figures=(1,), drawn_methods=("cutpaste-scar", "anatpaste-noblur"))
    page = (tmp_path / "report.html").read_text()
    assert "CutPaste (scar)" in page
    assert "A large rectangle" not in page  # methods that are not shown are not explained
    assert "<h2>Results</h2>" not in page
    assert "Measured" not in printed


def test_errors_come_before_the_training(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth does not exist"):
        check_study(SHORT, (), tmp_path / "nowhere.pth")
    vit = dataclasses.replace(SHORT, backbone="test_vit")
    with pytest.raises(ValueError, match="Grad-CAM"):
        check_study(vit, (5,))
    check_study(vit, (1, 3, 4))
