"""The aperture that ``macrorail plan --compare_apertures`` recommends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from macrorail.cli import main
from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig, load_rig
from macrorail.dashboard.plan_preview import preview, protocol_values
from macrorail.errors import PlanError
from macrorail.planning.aperture import compare_apertures, compare_with_best
from tests.virtual import RAIL, protocol_text


def read(tmp_path: Path, rig: str = RAIL, protocol: str | None = None) -> tuple[Protocol, Rig]:
    (tmp_path / "rig.yaml").write_text(rig)
    (tmp_path / "protocol.yaml").write_text(protocol or protocol_text())
    return load_document(tmp_path / "protocol.yaml", Protocol), load_rig(tmp_path / "rig.yaml")


def test_the_advised_stop_is_the_last_before_diffraction_costs_detail(tmp_path: Path) -> None:
    advice = compare_apertures(*read(tmp_path), 2.8, 16.0)
    # At 1:2 the effective f-number is three times the marked one; 2.44 * 0.55 um * 12 / 4.5 um.
    assert advice.best.f_number == 4.0
    assert advice.best.airy_px == pytest.approx(3.58, abs=0.01)
    following = advice.costs[advice.costs.index(advice.best) + 1]
    assert following.airy_px / 2 > 2
    assert "rule of thumb" in advice.reason and "f/8" in advice.reason


def test_closing_down_costs_detail_and_saves_slices(tmp_path: Path) -> None:
    costs = compare_apertures(*read(tmp_path), 2.8, 16.0).costs
    slices = [cost.slices for cost in costs if cost.slices is not None]
    assert slices == sorted(slices, reverse=True)
    details = [cost.detail_um for cost in costs]
    assert details == sorted(details)


def test_high_magnification_is_never_advised_wide_open_or_closed(tmp_path: Path) -> None:
    rig = RAIL.replace("magnification: 2", "magnification: 10")
    advice = compare_apertures(*read(tmp_path, rig, protocol_text("10.2 mm", "10.3 mm")), 2.8, 16.0)
    assert advice.best.f_number == 4.0
    assert "limited by diffraction" in advice.reason


def test_an_objective_has_no_aperture_to_choose(tmp_path: Path) -> None:
    rig = RAIL.replace("optics: {magnification: 2}", "optics: {magnification: 10, na: 28e-2}")
    with pytest.raises(PlanError, match="NA fixes its aperture"):
        compare_apertures(*read(tmp_path, rig), 2.8, 16.0)


def test_the_verb_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path)
    rig, protocol = str(tmp_path / "rig.yaml"), str(tmp_path / "protocol.yaml")
    assert main(["plan", protocol, "--rig", rig, "--advise", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["f_number"] == 4.0
    assert main(["plan", protocol, "--rig", rig, "--advise"]) == 0
    assert "f/5.6" in capsys.readouterr().out


def test_the_page_and_the_command_line_give_the_same_advice(tmp_path: Path) -> None:
    """A large circle of confusion allows blur between slices; it must not hide diffraction."""
    rig_path, protocol_path = tmp_path / "rig.yaml", tmp_path / "protocol.yaml"
    wanted, rig = read(tmp_path, protocol=protocol_text() + "optics: {coc: 30 um}\n")
    values = protocol_values(protocol_path.read_text())
    values["exposure"] = {**values["exposure"], "aperture": "f/16"}
    page = preview(values, load_rig(rig_path), tmp_path)
    assert "f/16: the Airy disc spans" in page["advice"]
    assert page["advice"].endswith("Recommended: f/4.")
    advice = compare_apertures(wanted, rig)
    assert advice.best.f_number == 4.0
    assert page["apertures"] == [
        {"aperture": f"f/{cost.f_number:g}", "slices": cost.slices, "sharp": cost.f_number <= 4}
        for cost in advice.costs
    ]


def test_an_aperture_that_is_sharp_but_wider_than_needed_costs_slices(tmp_path: Path) -> None:
    wanted, rig = read(tmp_path)
    advice = compare_apertures(wanted, rig)
    exposure = wanted.exposure.model_copy(update={"aperture": 2.8})
    open_wide = wanted.model_copy(update={"exposure": exposure})
    assert "f/4 needs fewer slices" in compare_with_best(advice, open_wide, rig)
    chosen = wanted.exposure.model_copy(update={"aperture": 4.0})
    best = wanted.model_copy(update={"exposure": chosen})
    assert compare_with_best(advice, best, rig).startswith("f/4 is a good choice")
