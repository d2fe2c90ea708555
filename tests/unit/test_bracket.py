"""A bracket of exposures per slice: how it is written, shot, merged, interrupted and proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.devices.bracket.camera import BracketingCamera
from macrorail.devices.bracket.merging import fuse_exposures
from macrorail.errors import CameraSettingRefused, ConfigError, FrameError, FrameMissing
from macrorail.exif import settings_in
from macrorail.frame import verify_frame
from macrorail.planning.plan import make_plan
from macrorail.run_folder.events import BracketExposed, Event, values_of
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.manifest import build_manifest
from macrorail.running.proof_settings import proof_settings
from macrorail.states import FinishReason
from macrorail_sims.bodies.faults import Action, Fault
from tests.made_events import made
from tests.virtual import RAIL, VirtualRun, protocol_text

BRACKET = "[-2 EV, 0 EV, +2 EV]"
EV = (-2.0, 0.0, 2.0)


def protocol_with(bracket: str = BRACKET, far: str = "10.4 mm") -> str:
    text = protocol_text(near="10.2 mm", far=far)
    return text.replace("shutter: 1/60 s,", f"shutter: 1/60 s, bracket: {bracket},")


@dataclass
class Bracketed:
    """A virtual run whose camera brackets."""

    folder: Path
    shutter: str = "1/60 s"
    ev: tuple[float, ...] = EV
    notes: list[dict[str, Any]] = field(default_factory=list)
    camera: Any = None

    def __post_init__(self) -> None:
        self.run = VirtualRun(self.folder, RAIL, protocol_with(), wrap_camera=self._around)

    def _around(self, camera: Any) -> Any:
        self.camera = BracketingCamera(
            camera,
            self.ev,
            self.shutter,
            self.folder / "exposures",
            camera._clock,
            lambda event: self.notes.append(values_of(event)),
        )
        return self.camera

    def names(self) -> set[str]:
        return {path.name for path in (self.folder / "exposures").iterdir()}


def shoot(made: Bracketed, number: int) -> Any:
    return made.camera.collect(made.camera.expose(made.folder / f"{number:04d}"))


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    made = Bracketed(tmp_path)
    made.run.axis.open()
    made.run.axis.home()
    made.camera.open()
    made.camera.configure({"shutter": "1/60 s", "iso": "100"})
    yield made
    made.camera.close()
    made.run.axis.close()


# How it is written.


def loaded(text: str, folder: Path) -> Protocol:
    (folder / "protocol.yaml").write_text(text)
    return load_document(folder / "protocol.yaml", Protocol)


@pytest.mark.slow
def test_a_protocol_says_exposure_values_and_the_plan_counts_them(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path, RAIL, protocol_with())
    exposure = run.wanted.exposure
    assert exposure.bracket_ev == EV
    assert exposure.exposures_s == pytest.approx((1 / 240, 1 / 60, 1 / 15))
    single = make_plan(loaded(protocol_text(near="10.2 mm", far="10.4 mm"), tmp_path), run.rig)
    slices = len(single.slices)
    longer_s = run.plan.duration_s - single.duration_s
    # Three exposures in place of one, and two more downloads of 0.1 s each.
    assert longer_s == pytest.approx(slices * (1 / 240 + 1 / 15 + 0.2), rel=0.01)
    assert run.plan.size_bytes - single.size_bytes == slices * 3 * 8_000


@pytest.mark.parametrize(
    ("bracket", "told"),
    [
        ("[-2, 0, 2]", "write '-2' followed by EV"),
        ("[0 EV]", "2 to 9 different"),
        ("[0 EV, 0 EV]", "different"),
        ("[-2 EV, 9 EV]", r"from -6 EV to \+6 EV"),
    ],
)
def test_what_is_no_bracket_is_refused(tmp_path: Path, bracket: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded(protocol_with(bracket), tmp_path)


# How it is shot.


@pytest.mark.slow
def test_every_slice_has_one_frame_and_its_exposures_beside_it(opened: Bracketed) -> None:
    frame = shoot(opened, 1)
    verify_frame(frame)
    assert frame.path == opened.folder / "0001.jpg"
    assert opened.names() == {"0001_-2EV.jpg", "0001_0EV.jpg", "0001_+2EV.jpg"}
    shutters = [settings_in(opened.folder / note["exposure"])["shutter"] for note in opened.notes]
    # The menu's 1/250 s stands for 1/240 s.
    assert shutters == pytest.approx([1 / 250, 1 / 60, 1 / 15], rel=0.01)
    assert [note["ev"] for note in opened.notes] == list(EV)
    assert settings_in(frame.path)["shutter"] == pytest.approx(1 / 60, rel=0.01)
    assert opened.run.bench.body.exposures == 3


@pytest.mark.slow
def test_a_bracket_that_fails_is_shot_again_as_a_whole(opened: Bracketed) -> None:
    opened.run.bench.body.faults.add(Fault("release", Action.LOSE, after=1))
    with pytest.raises(FrameMissing):
        shoot(opened, 1)
    opened.camera.drain()
    shoot(opened, 1)
    assert opened.names() == {
        "0001_-2EV.jpg", "0001_0EV.jpg", "0001_+2EV.jpg", "rejected-0001_-2EV-1.jpg",
    }  # fmt: skip
    assert opened.run.bench.body.exposures == 5


def test_a_body_without_the_time_is_refused_before_anything_is_shot(tmp_path: Path) -> None:
    made = Bracketed(tmp_path, ev=(-6.0, -7.0))
    made.run.axis.open()
    made.camera.open()
    with pytest.raises(CameraSettingRefused, match=r"-7 EV needs a shutter time of 0\.13 ms"):
        made.camera.configure({"shutter": "1/60 s"})
    assert made.run.bench.body.exposures == 0
    made.camera.close()
    made.run.axis.close()


def test_a_spoilt_file_is_told_when_the_frame_is_asked_for(opened: Bracketed) -> None:
    stem = opened.folder / "0001"
    collect = opened.camera._camera.collect

    def cut_short(exposure: Any) -> Any:
        frame = collect(exposure)
        frame.path.write_bytes(frame.path.read_bytes()[:-50])
        return frame

    opened.camera._camera.collect = cut_short
    exposure = opened.camera.expose(stem)
    with pytest.raises(FrameError, match="differs"):
        opened.camera.collect(exposure)
    assert not stem.with_suffix(".jpg").exists()


# A run of it.


@pytest.mark.slow
def test_a_run_that_is_stopped_in_a_bracket_is_resumed_without_losing_a_slice(
    tmp_path: Path,
) -> None:
    made = Bracketed(tmp_path)
    run, body = made.run, made.run.bench.body

    stopped: list[float] = []

    def stop_in_the_middle(now_s: float) -> None:
        if body.exposures == 5 and not stopped:
            stopped.append(now_s)
            run.clock.request_stop("Ctrl-C")

    run.bench.clock.attach(stop_in_the_middle)
    end = run.run()
    assert end.reason is FinishReason.STOPPED_BY_OPERATOR, end
    assert len(run.said("counted")) == 1, "the bracket of the second slice was never whole"
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end
    counted = [fields["slice"] for fields in run.said("counted")]
    assert sorted(counted) == list(range(1, len(run.plan.slices) + 1))
    assert {"rejected-0002_-2EV-1.jpg"} <= made.names()
    for number in counted:
        assert len([name for name in made.names() if name.startswith(f"{number:04d}_")]) == 3


def test_the_manifest_names_the_exposures_of_the_try_that_counted(tmp_path: Path) -> None:
    def shot(attempt: int) -> list[Event]:
        exposure = BracketExposed(
            stem="0001", ev=0.0, frame="e", sha256=f"{attempt}", size_bytes=1, camera_name="A"
        )
        return [made("intent", slice=1, attempt=attempt), exposure]

    happened = [*shot(1), *shot(2), made("counted", slice=1, attempt=2)]
    entries = [Entry(number, 0.0, event) for number, event in enumerate(happened, 1)]
    (one,) = build_manifest(entries)["slices"]
    assert one["exposures"] == [{"ev": 0.0, "frame": "e", "sha256": "2"}]


# What the merge is worth.


def test_what_is_burnt_in_one_and_drowned_in_another_shows_in_the_merged() -> None:
    stripes = np.tile(np.sin(np.arange(256) / 3.0) * 0.3 + 1.0, (256, 1))
    light = np.where(np.arange(256)[:, np.newaxis] < 128, 0.01, 2.0) * stripes

    def exposed(times: float) -> Any:
        linear = np.clip(light * times, 0, 1)
        return np.repeat(np.rint(255 * linear ** (1 / 2.2))[..., np.newaxis], 3, 2).astype(np.uint8)

    pictures = [exposed(0.25 * 4**step) for step in range(3)]

    def least_contrast(picture: Any) -> float:
        halves = picture[20:108, 20:-20, 1], picture[148:236, 20:-20, 1]
        return min(float(half.std()) for half in halves)

    fused = fuse_exposures(pictures)
    assert fused.shape == (256, 256, 3) and fused.dtype == np.uint8
    assert least_contrast(fused) > 1.5 * max(least_contrast(one) for one in pictures)


@pytest.mark.parametrize(
    ("bracket", "proof", "does"),
    [
        (True, "", "fuse"),
        (True, "proof: {faults: {exposure: reshoot}}", "reshoot"),
        (False, "", "reshoot"),
    ],
)
def test_a_merged_picture_that_is_brighter_is_no_reason_to_shoot_it_again(
    tmp_path: Path, bracket: bool, proof: str, does: str
) -> None:
    text = protocol_with() if bracket else protocol_text(near="10.2 mm", far="10.4 mm")
    run = VirtualRun(tmp_path, RAIL, f"{text}\n{proof}\n")
    assert proof_settings(run.plan, run.wanted, run.rig).policy["exposure"] == does
