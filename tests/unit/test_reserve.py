"""Room on the disk that is held: really taken, given back frame by frame, never left behind."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

import pytest

from macrorail.errors import PlanError
from macrorail.run_folder import reserve
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.reserve import RESERVED, Reserve
from macrorail.running.watches import DiskWatch
from macrorail.session.run import check_disk_space
from tests.made_events import made
from tests.virtual import VirtualRun

MB = 1_000_000


def hold(folder: Path, frames: int = 3) -> Reserve:
    held = Reserve(folder, frames, 2 * MB, 5 * MB, 1 * MB)
    if not held.held_bytes():
        pytest.skip("this file system cannot hold room")
    return held


def tell(held: Reserve, event: str) -> None:
    held.on_entry(Entry(1, 0.0, made(event)))


def blocks(folder: Path) -> int:
    return (folder / RESERVED).stat().st_blocks * 512


def test_the_room_is_taken_and_given_back_as_it_is_needed(tmp_path: Path) -> None:
    with closing(hold(tmp_path)) as held:
        assert held.held_bytes() == 12 * MB <= blocks(tmp_path)
        tell(held, "intent")
        tell(held, "counted")
        assert held.held_bytes() == 10 * MB
        assert blocks(tmp_path) < 11 * MB
        for _ in range(5):  # slices that were inserted or shot again
            tell(held, "intent")
        assert held.held_bytes() == MB, "what is to be kept free is not given to frames"
        tell(held, "coverage")
        assert (tmp_path / RESERVED).stat().st_size == MB
    assert not (tmp_path / RESERVED).exists()


def test_a_resumed_run_holds_what_it_still_needs(tmp_path: Path) -> None:
    hold(tmp_path)  # its controller was killed
    with closing(hold(tmp_path, frames=1)) as held:
        assert held.held_bytes() == 8 * MB
        assert (tmp_path / RESERVED).stat().st_size == 8 * MB


def test_a_disk_without_the_room_is_refused_with_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, size_bytes: int) -> bool:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(reserve, "_hold", full)
    with pytest.raises(PlanError, match=r"cannot reserve the 12 MB .* No space left on device"):
        Reserve(tmp_path, 3, 2 * MB, 5 * MB, 1 * MB)
    assert not (tmp_path / RESERVED).exists()


def test_a_run_that_would_not_fit_is_refused_before_it_has_a_folder(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run")
    check_disk_space(tmp_path / "runs", run.plan, 0.0)
    with pytest.raises(PlanError, match=r"must stay free"):
        check_disk_space(tmp_path / "runs", run.plan, 1e18)
    assert not (tmp_path / "runs").exists()


def test_where_nothing_can_be_held_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "_fallocate", lambda: None)
    held = Reserve(tmp_path, 3, 2 * MB, 5 * MB, 1 * MB)
    assert held.held_bytes() == 0
    tell(held, "intent")
    assert not (tmp_path / RESERVED).exists()


def test_room_that_is_held_for_the_run_does_not_pause_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program has filled the disk meanwhile."""

    class Full:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Full)
    assert "make room" in str(DiskWatch(tmp_path, MB).trouble())
    assert DiskWatch(tmp_path, MB, lambda: MB).trouble() is None
