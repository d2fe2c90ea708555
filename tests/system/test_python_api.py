"""The Python API: what a script or a notebook gets, and what its own faults do to a run."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import macrorail
from macrorail.cli import main
from macrorail.errors import ConfigError, LimitError, OperatorStop
from macrorail.run_folder.events import SearchSampled, SliceCounted
from macrorail.run_folder.journal import Entry
from macrorail.session.background import start_in_background
from macrorail.states import FinishReason, State
from tests.virtual import RAIL, protocol_text

SMALL = RAIL.replace("image_width: 96", "image_width: 240").replace(
    "image_height: 64", "image_height: 160"
)


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "protocol.yaml"
    path.write_text(protocol_text(far="10.6 mm") + "proof: {extend: 0 %}\n")
    return path


def test_a_plan_has_arrays(rig: Path, protocol: Path) -> None:
    plan = macrorail.plan(protocol, rig=rig)
    assert plan.positions_um.shape == plan.dof_um.shape == plan.overlap.shape
    assert plan.positions_um[0] == pytest.approx(10_200)
    assert plan.positions_um[-1] == pytest.approx(10_600)
    assert np.isnan(plan.overlap[0]) and (plan.overlap[1:] >= 0.299).all()


def test_a_run_in_a_thread_gives_pictures_and_survives_its_callback(
    rig: Path, protocol: Path, tmp_path: Path
) -> None:
    def fails(event: object) -> None:
        raise ValueError("a mistake in the user's own code")

    results: list[macrorail.RunResult] = []

    def shoot() -> None:
        results.append(macrorail.run(protocol, rig=rig, out=tmp_path / "runs", on_event=fails))

    thread = threading.Thread(target=shoot)
    thread.start()
    thread.join(200)
    (result,) = results
    assert (result.state, result.reason) == (State.DONE, FinishReason.COMPLETED)
    assert result.coverage["proven"] is True
    assert result.picture.shape == (160, 240, 3) and result.picture.dtype == np.uint16
    assert result.depth_um.shape == result.confidence.shape == (160, 240)
    assert len(result.frames) == len(result.positions_um) > 3
    assert all(frame.is_file() for frame in result.frames)
    assert result.callback_errors and all(
        isinstance(error, ValueError) for error in result.callback_errors
    )
    assert "on_event failed" in (result.folder / "run.log").read_text()
    # A second run in the same interpreter, and a resume of what is complete.
    again = macrorail.run(protocol, rig=rig, out=tmp_path / "runs")
    assert again.folder != result.folder and len(again.frames) == len(result.frames)
    assert macrorail.resume(again.folder).reason is FinishReason.COMPLETED
    # The same frames give the same pixels, whoever asks for them.
    stacked = macrorail.stack(again.folder)
    assert (stacked.picture == again.picture).all()
    assert main(["stack", str(again.folder), "-o", str(tmp_path / "cli.tif")]) == 0
    by_command = cv2.imread(str(tmp_path / "cli.tif"), cv2.IMREAD_UNCHANGED)
    assert (by_command[..., ::-1] == again.picture).all()
    job = start_in_background(
        "stack",
        folder=str(again.folder),
        output=str(tmp_path / "page.tif"),
        quality="best",
        reference="first",
        motion=None,
    )
    assert job.process.wait(200) == 0, job.error
    job.discard()
    assert (tmp_path / "page.tif").read_bytes() == (tmp_path / "cli.tif").read_bytes()


def test_a_range_is_found_and_an_instrument_checked(rig: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "search.yaml"
    given = protocol_text(far="10.6 mm")
    wanted.write_text(re.sub(r"range: .*", "range: {search: {near: 9 mm, far: 12 mm}}", given))
    events: list[object] = []
    found = macrorail.search(wanted, rig=rig, on_event=events.append)
    assert 9_000 < found.near_um < 10_700 < found.far_um < 12_000
    assert sum(isinstance(event, SearchSampled) for event in events) == found.looks
    (tmp_path / "given.yaml").write_text(given)
    with pytest.raises(ConfigError, match="gives a fixed range"):
        macrorail.search(tmp_path / "given.yaml", rig=rig)

    report = macrorail.check(rig)
    assert report.travel_um == report.axis.travel_um
    assert report.to_dict()["axis"]["home_um"] == report.home_um
    assert report.frame_bytes > 1000
    assert [path.name for path in tmp_path.glob("*.jpg")] == []


def test_ctrl_c_stops_a_run_that_can_be_resumed(rig: Path, protocol: Path, tmp_path: Path) -> None:
    def interrupt(event: Entry) -> None:
        if isinstance(event.event, SliceCounted):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(OperatorStop) as stopped:
        macrorail.run(protocol, rig=rig, out=tmp_path / "runs", on_event=interrupt)
    folder = stopped.value.run_folder
    assert folder is not None and (folder / "journal.jsonl").is_file()
    assert macrorail.resume(folder).reason is FinishReason.COMPLETED


def test_arrays_are_stacked_and_others_refused() -> None:
    rng = np.random.default_rng(5)
    forms = cv2.resize(rng.uniform(40, 200, (5, 7, 3)), (120, 80), interpolation=cv2.INTER_CUBIC)
    sharp = np.clip(forms + rng.normal(0, 20, forms.shape), 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2)
    left, right = sharp.copy(), sharp.copy()
    left[:, 60:], right[:, :60] = blurred[:, 60:], blurred[:, :60]
    stacked = macrorail.stack([left, right], positions_um=[0.0, 40.0], align="none")
    error = np.abs(stacked.picture.astype(float) / 257 - sharp).mean()
    assert error < np.abs(left.astype(float) - sharp).mean() / 2
    assert stacked.depth is not None
    assert stacked.depth[:, :40].mean() < 10 and stacked.depth[:, -40:].mean() > 30
    assert stacked.transforms.shape == (2, 2, 3)
    with pytest.raises(ConfigError, match="uint8 or uint16"):
        macrorail.stack([sharp.astype(float)])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="1 positions were given for 2"):
        macrorail.stack([left, right], positions_um=[0.0])


def test_an_instrument_moves_and_shoots(rig: Path, tmp_path: Path) -> None:
    with macrorail.connect(rig, closest_approach="20 mm") as instrument:
        instrument.axis.home()
        assert instrument.axis.move_to("10.4 mm") == pytest.approx(10_400, abs=1)
        assert instrument.axis.position_um == pytest.approx(10_400, abs=1)
        with pytest.raises(LimitError):
            instrument.axis.move_to("21 mm")
        with pytest.raises(ConfigError, match="unit"):
            instrument.axis.move_to("10.4")
        shot = instrument.camera.shoot()
        assert shot.picture.shape == (160, 240, 3)
        assert instrument.camera.live_view().ndim == 3
