"""A landscape from a metre to infinity: planned, shot by the lens, fused without a gap."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from macrorail.cli import main
from macrorail_sims.landscape import Landscape, LandscapeOptions
from tests.score import psnr_db

CONFIGS = Path(__file__).parents[2] / "configs"
CHANGES = {
    "driver: gphoto": "driver: virtual",
    "driver: simulated": "driver: virtual",
    "image_width: 1200": "image_width: 480",
    "image_height: 800": "image_height: 320",
    "pixel_pitch: 4.5 um": "pixel_pitch: 11.25 um",
}
_ROWS = 20


def detail(picture: np.ndarray) -> np.ndarray:
    """How sharp each band of rows is."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(float)
    rows = np.abs(cv2.Laplacian(grey, cv2.CV_64F)).mean(axis=1)
    bands: np.ndarray = rows.reshape(-1, _ROWS).mean(axis=1)
    return bands


def test_a_landscape_is_fused_without_a_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (CONFIGS / "rigs/simulated-landscape.yaml").read_text()
    for written, wanted in CHANGES.items():
        assert written in text
        text = text.replace(written, wanted)
    rig = tmp_path / "rig.yaml"
    rig.write_text(text)
    protocol = CONFIGS / "protocols/demo-landscape.yaml"
    code = main(["run", str(protocol), "--rig", str(rig), "--out", str(tmp_path / "runs")])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    run = Path(printed.out.strip())
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["coverage"]["proven"] and manifest["coverage"]["gaps"] == []
    options = LandscapeOptions(width_px=480, height_px=320, pixel_pitch_um=11.25)
    truth, _ = Landscape(options).truth(1e6, 8.0)
    fused = cv2.imread(str(run / "fused.jpg"))
    frames = [cv2.imread(str(path)) for path in sorted((run / "frames").glob("*.jpg"))]
    best = max(psnr_db(frame, truth) for frame in frames)
    with capsys.disabled():
        print(f"\nlandscape: fused {psnr_db(fused, truth):.2f} dB, best frame {best:.2f} dB")
    assert psnr_db(fused, truth) >= best + 6
    # Every band of the picture is as sharp as the truth; no single frame is.
    assert (detail(fused) > 0.85 * detail(truth)).all()
    assert all((detail(frame) < 0.6 * detail(truth)).any() for frame in frames)
