"""The safe order: nothing moves across the lens while the focus axis is near, whatever fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from macrorail.campaign.executor import CampaignExecutor
from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.campaign.progress import CampaignProgress
from macrorail.campaign.runner import Skipped
from macrorail.config.rig import Rig, load_rig
from macrorail.config.stage import StagePosition
from macrorail.devices.connect import Instrument
from macrorail.errors import DeviceError, DeviceLost, OperatorStop, RailAlarm
from macrorail.session.observer import RunObserver
from macrorail.session.systemd import SystemdNotifier
from macrorail_sims.clock import VirtualClock

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass
class Bench:
    """Devices that write down what was asked of them, and fail as told."""

    did: list[str] = field(default_factory=list)
    fails: dict[str, list[Exception]] = field(default_factory=dict)
    shares_camera: bool = False
    turns = True

    def does(self, what: str) -> None:
        self.did.append(what)
        waiting = self.fails.get(what, [])
        if waiting:
            raise waiting.pop(0)

    def axis(self) -> Any:
        return SimpleNamespace(
            shares_camera=self.shares_camera,
            open=lambda: self.does("axis open"),
            home=lambda: self.does("axis home") or 200.0,
            close=lambda: self.does("axis close"),
        )

    def stage(self) -> Any:
        def move(there: StagePosition) -> StagePosition:
            self.does("stage move")
            return there

        return SimpleNamespace(
            open=lambda: self.does("stage open") or "a stage",
            home=lambda: self.does("stage home"),
            move=move,
            close=lambda: self.does("stage close"),
        )

    def desk(self) -> Any:
        return SimpleNamespace(
            at_work_on=lambda key: None,
            ask=lambda question: self.does("ask"),
            refuse_if_skipped=lambda: self.does("skipped?"),
        )


def item(place: str, x_um: float, **more: str) -> StackTask:
    told = {"view": "", "variant": "", "lighting": "", "switch": "", **more}
    return StackTask(place, place, {"id": place}, StagePosition(x_um, 1e4), protocol={}, **told)


def executor_on(bench: Bench, folder: Path, with_stage: bool = True) -> CampaignExecutor:
    rig: Rig = load_rig(CONFIGS / "rigs" / f"simulated-{'tray' if with_stage else 'rail'}.yaml")
    instrument = Instrument(
        VirtualClock(), cast(Any, None), bench.axis(), None, bench.stage() if with_stage else None
    )
    return CampaignExecutor(
        folder=folder,
        campaign=CampaignPlan("tray", (), 0.0, 1, 3),
        progress=CampaignProgress({}),
        rig=rig,
        instrument=instrument,
        prompts=bench.desk(),
        log_event=lambda event: None,
        systemd=SystemdNotifier(),
        observer=RunObserver(),
    )


RETRACT = ["axis open", "axis home", "axis close"]


def test_the_axis_is_homed_before_every_move_of_the_stage(tmp_path: Path) -> None:
    bench = Bench()
    executor = executor_on(bench, tmp_path)
    executor.bring(item("A1", 1e4), None)
    assert bench.did == [*RETRACT, "stage open", "stage home", "stage move"]
    bench.did.clear()
    executor.bring(item("A2", 2e4), item("A1", 1e4))
    assert bench.did == [*RETRACT, "stage move"]
    bench.did.clear()
    # Another light at the same place moves nothing.
    executor.bring(item("A2", 2e4, variant="rim"), item("A2", 2e4))
    assert bench.did == []


def test_an_axis_that_cannot_be_homed_keeps_the_stage_where_it_is(tmp_path: Path) -> None:
    bench = Bench(fails={"axis home": [DeviceError("jammed")] * 9})
    with pytest.raises(DeviceError, match="jammed"):
        executor_on(bench, tmp_path).bring(item("A1", 1e4), None)
    assert "stage move" not in bench.did
    assert bench.did.count("axis home") == 3
    assert bench.did[-1] == "axis close"


def test_a_stage_that_stopped_is_homed_anew_before_it_moves_again(tmp_path: Path) -> None:
    bench = Bench(fails={"stage move": [RailAlarm("grbl_1", "a limit switch was pressed")]})
    executor_on(bench, tmp_path).bring(item("A1", 1e4), None)
    started = ["stage open", "stage home", "stage move"]
    assert bench.did == [*RETRACT, *started, "stage close", *started]


def test_a_stage_that_is_gone_ends_the_campaign(tmp_path: Path) -> None:
    bench = Bench(fails={"stage open": [DeviceLost("unplugged")] * 9})
    with pytest.raises(DeviceLost):
        executor_on(bench, tmp_path).bring(item("A1", 1e4), None)
    assert bench.did.count("stage open") == 3


def test_a_stop_on_the_way_leaves_the_stage_closed_and_in_doubt(tmp_path: Path) -> None:
    bench = Bench(fails={"stage move": [OperatorStop("q")]})
    executor = executor_on(bench, tmp_path)
    with pytest.raises(OperatorStop):
        executor.bring(item("A1", 1e4), None)
    assert bench.did[-2:] == ["stage close", "skipped?"]
    bench.did.clear()
    executor.bring(item("A1", 1e4), None)
    assert bench.did == [*RETRACT, "stage open", "stage home", "stage move"]


def test_a_hand_is_asked_only_after_the_axis_is_out_of_its_way(tmp_path: Path) -> None:
    bench = Bench()
    executor = executor_on(bench, tmp_path, with_stage=False)
    executor.bring(item("A1", 1e4), None)
    assert bench.did == [*RETRACT, "ask"]
    bench.did.clear()
    executor.bring(item("A1", 1e4, lighting="rim light"), item("A1", 1e4))
    assert bench.did == ["ask"]


def test_a_lens_has_nothing_to_retract(tmp_path: Path) -> None:
    bench = Bench(shares_camera=True)
    executor_on(bench, tmp_path).bring(item("A1", 1e4), None)
    assert "axis home" not in bench.did


@pytest.mark.parametrize(("command", "said"), [("exit 3", "ended with 3"), ("true", "")])
def test_a_light_that_does_not_switch_stops(tmp_path: Path, command: str, said: str) -> None:
    executor = executor_on(Bench(), tmp_path)
    if not said:
        executor.bring(item("A1", 1e4, switch=command), None)
        return
    with pytest.raises(DeviceError, match=said):
        executor.bring(item("A1", 1e4, switch=command), None)


def test_a_skip_is_told_from_a_stop(tmp_path: Path) -> None:
    bench = Bench(
        fails={"axis home": [OperatorStop("put off")], "skipped?": [Skipped("put off")]},
    )
    with pytest.raises(Skipped):
        executor_on(bench, tmp_path).bring(item("A1", 1e4), None)
