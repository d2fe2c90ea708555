"""A plan finer than the axis can make is refused; an axis that is coarser than it reports ends the
run with a reason, after few slices more than planned."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.devices.interfaces import AxisReport, FocusAxis
from macrorail.errors import PlanError
from macrorail.planning.plan import errors_with_lines, make_plan
from macrorail.states import FinishReason
from tests.virtual import RAIL, VirtualRun, protocol_text

# Depth of field 108 um: steps of at most 97 um overlap by 10 %.
GRID_UM = 100.0
COARSE = RAIL.replace("travel:", "lead: 2 mm\n  microsteps: 1\n  travel:", 1)


class CoarseAxis:
    """An axis that comes to rest at multiples of ``GRID_UM`` only."""

    def __init__(self, axis: FocusAxis, reported_um: float | None = None) -> None:
        self.axis = axis
        self.reported_um = reported_um
        self.moves = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.axis, name)

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        report = self.axis.open(closest_approach_um)
        resolution_um = self.reported_um or report.resolution_um
        return replace(report, resolution_um=resolution_um)

    def start_move(self, position_um: float) -> None:
        self.moves += 1
        self.axis.start_move(GRID_UM * round(position_um / GRID_UM))


def test_a_step_finer_than_a_microstep_is_refused_with_its_line(tmp_path: Path) -> None:
    """10 um a full step: two slices of a 4 um step would be shot at one position."""
    folder = tmp_path / "run"
    with pytest.raises(PlanError) as caught:
        VirtualRun(folder, COARSE, protocol_text(spacing="step: 4 um"))
    assert "slices 1 and 2 would be 4 µm apart" in str(caught.value)
    assert "smallest step of this axis is 10 µm" in str(caught.value)
    assert "'microsteps'" in str(caught.value) and "'lead'" in str(caught.value)
    assert "steps of 10 µm or more" in str(caught.value)
    wanted = load_document(folder / "protocol.yaml", Protocol)
    with (
        pytest.raises(PlanError, match=re.escape("protocol.yaml:4:")),
        errors_with_lines(folder / "protocol.yaml"),
    ):
        make_plan(wanted, load_rig(folder / "rig.yaml"))


def test_steps_that_the_rail_makes_are_planned(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", COARSE, protocol_text(spacing="step: 10 um"))
    assert len(run.plan.slices) == 81


def test_where_no_step_of_the_axis_overlaps_the_aperture_is_named(tmp_path: Path) -> None:
    """At f/1.4 a step of 10 um is more than the depth of field allows."""
    shallow = protocol_text().replace("f/8", "f/1.4")
    coarse = COARSE.replace("lead: 2 mm", "lead: 8 mm")
    with pytest.raises(PlanError, match="close the aperture"):
        VirtualRun(tmp_path / "run", coarse, shallow)


def test_a_coarse_axis_known_only_when_opened_is_refused_before_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes: list[CoarseAxis] = []

    def wrap(axis: FocusAxis) -> FocusAxis:
        axes.append(CoarseAxis(axis, GRID_UM))
        return axes[0]

    run = VirtualRun(tmp_path / "run", wrap_axis=wrap)
    monkeypatch.setattr(type(run.rig.axis), "resolution_um_at", lambda *_: None)
    end = run.run()
    assert end.reason is FinishReason.DEVICE_FAULT
    assert "smallest step" in end.message and "100 µm" in end.message
    assert axes[0].moves == 0 and run.said("homed") == []


def test_an_axis_coarser_than_it_reports_ends_with_a_reason(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", wrap_axis=CoarseAxis)
    end = run.run()
    assert end.reason is FinishReason.COVERAGE_NOT_PROVEN
    planned, shot = len(run.plan.slices), len(run.said("exposed"))
    assert shot <= 3 * planned + 4, f"{shot} exposures for {planned} slices"
    assert "smallest step 625 nm" in end.message and "close the aperture" in end.message
    assert "plan a smaller step" not in end.message


def test_an_axis_as_coarse_as_it_reports_is_not_asked_for_the_impossible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = VirtualRun(
        tmp_path / "run", wrap_axis=CoarseAxis, protocol=protocol_text(spacing="step: 96 um")
    )
    monkeypatch.setattr(type(run.rig.axis), "resolution_um_at", lambda *_: GRID_UM)
    end = run.run()
    assert end.reason is FinishReason.COVERAGE_NOT_PROVEN
    assert len(run.said("exposed")) == len(run.plan.slices)
    assert "The axis moves in steps of 100 µm" in end.message
