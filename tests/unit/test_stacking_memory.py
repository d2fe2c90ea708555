"""Memory that is limited: what has no room lies in files, and the pixels are the same."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from controller.errors import StackError
from controller.stacking.blend import Quality
from controller.stacking.memory import bytes_needed, fits, least_bytes
from controller.stacking.stacker import Fused, Stacker
from controller.stacking.store import Store
from tests.made_stack import make_stack


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_a_stack_in_files_has_the_same_pixels(quality: Quality, tmp_path: Path) -> None:
    frames = make_stack(count=3, width=301, height=1400).frames
    most, least = bytes_needed(301, 1400, 8, quality), least_bytes(301, 1400, 8)

    def fused(allowed_bytes: float) -> Fused:
        stacker = Stacker(quality, allowed_bytes=allowed_bytes, scratch=tmp_path)
        for frame in frames:
            stacker.add(frame)
        return stacker.finish()

    inside, outside = fused(most), fused((most + least) / 2)
    assert np.array_equal(inside.image, outside.image)
    assert np.array_equal(inside.depth, outside.depth)
    assert np.array_equal(inside.confidence, outside.confidence)
    assert not list(tmp_path.iterdir())


def test_what_has_no_room_even_so_is_refused_with_a_way_out() -> None:
    assert fits(6000, 4000, 8, "best", False, 1.5e9)
    assert not fits(11600, 8700, 8, "best", False, 2e9)
    with pytest.raises(StackError, match=r"11600 x 8700 px and 16 bits need 4\.\d GB"):
        fits(11600, 8700, 16, "best", False, 2e9)
    with pytest.raises(StackError, match="--method pyramid needs 1"):
        fits(11600, 8700, 8, "best", True, 2e9)


def test_a_full_disk_is_told_of_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StackError, match=r"no temporary file of 400 MB: No space left"):
        Store(tmp_path).zeros((10_000, 10_000))
