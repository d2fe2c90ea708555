"""Plans of lenses that focus up to infinity, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from macrorail.cli import main
from macrorail.config.lens_file import find_lens_file, lens_file_text, load_lens_file
from macrorail.config.protocol import load_protocol
from macrorail.config.rig import Rig, load_rig
from macrorail.errors import ConfigError, PlanError
from macrorail.planning.plan import Plan, make_plan

CONFIGS = Path(__file__).parents[2] / "configs"
RIG = CONFIGS / "rigs/simulated-landscape.yaml"
PROTOCOL = CONFIGS / "protocols/demo-landscape.yaml"


def planned(folder: Path, *changes: tuple[str, str], rig: Rig | None = None) -> Plan:
    text = PROTOCOL.read_text()
    for written, wanted in changes:
        assert written in text
        text = text.replace(written, wanted)
    path = folder / "protocol.yaml"
    path.write_text(text)
    return make_plan(load_protocol(path), rig or load_rig(RIG))


def test_from_a_metre_to_infinity_without_a_gap(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    distances = [planned.distances for planned in plan.slices]
    assert distances[0] is not None and distances[0].focus_um == pytest.approx(1e6)
    assert distances[-1] is not None
    assert (distances[-1].focus_um, distances[-1].to_um) == (None, None)
    for before, after in pairwise(distances):
        assert before is not None and after is not None and after.from_um is not None
        # In front of the lens the depth of field is lopsided, and neighbours overlap all the same.
        assert before.to_um is None or after.from_um < before.to_um
        if before.focus_um and before.from_um and before.to_um:
            assert before.to_um - before.focus_um > before.focus_um - before.from_um
    assert all(slice.overlap is None or slice.overlap >= 0.2999 for slice in plan.slices)


def test_stopping_down_and_ending_at_the_hyperfocal_distance_need_fewer_slices(
    tmp_path: Path,
) -> None:
    wide, small = planned(tmp_path), planned(tmp_path, ("f/8", "f/16"))
    assert len(small.slices) < 0.7 * len(wide.slices)
    assert len(planned(tmp_path, ("infinity", "2 m")).slices) < 0.6 * len(wide.slices)


def test_the_plan_prints_and_is_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(PROTOCOL), "--rig", str(RIG)]) == 0
    printed = capsys.readouterr().out
    assert "from 1 m to infinity" in printed and "sharp from" in printed
    assert main(["plan", str(PROTOCOL), "--rig", str(RIG), "--json"]) == 0
    last = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["slices"][-1]
    assert last["um_per_px"] is None and last["magnification"] == 0
    assert last["distances"]["to_um"] is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ((("from: 1 m", "from: 30 cm"),), "nearer than the lens's nearest distance"),
        ((("from: 1 m", "near: 5 mm"), ("to: infinity", "far: 6 mm")), "infinity"),
    ],
)
def test_where_the_lens_cannot_focus_is_refused(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], says: str
) -> None:
    with pytest.raises(PlanError, match=says):
        planned(tmp_path, *changes)


def test_distances_are_refused_on_an_axis_that_tells_none(tmp_path: Path) -> None:
    for name in ("rail", "lens"):
        with pytest.raises(PlanError, match="distances"):
            planned(tmp_path, rig=load_rig(CONFIGS / f"rigs/simulated-{name}.yaml"))


def test_a_range_that_runs_backwards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="farther"):
        planned(tmp_path, ("to: infinity", "to: 0.5 m"))


def test_a_rig_that_contradicts_its_lens_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG.read_text().replace("0.1111", "0.2"))
    with pytest.raises(PlanError, match=r"0\.1111"):
        planned(tmp_path, rig=load_rig(path))


def test_a_far_lens_file_is_read_and_written(tmp_path: Path) -> None:
    lens = load_lens_file(find_lens_file("simulated-50mm"))
    assert lens.far_focus is not None
    assert lens.position_at(1800) == lens.travel_um == lens.far_focus.infinity_um
    path = tmp_path / "again.yaml"
    path.write_text(lens_file_text(lens, "again"))
    assert load_lens_file(path) == lens


@pytest.mark.parametrize(
    ("written", "wanted", "says"),
    [
        ("focal_length: 50 mm\n", "", "focal_length"),
        ("distance: infinity", "plane: 5 mm, scale: 1", "distance"),
        ("distance: 500 mm", "distance: 90 mm", "macro"),
        ("distance: infinity", "distance: 600 mm", "grow"),
    ],
)
def test_a_wrong_far_lens_file_is_refused(
    tmp_path: Path, written: str, wanted: str, says: str
) -> None:
    text = find_lens_file("simulated-50mm").read_text()
    assert written in text
    path = tmp_path / "lens.yaml"
    path.write_text(text.replace(written, wanted))
    with pytest.raises(ConfigError, match=says):
        load_lens_file(path)
