"""``macrorail calibrate lens`` against the simulated lens, whose truth it never sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from macrorail.cli import main
from macrorail.config.lens_file import load_lens_file
from macrorail_sims.bodies.canon import CanonBody
from macrorail_sims.bodies.lens import SimulatedLens

CONFIGS = Path(__file__).parents[2] / "configs"
CHANGES = {
    "driver: gphoto": "driver: virtual",
    "driver: simulated": "driver: virtual",
    "image_width: 1200": "image_width: 480",
    "image_height: 800": "image_height: 320",
    "pixel_pitch: 4.5 um": "pixel_pitch: 11.25 um",
    "pitch: 60 um": "pitch: 120 um",
}
EOS_CHANGES = {"seed: 7": "seed: 7\n  body: canon", "time_scale: 20": "time_scale: 60"}
TARGET = ("--pitch", "120um", "--tilt", "72deg")
EXPOSED = ("--aperture", "f/2.8", "--shutter", "1/40", "--iso", "100")


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    text = (CONFIGS / "rigs/simulated-target.yaml").read_text()
    for written, wanted in CHANGES.items():
        assert written in text
        text = text.replace(written, wanted)
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    return path


def calibrate(rig: Path, *arguments: str) -> int:
    out = rig.with_name("found.yaml")
    return main(
        ["calibrate", "lens", "--rig", str(rig), *EXPOSED, "--yes", "-o", str(out), *arguments]
    )


def true_planes_um(steps: np.ndarray) -> np.ndarray:
    return SimulatedLens.linear_um * steps + SimulatedLens.square_um * steps**2


def test_the_hidden_lens_is_recovered(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(rig, *TARGET, "--every", "400", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    found = load_lens_file(rig.with_name("found.yaml"))
    steps = np.array([row.at_steps for row in found.table], float)
    planes_um = np.array([row.plane_um for row in found.table])
    truth_um = true_planes_um(steps)
    assert len(steps) == 11
    step_errors = np.diff(planes_um) / np.diff(truth_um) - 1
    assert np.abs(step_errors).max() < 0.03
    shrinking = 1 - np.array([row.scale for row in found.table])[1:]
    truth = 1 - 1 / (1 + truth_um[1:] / SimulatedLens.breathing_distance_um)
    assert np.abs(shrinking / truth - 1).max() < 0.03
    assert said["slack_steps"] == pytest.approx(SimulatedLens.slack_steps, abs=1.0)
    assert abs(found.slack_steps - SimulatedLens.slack_steps) <= 1
    assert found.repeatability_um is not None and found.repeatability_um < 20
    with capsys.disabled():
        print(
            f"\nsteps within {100 * np.abs(step_errors).max():.2f} %, breathing within "
            f"{100 * np.abs(shrinking / truth - 1).max():.2f} %, play {said['slack_steps']:.2f} "
            f"of {SimulatedLens.slack_steps} steps"
        )


def test_a_target_that_is_not_sharp_at_the_near_stop_is_refused(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.write_text(rig.read_text().replace("near: -1 mm", "near: 6 mm"))
    assert calibrate(rig, *TARGET) == 3
    assert "near stop" in capsys.readouterr().err
    assert not rig.with_name("found.yaml").exists()


def test_a_lens_file_is_never_overwritten(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig.with_name("found.yaml").write_text("mine")
    assert calibrate(rig, *TARGET) == 2
    assert rig.with_name("found.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (("--pitch", "120", "--tilt", "72deg"), "--pitch needs a unit"),
        (("--pitch", "120um", "--tilt", "72"), "--tilt needs a unit"),
    ],
)
def test_a_number_without_its_unit_is_refused(
    rig: Path, capsys: pytest.CaptureFixture[str], target: tuple[str, ...], says: str
) -> None:
    assert calibrate(rig, *target) == 2
    assert says in capsys.readouterr().err


def test_what_is_no_angle_to_lean_by_is_refused(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(rig, "--pitch", "120um", "--tilt", "90deg") == 2
    assert "between 0 deg and 90" in capsys.readouterr().err


def test_live_view_measures_too_and_spares_the_shutter(rig: Path) -> None:
    assert calibrate(rig, *TARGET, "--every", "500", "--last", "3000", "--live-view") == 0
    found = load_lens_file(rig.with_name("found.yaml"))
    steps = np.array([row.at_steps for row in found.table], float)
    planes_um = np.array([row.plane_um for row in found.table])
    assert np.abs(np.diff(planes_um) / np.diff(true_planes_um(steps)) - 1).max() < 0.03


def test_a_lens_behind_sizes_of_drive_and_a_silent_stop_is_recovered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Canon EOS over the real library tells neither its stop nor what its drives are worth."""
    text = (CONFIGS / "rigs/simulated-target.yaml").read_text()
    for written, wanted in [*list(CHANGES.items())[2:], *EOS_CHANGES.items()]:
        assert written in text
        text = text.replace(written, wanted)
    rig = tmp_path / "rig.yaml"
    rig.write_text(text)
    arguments = (*TARGET, "--every", "40", "--last", "160", "--live-view", "--json")
    assert calibrate(rig, *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    found = load_lens_file(rig.with_name("found.yaml"))
    assert found.end_stop == "silent"
    smallest, *larger = CanonBody.drive_steps.values()
    for size, steps in zip(found.larger_drives, larger, strict=True):
        assert size == pytest.approx(steps / smallest, rel=0.03)
    steps = np.array([row.at_steps for row in found.table], float)
    truth_um = true_planes_um(smallest * steps)
    step_errors = np.diff([row.plane_um for row in found.table]) / np.diff(truth_um) - 1
    assert np.abs(step_errors).max() < 0.03
    shrinking = 1 - np.array([row.scale for row in found.table])[1:]
    truth = 1 - 1 / (1 + truth_um[1:] / SimulatedLens.breathing_distance_um)
    assert np.abs(shrinking / truth - 1).max() < 0.03
    assert said["slack_steps"] == pytest.approx(SimulatedLens.slack_steps / smallest, abs=0.5)
    with capsys.disabled():
        print(
            f"\nEOS: drives {said['larger_drives']}, steps within "
            f"{100 * np.abs(step_errors).max():.2f} %, breathing within "
            f"{100 * np.abs(shrinking / truth - 1).max():.2f} %, play {said['slack_steps']:.2f}"
        )
