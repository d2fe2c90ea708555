"""Finding the range: the specimen's ends come out of looks alone, and nothing goes too near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macrorail.config.document import load_document
from macrorail.config.drivers import import_driver
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.devices.interfaces import Context
from macrorail.errors import PlanError
from macrorail.planning.plan import make_plan
from macrorail.planning.range_search.finder import FoundRange, RangeFinder
from macrorail.planning.range_search.search import describe_search, make_search
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Journal, read_journal
from macrorail.session.range_search import plan_run
from tests.virtual import LENS, RAIL

PROTOCOL = """
specimen: {{id: beetle}}
range: {range}
settle: 0.3 s
exposure: {{aperture: f/4, shutter: 1/20 s, iso: 100}}
{extra}
"""
DEPTH = {
    "near: 10 mm, far: 12 mm": "near: 10 mm, far: 11 mm",
    "magnification: 2": "magnification: 1",
}
SIZE = {"image_width: 96": "image_width: 192", "image_height: 64": "image_height: 128"}


class Bench:
    """A virtual instrument and everything that a search says and does."""

    def __init__(self, folder: Path, span: str = "auto", extra: str = "", rig: str = RAIL) -> None:
        for old, new in {**DEPTH, **SIZE}.items():
            rig = rig.replace(old, new)
        (folder / "rig.yaml").write_text(rig)
        (folder / "protocol.yaml").write_text(PROTOCOL.format(range=span, extra=extra))
        self.rig = load_rig(folder / "rig.yaml")
        self.wanted = load_document(folder / "protocol.yaml", Protocol)
        assert self.rig.bench is not None
        bench: Any = import_driver("bench", self.rig.bench.driver)(self.rig.bench, self.rig)
        self.clock, self.world, self.body = bench.clock, bench.world, bench.body
        context = Context(bench.clock, bench.ports)
        self.camera = import_driver("camera", self.rig.camera.driver)(self.rig.camera, context)
        context = Context(bench.clock, bench.ports, self.camera)
        self.axis = import_driver("axis", self.rig.axis.driver)(self.rig.axis, context)
        self.folder = folder
        self.journal = folder / "journal.jsonl"

    def find(self) -> FoundRange:
        journal = Journal(self.journal, self.clock.now, self.journal.exists())
        try:
            return RangeFinder(
                make_search(self.wanted, self.rig),
                self.axis,
                self.camera,
                self.clock,
                self.wanted.camera_settings,
                self.wanted.settle_s(self.rig.axis.settle_s),
                self.wanted.closest_approach_um,
                self.folder / "looks",
                journal.append,
            ).find()
        finally:
            journal.close()

    def looked_um(self) -> list[float]:
        entries = read_journal(self.journal)
        return [values_of(e.event)["position_um"] for e in entries if kind_of(e.event) == "looked"]


def textured_um(bench: Bench) -> Any:
    """Depths of the truth's pixels that have local contrast."""
    picture, depth_um = bench.world.scene.truth(10_500.0, 4.0)
    luma = picture.mean(axis=2)
    return depth_um[np.hypot(*np.gradient(luma)) > 8]


@pytest.mark.slow
def test_the_whole_way_is_searched_and_the_specimen_found_within_a_step(tmp_path):
    bench = Bench(tmp_path)
    found = bench.find()
    assert min(bench.looked_um()) == pytest.approx(1000, abs=1)
    assert max(bench.looked_um()) == pytest.approx(45_000, abs=1)
    half_um = make_plan(bench.wanted.with_range(1e4, 1.1e4), bench.rig).slices[0].dof_um / 2
    truth_um = textured_um(bench)
    outside = (truth_um < found.near_um - half_um) | (truth_um > found.far_um + half_um)
    assert outside.mean() < 0.002
    # No more than is needed: a depth of field and a half beyond the specimen at either end.
    assert found.near_um > 10_000 - 3 * half_um
    assert found.far_um < 11_000 + 3 * half_um
    assert not (found.ends.near_open or found.ends.far_open)


def test_nothing_is_looked_at_beyond_closest_approach(tmp_path):
    bench = Bench(tmp_path, "{search: {near: 9 mm}}", "closest_approach: 10.6 mm")
    found = bench.find()
    assert max(bench.looked_um()) <= 10_600.5
    assert found.far_um <= 10_600
    assert found.ends.far_open


def test_a_lens_finds_it_as_well(tmp_path):
    bench = Bench(tmp_path, "{search: {near: 7 mm, far: 13.5 mm}}", rig=LENS)
    found = bench.find()
    assert 9_800 < found.near_um < 10_250
    assert 10_850 < found.far_um < 11_250


def test_frames_do_where_there_is_no_live_view_and_none_is_left(tmp_path, monkeypatch):
    bench = Bench(tmp_path, "{search: {near: 9 mm, far: 12 mm, margin: 50 um}}")
    bench.camera = OnlyFrames(bench.camera)
    found = bench.find()
    assert values_of(read_journal(bench.journal)[0].event)["by"] == "frames"
    assert found.near_um == pytest.approx(found.ends.near_um - 50)
    assert list((tmp_path / "looks").iterdir()) == []


def test_where_nothing_is_nothing_is_found(tmp_path):
    bench = Bench(tmp_path, "{search: {near: 30 mm, far: 33 mm}}")
    with pytest.raises(PlanError, match="no texture was found"):
        bench.find()


def test_the_camera_is_left_as_it_was_found(tmp_path):
    bench = Bench(tmp_path, "{search: {near: 9 mm, far: 12 mm}}")
    before = {name: setting.label for name, setting in bench.body.settings.items()}
    bench.find()
    assert {name: setting.label for name, setting in bench.body.settings.items()} == before
    assert not bench.body.live_view


def test_a_range_that_was_found_stays_when_the_run_goes_on(tmp_path):
    bench = Bench(tmp_path, "{search: {near: 9 mm, far: 12 mm}}")
    assert plan_run(bench.wanted, bench.rig).slices == ()
    found = bench.find()
    plan = plan_run(bench.wanted, bench.rig, read_journal(bench.journal))
    assert (plan.near_um, plan.far_um) == (found.near_um, found.far_um)
    assert plan.slices[0].target_um == found.near_um


def test_a_search_says_what_it_takes_and_refuses_what_would_take_too_long(tmp_path):
    bench = Bench(tmp_path)
    assert "154 pictures" in describe_search(
        make_search(bench.wanted, bench.rig), bench.wanted, bench.rig
    )
    with pytest.raises(PlanError, match="the slices depend"):
        make_plan(bench.wanted, bench.rig)
    outside = Bench(tmp_path, "{search: {far: 50 mm}}")
    with pytest.raises(PlanError, match="not within"):
        make_search(outside.wanted, outside.rig)
    strong = Bench(tmp_path, rig=RAIL.replace("magnification: 2}", "magnification: 8}"))
    with pytest.raises(PlanError, match="limit the search"):
        make_search(strong.wanted, strong.rig)


class OnlyFrames:
    """A camera without live view."""

    def __init__(self, camera: Any) -> None:
        for name in ("open", "configure", "expose", "collect", "drain", "close"):
            setattr(self, name, getattr(camera, name))
