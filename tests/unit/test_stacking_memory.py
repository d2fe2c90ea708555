"""Memory that is limited: what has no room lies in files, and the pixels are the same."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from macrorail.errors import StackError
from macrorail.stacking.blend import Quality
from macrorail.stacking.images import read_picture
from macrorail.stacking.memory import bytes_needed, fits, least_bytes
from macrorail.stacking.smooth import Method
from macrorail.stacking.stacker import Fused, Stacker
from macrorail.stacking.store import Store
from tests.made_stack import make_stack


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quality", "method"),
    [
        ("fast", Method.PYRAMID),
        ("best", Method.PYRAMID),
        ("best", Method.DEPTH_MAP),
        ("fast", Method.AUTO),
    ],
)
def test_a_stack_in_files_has_the_same_pixels(
    quality: Quality, method: Method, tmp_path: Path
) -> None:
    frames = make_stack(count=3, width=301, height=1400).frames
    most = bytes_needed(301, 1400, 8, quality, method is not Method.PYRAMID)
    least = least_bytes(301, 1400, 8)

    def fused(allowed_bytes: float) -> Fused:
        stacker = Stacker(quality, method=method, allowed_bytes=allowed_bytes, scratch=tmp_path)
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
    with pytest.raises(StackError, match=r"11600 x 8700 px and 16 bits need 3\.\d GB"):
        fits(11600, 8700, 16, "best", False, 2e9)
    assert not fits(11600, 8700, 8, "best", True, 2e9)


def test_what_is_foretold_is_no_less_than_what_was_measured_at_100_megapixels() -> None:
    # docs/evidence/benchmarks.md: with --depth, whose maps are in memory while they are written.
    assert least_bytes(12000, 8400, 8) > 1.93e9
    assert least_bytes(12000, 8400, 16) > 3.29e9
    assert not fits(12000, 8400, 8, "best", False, 2e9)


def test_frames_without_room_are_refused_when_the_first_is_looked_at() -> None:
    frame = make_stack(count=1).frames[0]
    with pytest.raises(StackError, match=r"--memory allows 0\.1 GB"):
        Stacker(allowed_bytes=1e8).look_ahead(frame, 0, None)
    with pytest.raises(StackError, match=r"--memory allows 0\.1 GB"):
        Stacker(allowed_bytes=1e8).place(frame)


def test_a_16_bit_tiff_is_in_memory_once_while_it_is_read(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 65535, (1100, 900, 3), np.uint16)
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, rgb, photometric="rgb")
    read_picture(path)  # what is loaded at the first use is not counted
    tracemalloc.start()
    read = read_picture(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(read, rgb[:, :, ::-1])
    assert peak_bytes < 1.4 * rgb.nbytes


def test_a_full_disk_is_told_of_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StackError, match=r"temporary file of 400 MB in .*: No space left"):
        Store(tmp_path).zeros((10_000, 10_000))
