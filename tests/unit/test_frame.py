"""Frames on disk: whole or not there, never overwritten, and altered ones noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from macrorail.errors import FrameError
from macrorail.frame import store_frame, verify_frame

JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


def test_what_is_stored_is_verified(tmp_path: Path) -> None:
    frame = store_frame(tmp_path / "0001.jpg", JPEG, "DSC_0001.JPG")
    verify_frame(frame)
    assert frame.size_bytes == len(JPEG)
    assert [path.name for path in tmp_path.iterdir()] == ["0001.jpg"]


def test_a_frame_is_never_overwritten(tmp_path: Path) -> None:
    store_frame(tmp_path / "0001.jpg", JPEG, "DSC_0001.JPG")
    with pytest.raises(FrameError, match="not overwritten with DSC_0002"):
        store_frame(tmp_path / "0001.jpg", JPEG + b"\0", "DSC_0002.JPG")
    assert (tmp_path / "0001.jpg").read_bytes() == JPEG


def test_an_empty_transfer_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="arrived empty"):
        store_frame(tmp_path / "0001.jpg", b"", "DSC_0001.JPG")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="cannot be written: No such file"):
        store_frame(tmp_path / "gone" / "0001.jpg", JPEG, "DSC_0001.JPG")


def test_a_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    frame = store_frame(tmp_path / "0001.jpg", JPEG, "DSC_0001.JPG")
    data = bytearray(JPEG)
    data[7] ^= 1
    frame.path.write_bytes(data)
    with pytest.raises(FrameError, match="differs from what the camera delivered"):
        verify_frame(frame)


def test_a_missing_frame_is_noticed(tmp_path: Path) -> None:
    frame = store_frame(tmp_path / "0001.jpg", JPEG, "DSC_0001.JPG")
    with pytest.raises(FrameError, match="cannot be read back"):
        verify_frame(replace(frame, path=tmp_path / "0002.jpg"))


@pytest.mark.parametrize("length", range(4, len(JPEG) - 1))
def test_a_transfer_cut_short_is_noticed(tmp_path: Path, length: int) -> None:
    frame = store_frame(tmp_path / "0001.jpg", JPEG[:length], "DSC_0001.JPG")
    with pytest.raises(FrameError, match="without an end"):
        verify_frame(frame)


def test_padding_after_the_end_is_a_cameras_habit(tmp_path: Path) -> None:
    verify_frame(store_frame(tmp_path / "0001.jpg", JPEG + b"\0" * 9, "DSC_0001.JPG"))
