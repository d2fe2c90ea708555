"""report.html: one file, nothing fetched, and every number of the run in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from macrorail.cli import main
from macrorail.errors import ConfigError
from macrorail.optics.scale_bar import scale_bar
from macrorail.results.report import charts, write_report
from tests.made_run import make_run


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href", "data"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_nothing_is_fetched(page: str) -> None:
    links = _Links()
    links.feed(page)
    assert links.found, "the pictures are in the page"
    assert all(link.startswith("data:image/jpeg;base64,") for link in links.found)
    assert not {"script", "link", "iframe", "object"} & set(links.tags)
    assert "url(" not in page and "@import" not in page
    assert "default-src 'none'" in page


def test_every_frame_and_its_hash_is_in_it(page: str, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["slices"]
    for one in manifest["slices"]:
        assert one["sha256"] in page and one["frame"] in page
    assert manifest["fused"]["sha256"] in page


def test_faults_and_retries_are_told(page: str) -> None:
    assert "FrameMissing: slice 3 did not arrive" in page
    assert "None: every slice was taken" not in page


def test_what_a_specimen_is_called_cannot_become_markup(tmp_path: Path) -> None:
    folder = make_run(tmp_path, message="<script>alert(1)</script>")
    text = write_report(folder).read_text(encoding="utf-8")
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_a_run_cut_short_has_a_report_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path, finished=False)
    text = write_report(folder).read_text(encoding="utf-8")
    assert "Interrupted" in text and "There is no picture" in text


def test_the_verb_prints_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--page"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("um_per_px", "length_um"), [(2.25, 500.0), (0.16, 20.0), (5.0, 1000.0), (1.0, 200.0)]
)
def test_a_scale_bar_has_a_round_length_and_the_right_one(
    um_per_px: float, length_um: float
) -> None:
    bar = scale_bar(1200, um_per_px)
    assert bar.length_um == pytest.approx(length_um)
    assert bar.share * 1200 * um_per_px == pytest.approx(bar.length_um)
    assert 0.05 < bar.share <= 0.2


def _slices(overlaps: list[float | None]) -> list[dict[str, Any]]:
    return [
        {"index": n, "achieved_um": 50.0 * n, "dof_um": 70.0, "overlap": o, "sharpness": 1.0 + n}
        for n, o in enumerate(overlaps)
    ]


def test_slices_below_the_required_overlap_stand_out() -> None:
    chart = charts.overlap_chart(_slices([None, 0.3, 0.05, 0.3]), 0.1, [])
    assert chart is not None
    assert [mark.bad for mark in chart.marks] == [False, True, False]


def test_one_slice_alone_draws_a_chart() -> None:
    chart = charts.sharpness_chart(_slices([None]))
    assert chart is not None and len(chart.marks) == 1
    assert re.fullmatch(r"[\d.]+,[\d.]+", chart.line)
    assert charts.overlap_chart(_slices([None]), 0.1, []) is None
