"""The report of a run is complete, and safe for any text."""

import csv
import dataclasses
import re
from html.parser import HTMLParser

import pytest
import torch
from helpers.run_pictures import LABELS, NASTY, ROWS, SCORES, draw

from anatpaste_aug.detection import PretextConfig
from anatpaste_aug.detection.reporting.output_files import write_scores_csv
from anatpaste_aug.detection.reporting.report import write_report
from anatpaste_aug.detection.reporting.result_tables import Table
from anatpaste_aug.detection.reporting.run_figures import extremes_figure
from anatpaste_aug.detection.training.fingerprint import environment


def write_page(run_dir, **changes):
    arguments = {
        "title": "Run",
        "config": PretextConfig(),
        "data": {"training, normal": 1133},
        "rows": ROWS,
        "figures": {},
        "environment": environment(),
    }
    return write_report(run_dir, **(arguments | changes))


def test_the_report_is_one_page_about_the_run(tmp_path):
    page = write_page(
        tmp_path,
        figures={name: draw(name, tmp_path / f"{name}.png").name for name in ("extremes", "roc")},
        data_note="Synthetic phantoms.",
        protocol="By patient.",
        command="python x.py",
        seconds=3725,
    ).read_text()
    for part in (
        "Synthetic phantoms.",
        "By patient.",
        "python x.py",
        "1 h 2 min",
        "not a medical device",
        "labeled",
        "training, normal",
        "3 normal and 4 abnormal",
        "0.833",
        "weight_decay",
    ):
        assert part in page
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert page.index("ROC curves") < page.index("Best and worst scored")
    assert not list(tmp_path.glob(".*"))


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    "text",
    [
        '" onerror="alert(1)',
        "' onload='alert(1)' x='",
        "javascript:alert(1)",
        "</title><script>alert(1)</script>",
        "</td></table><iframe src=//evil></iframe>",
        "<img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "a.png\n<svg onload=alert(1)>",
        "<!-- ",
    ],
)
def test_no_text_becomes_markup(tmp_path, text):
    """The tags and attributes are those of a page of harmless texts, and the texts are all there."""

    picture = tmp_path / "x.png"
    picture.write_bytes(b"a picture")

    def page(text):
        figures = {text: picture}
        rows = [dataclasses.replace(ROWS[0], dataset=text, weights=text)]
        texts = dict.fromkeys(("title", "protocol", "data_note", "command"), text)
        texts |= {name: {text: text} for name in ("config", "data", "environment")}
        return Page(write_page(tmp_path, rows=rows, figures=figures, **texts).read_text(encoding="utf-8"))

    found, harmless = page(text), page("harmless")
    assert [(tag, {*names}) for tag, names in found.tags] == [(tag, {*names}) for tag, names in harmless.tags]
    assert found.text.count(text) == harmless.text.count("harmless")
    (image,) = [names for tag, names in found.tags if tag == "img"]
    assert image["alt"] == text
    assert image["src"].startswith("data:image/png;base64,")
    links = {"href", "src", "action", "formaction", "data", "srcdoc", "style"}
    assert not [tag for tag, names in found.tags if tag != "img" and links & names.keys()]


def test_the_page_asks_browsers_to_run_nothing_and_to_fetch_nothing(tmp_path):
    (policy,) = [
        names["content"] for tag, names in Page(write_page(tmp_path).read_text()).tags if "http-equiv" in names
    ]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_names_that_are_not_unicode_and_names_that_look_like_formulas(tmp_path):
    names = ["=1+1.png", "@x.png", "-1.png", "+a.png", "\udcff.png", "a=1.png", "b.png"]
    path = write_scores_csv(tmp_path / "scores.csv", names, LABELS, {"best": -SCORES})
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    written = [row["name"] for row in rows]
    assert written == ["./=1+1.png", "./@x.png", "./-1.png", "./+a.png", "\\udcff.png", "a=1.png", "b.png"]
    assert [float(row["best"]) for row in rows] == (-SCORES).tolist()  # numbers below 0 stay numbers
    assert "\\udcff.png" in write_page(tmp_path, title="\udcff.png").read_text(encoding="utf-8")
    images = torch.zeros(7, 1, 40, 32, dtype=torch.uint8)
    extremes_figure(tmp_path / "extremes.png", images, LABELS, SCORES, 0.5, names=names, count=4)


def test_report_without_the_optional_parts(tmp_path):
    page = write_page(tmp_path).read_text()
    assert "About the data" not in page
    assert "<img" not in page
    with pytest.raises(FileNotFoundError):
        write_page(tmp_path, figures={"roc": "missing.png"})
    with pytest.raises(ValueError, match="no results"):
        write_page(tmp_path, rows=[])


@pytest.mark.parametrize(("score", "description"), [("kde", "Gaussian kernel density"), ("knn", "the 5 nearest")])
def test_findings_and_the_score_are_described(tmp_path, score, description):
    config = PretextConfig(score=score)
    page = write_report(
        tmp_path, title="T", config=config, data={}, rows=ROWS, figures={}, environment={}, findings=[NASTY, "Second."]
    ).read_text()
    assert NASTY not in page
    assert "<p>&lt;script&gt;" in page
    assert "<p>Second.</p>" in page
    assert description in page


def test_report_of_tables_and_methods(tmp_path):
    table = Table(NASTY, (NASTY, "AUROC"), ((NASTY, "91.0"),), (NASTY,))
    page = write_page(tmp_path, rows=[], tables=[table], methods={NASTY: "Pastes."}).read_text()
    assert table.html() in page
    assert "Pastes." in page
    assert "<script" not in page
    assert "<h2>Results</h2>" not in page
    named = dataclasses.replace(ROWS[0], weights="AnatPaste, seed 0")
    page = write_page(tmp_path, rows=[*ROWS, named], highlights=[named]).read_text()
    assert re.findall(r"<span>(AUROC.*?)</span>", page) == ["AUROC, AnatPaste, seed 0"]
    page = write_page(tmp_path, rows=[*ROWS, named]).read_text()
    assert re.findall(r"<span>(AUROC.*?)</span>", page) == ["AUROC, best weights", "AUROC, last weights"]
