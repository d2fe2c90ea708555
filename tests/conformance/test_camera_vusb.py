"""The driver on a camera that is none of ours: the virtual USB Nikon inside libgphoto2 itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from macrorail.clock import WorldClock
from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.interfaces import Context
from macrorail.errors import FrameMissing
from macrorail.frame import verify_frame
from tests.conformance.cameras import OPTIONS


@pytest.mark.parametrize("port", ["auto", "usb:001,001"])
def test_frames_come_over_usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    card = tmp_path / "card" / "DCIM" / "100NIKON"
    card.mkdir(parents=True)
    cv2.imwrite(str(card / "DSC_0001.jpg"), np.zeros((40, 60, 3), np.uint8))
    (card / "DSC_0001.jpg").rename(card / "DSC_0001.JPG")
    monkeypatch.setenv("VCAMERADIR", str(tmp_path / "card"))
    options = GphotoCamera.Options.model_validate(OPTIONS | {"port": port, "frame_timeout": "9 s"})
    camera = GphotoCamera(options, Context(WorldClock(), log_folder=tmp_path))
    report = camera.open()
    try:
        assert report.abilities >= {"capture", "trigger"}
        assert camera.configure({"capture_target": "Memory card"})
        verify_frame(camera.collect(camera.expose(tmp_path / "0001")))
        # It hands out the same picture for ever, which is just what must not be taken.
        with pytest.raises(FrameMissing, match="identical to the previous frame"):
            camera.collect(camera.expose(tmp_path / "0002"))
    finally:
        camera.close()
