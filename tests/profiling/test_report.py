"""The report: one html_parts, everything in it, nothing from elsewhere."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest
from made_up import made_up_production, made_up_rows, write_flops_selector

from placement.errors import LogError, SelectorError
from placement.log import LogWriter, TaskRecord
from profiling.evaluation.evaluate import evaluate
from profiling.learning.descent import TrainingOptions
from profiling.report import html_parts, report


class Reader(HTMLParser):
    """Collects the tags, their attributes and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page of the made-up log, with its text and its images."""
    folder = tmp_path_factory.mktemp("report")
    LogWriter(folder / "log").append(made_up_rows())
    quick = evaluate(folder / "log", options=TrainingOptions(epochs=40))
    path = report.write(folder / "log", folder / "out" / "report.html", write_flops_selector(folder), quick)
    text = path.read_text("utf-8")
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return text, reader


def images(reader: Reader) -> dict[str, str]:
    """alt text -> SVG."""
    sources = [value for tag, name, value in reader.attributes if (tag, name) == ("img", "src")]
    alts = [value for tag, name, value in reader.attributes if (tag, name) == ("img", "alt")]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    return {alt: base64.b64decode(s.split(",")[1]).decode() for alt, s in zip(alts, sources, strict=True)}


@pytest.mark.parametrize(
    "title",
    ["What went where", "Share of the work for the GPU", "The threshold plane", "Policies side by side",
     "Accuracy, by what was held out", "How good the probability is", "The configs"],
)  # fmt: skip
def test_every_section_is_there_with_its_provenance(written, title):
    text, _ = written
    section = next(s for s in re.findall(r"<section>.*?</section>", text, re.S) if title in s)
    assert re.search(r'class="badge emulated">\w+: emulated \d+<', section)


def test_every_figure_is_there_as_an_image_of_its_own(written):
    _, reader = written
    found = images(reader)
    for what in ("by config", "speed-up against energy ratio", "energy efficiency", "majority class", "Precision",
                 "Observed share", "True positives", "tasks of each function"):  # fmt: skip
        svg = next(svg for alt, svg in found.items() if what in alt)
        assert svg.count("<path") > 10


def test_nothing_is_loaded_from_elsewhere(written):
    text, reader = written
    assert not [a for a in reader.attributes if a[1] in ("href", "srcset", "action")]
    assert not re.search(r"https?://|url\(|@import|<script", text)
    for svg in images(reader).values():
        assert not re.search(r'(?:xlink:)?href="(?!#)', svg)


def test_the_table_of_policies_stands_beside_the_papers_and_has_the_oracle(written):
    text, _ = written
    for policy in ("cpu_only", "gpu_only", "random", "flops_rule", "selector", "oracle"):
        assert f"<td>{policy}</td>" in text
    assert "(≥ 95%)" in text
    assert "(1.45)" in text


def test_unknown_energies_are_counted_not_hidden(written):
    text, _ = written
    assert "energies: unknown 4" in text


def test_names_from_the_log_are_escaped(tmp_path, selector_file):
    row = TaskRecord(run_id="p", source="production", function="f", workload="<script>alert(1)</script>", device="cpu")
    LogWriter(tmp_path / "evil").append([row])
    text = report.write(tmp_path / "evil", tmp_path / "report.html", selector_file).read_text("utf-8")
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in text
    assert "<script" not in text


def test_a_log_of_production_rows_alone_still_makes_a_page(tmp_path, selector_file):
    LogWriter(tmp_path / "only").append(made_up_production())
    text = report.write(tmp_path / "only", tmp_path / "report.html", selector_file).read_text("utf-8")
    assert "What went where" in text
    assert "no piece of work that ran on both" in text
    assert "The threshold plane" not in text


def test_an_absent_or_empty_log_is_refused(tmp_path, selector_file):
    with pytest.raises(LogError, match="there is no log"):
        report.write(tmp_path / "nowhere", tmp_path / "report.html", selector_file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LogError, match="no rows"):
        report.write(tmp_path / "empty", tmp_path / "report.html", selector_file)


def test_a_broken_selector_is_refused_by_its_name(made_up_log, tmp_path):
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SelectorError, match=r"broken\.json"):
        report.write(made_up_log, tmp_path / "report.html", tmp_path / "broken.json")


def test_a_number_that_is_not_known_is_a_dash_not_zero():
    assert html_parts.number(None).text == html_parts.number(float("nan")).text == "–"
    assert html_parts.number(0.0).text == "0.00"
