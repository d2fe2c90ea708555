"""A campaign's file: its positions, its stacks in their order, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from macrorail.campaign.forecast import forecast, manual_steps
from macrorail.campaign.plan import CampaignPlan, is_campaign, load_campaign
from macrorail.cli import main
from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig, load_rig
from macrorail.errors import ConfigError, PlanError
from macrorail.identity.protocol_copy import as_yaml

CONFIGS = Path(__file__).parents[2] / "configs"
STACK = """
stack:
  specimen: {institution: NHM}
  range: {near: 20 mm, far: 20.4 mm}
  step: 60 um
  settle: 0.4 s
  exposure: {aperture: f/5.6, shutter: 1/10 s, iso: 100}
"""
LIST = """
campaign:
  id: tray
  stage_positions:
    list:
      - {name: A1, id: b-1, x: 10 mm, y: 10 mm}
      - name: A2
        id: b-2
        x: 30 mm
        y: 10 mm
        specimen: {scientific_name: Carabus granulatus}
        stack: {range: {near: 21 mm, far: 21.3 mm}, overlap: 30 %, exposure: {shutter: 1/5 s}}
"""


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig(CONFIGS / "rigs" / "simulated-tray.yaml")


def work_of(folder: Path, text: str) -> CampaignPlan:
    path = folder / "campaign.yaml"
    path.write_text(text)
    return load_campaign(path)


def test_a_list_has_its_stacks_in_order_with_what_is_otherwise(tmp_path: Path, rig: Rig) -> None:
    work = work_of(tmp_path, LIST + STACK)
    assert [item.key for item in work.tasks] == ["A1", "A2"]
    first, second = forecast(work, rig).stacks
    assert (first.slices, first.near_um, first.far_um) == (8, 20_000, 20_400)
    assert (second.near_um, second.far_um) == (21_000, 21_300)
    protocol = work["A2"].protocol_with({})
    path = tmp_path / "a2.yaml"
    path.write_text(as_yaml(protocol))
    wanted = load_document(path, Protocol)
    assert wanted.specimen.id == "b-2"
    assert wanted.specimen.institution == "NHM"
    assert wanted.specimen.scientific_name == "Carabus granulatus"
    assert (wanted.step_um, wanted.overlap) == (None, 0.3)
    assert wanted.exposure.shutter == "1/5 s"
    assert wanted.exposure.aperture == 5.6


def test_work_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    work = work_of(tmp_path, LIST + STACK)
    assert CampaignPlan.from_dict(json.loads(json.dumps(work.to_dict()))) == work


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("row_wise", ["A1", "A2", "A3", "B1", "B2", "B3"]),
        ("row_wise_snake", ["A1", "A2", "A3", "B3", "B2", "B1"]),
        ("column_wise", ["A1", "B1", "A2", "B2", "A3", "B3"]),
        ("column_wise_snake", ["A1", "B1", "B2", "A2", "A3", "B3"]),
    ],
)
def test_a_grid_is_walked_as_its_mode_says(tmp_path: Path, mode: str, names: list[str]) -> None:
    grid = f"""
campaign:
  id: tray
  stage_positions:
    grid:
      rows: 2
      columns: 3
      first: {{x: 10 mm, y: 5 mm}}
      spacing: {{x: 20 mm, y: 25 mm}}
      mode: {mode}
  identity: {{from: prompt}}
"""
    work = work_of(tmp_path, grid + STACK)
    assert work.places == work.places_without_id == names
    assert (work["B3"].where.x_um, work["B3"].where.y_um) == (50_000, 30_000)


def test_a_csv_file_gives_positions_ids_and_ranges(tmp_path: Path) -> None:
    (tmp_path / "tray.csv").write_text(
        "name,id,x,y,near,far,scientific_name\n"
        "A1,b-1,10 mm,10 mm,20 mm,20.4 mm,Carabus\n"
        "A2,b-2,30 mm,10 mm,,,\n"
    )
    text = "campaign: {id: tray, stage_positions: {csv: tray.csv}}" + STACK
    work = work_of(tmp_path, text)
    assert work["A1"].specimen == {
        "institution": "NHM",
        "scientific_name": "Carabus",
        "id": "b-1",
    }
    assert work["A1"].protocol["range"] == {"near": "20 mm", "far": "20.4 mm"}
    assert work["A2"].protocol["range"] == {"near": "20 mm", "far": "20.4 mm"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name,id,x,y\nA1,b-1,10,10 mm\n", r"tray.csv:2:1: list\[1\].x: needs a unit"),
        ("name,id,heigth\nA1,b-1,3\n", "tray.csv:1: unknown column 'heigth'"),
        ("name,id\nA1,b-1\nA2,B-1\n", r"tray.csv:3:1: .*'B-1' is a duplicate id"),
        ("name,id,x,y\nA1,b-1,10 mm,\n", "'x' and 'y' belong together"),
        ("name,id\nA1,b-1,more\n", "tray.csv:2: the number of fields is not"),
        ("name,id\n", "tray.csv lists no position"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_refused(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "tray.csv").write_text(table)
    with pytest.raises(ConfigError, match=said):
        work_of(tmp_path, "campaign: {id: tray, stage_positions: {csv: tray.csv}}" + STACK)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LIST.replace("id: b-2", "id: b-1") + STACK, r":8:13: .*'b-1' is a duplicate id"),
        (LIST.replace("name: A2", "name: a1") + STACK, "'a1' is a duplicate name"),
        (LIST.replace("x: 30 mm", "x: 10 mm") + STACK, "'A2' and 'A1' have the same coordinates"),
        (LIST + STACK.replace("near: 20 mm", "near: 22 mm"), r"far end .*\(position A1\)"),
        (LIST.replace("1/5 s", "1/5") + STACK, "shutter"),
        (LIST + STACK + "views: []", "unknown key; allowed here: campaign, stack"),
        (
            LIST.replace("  id: tray", "  id: tray\n  stop_afer: 2") + STACK,
            "did you mean 'stop_after'",
        ),
        (
            LIST.replace("  id: tray", "  id: tray\n  axis_order: [position, view]") + STACK,
            "once each",
        ),
        (LIST, "stack: is missing"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        work_of(tmp_path, text)


def test_a_protocol_can_be_named_and_its_mistakes_are_told_in_its_own_file(tmp_path: Path) -> None:
    protocol = tmp_path / "beetle.yaml"
    text = "\n".join(line[2:] for line in STACK.splitlines() if line.startswith("  "))
    protocol.write_text(text)
    work = work_of(tmp_path, LIST + "stack: beetle.yaml\n")
    assert work["A1"].specimen["institution"] == "NHM"
    assert not is_campaign(protocol)
    assert is_campaign(tmp_path / "campaign.yaml")
    protocol.write_text(text.replace("settle: 0.4 s", "settle: 0.4"))
    with pytest.raises(ConfigError, match=r"beetle.yaml:4:9: settle"):
        work_of(tmp_path, LIST + "stack: beetle.yaml\n")


SIDES = """
campaign:
  id: tray
  stage_positions: {list: [{name: A1, id: b-1}, {name: A2, id: b-2}]}
  views: [{name: dorsal}, {name: lateral}]
  variants:
    - {name: ring, lighting: the ring light}
    - {name: rim, lighting: the rim light, exposure: {shutter: 1/2 s}}
  axis_order: ORDER
