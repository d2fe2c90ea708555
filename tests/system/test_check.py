"""``macrorail check``: asks before it moves, and says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from macrorail.config.rig import load_rig
from macrorail.devices.interfaces import Exposure
from macrorail.errors import FrameError, FrameSizeDiffers
from macrorail.frame import Frame, store_frame
from macrorail.session.check import CheckReport, check_instrument
from macrorail.session.observer import RunObserver
from macrorail_sims import virtual
from macrorail_sims.bodies.base import CameraBody
from macrorail_sims.camera import InProcessCamera
from macrorail_sims.virtual import build_body
from tests.system.test_run_on_real_parts import macrorail, small_rig
from tests.virtual import RAIL


def test_a_fit_instrument_is_called_fit(tmp_path: Path) -> None:
    done = macrorail(
        "check", "--rig", small_rig("rail", tmp_path), "--yes", "--json", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["axis"]["home_um"] == 200.0
    assert found["travel_um"] == [1000.0, 45000.0]
    assert found["camera"]["model"] == "D850"
    assert found["frame"]["size_bytes"] > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["rail.yaml"], "the test frame was kept"


def test_who_says_no_moves_nothing(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    rig = small_rig("rail", tmp_path)
    rig.write_text(rig.read_text() + f"  diary: {diary}\n")
    done = subprocess.run(
        [sys.executable, "-m", "macrorail.cli", "check", "--rig", str(rig)],
        input="n\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 5
    assert "never goes beyond 45 mm" in done.stderr
    assert "nothing has moved" in done.stderr
    assert "home" not in done.stdout
    assert not diary.exists(), "a picture was taken"


def test_a_rig_whose_port_is_not_there_names_it(tmp_path: Path) -> None:
    rig = small_rig("rail", tmp_path)
    text = rig.read_text()
    start = text.index("axis:")
    rig.write_text(text[:start] + text[start:].replace("port: bench", "port: /dev/nowhere", 1))
    done = macrorail("check", "--rig", rig, "--yes", folder=tmp_path)
    assert done.returncode == 3
    assert "/dev/nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def check_virtual(folder: Path) -> CheckReport:
    (folder / "rig.yaml").write_text(RAIL)
    return check_instrument(load_rig(folder / "rig.yaml"), lambda what: None, RunObserver())


def test_an_image_size_that_is_not_the_rigs_is_not_fit_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_virtual(tmp_path).frame_bytes > 0

    def small(*parts: Any) -> CameraBody:
        return replace(build_body(*parts), image_scale=0.5)

    monkeypatch.setattr(virtual, "build_body", small)
    with pytest.raises(FrameSizeDiffers, match="48 x 32 pixels, and the rig says 96 x 64"):
        check_virtual(tmp_path)


def test_frames_that_nothing_can_stack_are_not_fit_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(camera: InProcessCamera, exposure: Exposure) -> Frame:
        data = b"\0\0\0\x18ftypheic" + bytes(100)
        return store_frame(exposure.stem.with_suffix(".hif"), data, "DSC_0001.HIF")

    monkeypatch.setattr(InProcessCamera, "collect", collect)
    with pytest.raises(FrameError, match=r"cannot be stacked: DSC_0001\.HIF.*JPEG or RAW"):
        check_virtual(tmp_path)
