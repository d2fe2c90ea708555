"""The driver on a Canon EOS, which tells neither the end of an exposure nor its lens's end stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.errors import CameraSettingRefused, CameraUnsupported
from macrorail_sims.bodies.canon import CanonBody
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip, shoot


@pytest.fixture
def world(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process, maker="canon") as made:
        yield made


def test_one_protocol_sets_a_canon_as_it_sets_a_nikon(
    world: CameraWorld, camera: GphotoCamera
) -> None:
    wanted = {"iso": "400", "shutter": "1/125 s", "aperture": "f/5.6", "white_balance": "daylight"}
    kept = camera.configure(wanted)
    assert kept == {
        "iso": "400",
        "shutter": "1/125",
        "aperture": "5.6",
        "white_balance": "Daylight",
    }
    truth = world.facts()["settings"]
    assert {name: truth[name] for name in kept} == kept
    with pytest.raises(CameraSettingRefused, match="it offers 100, 125"):
        camera.configure({"iso": "123"})


def test_the_axis_may_not_move_before_the_exposure_is_over(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    camera.configure({"shutter": "4"})
    exposure = camera.expose(tmp_path / "0001")
    assert exposure.ended_s - exposure.started_s >= 4.0
    camera.collect(exposure)


def test_the_lens_moves_by_each_size_of_drive(world: CameraWorld, camera: GphotoCamera) -> None:
    assert camera.drive_sizes == 3
    camera.drive_focus(5)  # takes up the play
    for size, steps in CanonBody.drive_steps.items():
        before = world.facts()["glass_steps"]
        camera.drive_focus(4, size)
        assert world.facts()["glass_steps"] == before + 4 * steps
    with pytest.raises(CameraUnsupported, match="3 drive sizes"):
        camera.drive_focus(1, 4)


def test_live_view_shows_what_the_lens_sees(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    camera.preview(tmp_path / "seen.jpg")
    assert (tmp_path / "seen.jpg").read_bytes().startswith(b"\xff\xd8")
    assert world.facts()["exposures"] == 0
    shoot(camera, tmp_path / "0001")
