"""A short campaign of faults over the real libgphoto2; a long one is a command away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies.camera_nights import campaign


@pytest.mark.parametrize("body", ["nikon", "canon"])
def test_every_slice_counts_once_whatever_the_camera_does(tmp_path: Path, body: str) -> None:
    night = campaign(frames=20, every=4, seed=3, folder=tmp_path, body=body)
    assert night.wrong == []
    assert night.counted == 20 and night.faults.total() >= 3
