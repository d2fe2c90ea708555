"""A stale frame is refused by its bytes or by the time that its EXIF block tells."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from macrorail.devices.interfaces import Exposure
from macrorail.devices.stale_frame import StaleFrameCheck, taken_at
from macrorail.errors import FrameMissing
from macrorail.frame import Frame
from macrorail_sims.bodies.exif import with_exif
from macrorail_sims.bodies.exposure import SimulatedExposure

JPEG = b"\xff\xd8\xff\xdb\x00\x04\x00\x00\xff\xd9"


def photograph(path: Path, taken_s: float, salt: int = 0) -> Frame:
    light = SimulatedExposure(1, taken_s, taken_s + 0.01, 8.0, 100, None, 90)
    data = with_exif(JPEG + bytes([salt]), "D850", "6001234", light)
    path.write_bytes(data)
    return Frame(path, hashlib.sha256(data).hexdigest(), len(data), path.name.upper())


def exposure(started_s: float, ended_s: float) -> Exposure:
    return Exposure(Path("0001"), 1, started_s, ended_s)


def test_frames_of_their_own_exposures_pass(tmp_path: Path) -> None:
    fresh = StaleFrameCheck()
    for number in range(10):
        start_s = 3.0 * number
        frame = photograph(tmp_path / f"{number}.jpg", start_s + 0.04)
        fresh.check(frame, exposure(start_s, start_s + 0.2))


def test_the_same_bytes_twice_are_refused(tmp_path: Path) -> None:
    fresh = StaleFrameCheck()
    frame = photograph(tmp_path / "1.jpg", 0.0)
    fresh.check(frame, exposure(0.0, 0.1))
    with pytest.raises(FrameMissing, match="identical to the previous frame"):
        fresh.check(frame, exposure(3.0, 3.1))


@pytest.mark.parametrize("wrong_s", [-3.0, -1.0, 1.0, 60.0])
def test_a_frame_of_another_time_is_refused(tmp_path: Path, wrong_s: float) -> None:
    fresh = StaleFrameCheck()
    fresh.check(photograph(tmp_path / "1.jpg", 0.0), exposure(0.0, 0.1))
    with pytest.raises(FrameMissing, match="before" if wrong_s < 0 else "after"):
        fresh.check(photograph(tmp_path / "2.jpg", 5.0 + wrong_s), exposure(5.0, 5.1))
    # What was refused is no measure for the next.
    fresh.check(photograph(tmp_path / "3.jpg", 8.0), exposure(8.0, 8.1))


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 20), st.floats(0, 1)), min_size=1))
def test_no_frame_of_its_own_exposure_is_ever_refused(
    tmp_path: Path, cycles: list[tuple[float, float, float]]
) -> None:
    fresh, now_s = StaleFrameCheck(), 100.0
    for salt, (pause_s, lasts_s, share) in enumerate(cycles):
        now_s += pause_s
        frame = photograph(tmp_path / "any.jpg", now_s + share * lasts_s, salt % 256)
        fresh.check(frame, exposure(now_s, now_s + lasts_s))
        now_s += lasts_s


@example(data=b"\xff\n")  # the first bytes of a JPEG XL file, and nothing else
@given(data=st.binary(max_size=200))
def test_rubbish_tells_no_time_and_does_no_harm(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rubbish.jpg"
    for head in (b"", b"\xff\xd8\xff\xe1\x00\x40Exif\0\0", b"II*\0\x08\0\0\0", b"MM\0*"):
        path.write_bytes(head + data)
        assert taken_at(path) is None or taken_at(path)[1] > 0


def test_a_jpeg_without_exif_passes(tmp_path: Path) -> None:
    path = tmp_path / "plain.jpg"
    path.write_bytes(JPEG)
    assert taken_at(path) is None