"""


@pytest.mark.parametrize(
    ("order", "keys", "hands"),
    [
        (
            "[position, view, variant]",
            ["A1-dorsal-ring", "A1-dorsal-rim", "A1-lateral-ring", "A1-lateral-rim"],
            8,
        ),
        (
            "[variant, position, view]",
            ["A1-dorsal-ring", "A1-lateral-ring", "A2-dorsal-ring", "A2-lateral-ring"],
            8,
        ),
    ],
)
def test_views_and_variants_multiply_in_the_order_that_is_asked_for(
    tmp_path: Path, order: str, keys: list[str], hands: int
) -> None:
    work = work_of(tmp_path, SIDES.replace("ORDER", order) + STACK)
    assert [item.key for item in work.tasks][:4] == keys
    assert len(work.tasks) == 8
    item = work["A2-lateral-rim"]
    assert item.protocol["exposure"]["shutter"] == "1/2 s"
    assert item.protocol["exposure"]["iso"] == "100"
    assert item.specimen["orientation"] == "lateral"
    assert item.tail == "-lateral-rim"
    by_hand = load_rig(CONFIGS / "rigs" / "simulated-rail.yaml")
    assert forecast(work, by_hand).by_hand == hands
    assert manual_steps(work["A1-dorsal-ring"], None, by_hand) == (
        "put the specimen of A1 under the lens; turn the specimen to its dorsal view; "
        "light the specimen with: the "
        "ring light"
    )
    assert manual_steps(work["A1-dorsal-rim"], work["A1-dorsal-ring"], by_hand) == (
        "light the specimen with: the rim light"
    )


def test_the_whole_is_the_sum_of_its_stacks(tmp_path: Path, rig: Rig) -> None:
    whole = forecast(work_of(tmp_path, LIST + STACK), rig)
    assert whole.shutter == sum(one.slices for one in whole.stacks)
    assert whole.duration_s == pytest.approx(sum(o.stack_s + o.between_s for o in whole.stacks))
    assert whole.rail_um == pytest.approx(2 * (19_400 + 20_300))
    assert whole.by_hand == 0


def test_a_position_beyond_the_stage_is_refused_before_anything_moves(
    tmp_path: Path, rig: Rig
) -> None:
    work = work_of(tmp_path, LIST.replace("x: 30 mm", "x: 90 mm") + STACK)
    with pytest.raises(PlanError, match="A2: x 90 mm is outside the stage's travel"):
        forecast(work, rig)
    work = work_of(tmp_path, LIST.replace(", x: 10 mm, y: 10 mm", "") + STACK)
    with pytest.raises(PlanError, match="A1: has no 'x' and 'y'"):
        forecast(work, rig)


def test_ranges_that_are_searched_for_are_no_part_of_the_sum(tmp_path: Path, rig: Rig) -> None:
    auto = STACK.replace("range: {near: 20 mm, far: 20.4 mm}\n  step: 60 um", "range: auto")
    whole = forecast(work_of(tmp_path, LIST + auto), rig)
    assert whole.stacks[0].slices == 0
    assert whole.stacks[1].slices > 0


def test_plan_shows_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    demo, tray = CONFIGS / "campaigns" / "demo-tray.yaml", CONFIGS / "rigs" / "simulated-tray.yaml"
    assert main(["plan", str(demo), "--rig", str(tray)]) == 0
    shown = capsys.readouterr().out
    assert "demo-0003" in shown
    assert "6 stacks at 6 positions" in shown
    assert "shutter actuations" in shown
    assert main(["plan", str(demo), "--rig", str(tray), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wear"]["shutter"] == sum(one["slices"] for one in told["stacks"])
