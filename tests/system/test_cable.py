"""A run with the camera on the rail's cable: serial line, firmware, a body, a card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RIG = Path(__file__).parents[2] / "configs" / "rigs" / "simulated-cable.yaml"
SMALL = {
    "image_width: 1200": "image_width: 96",
    "image_height: 800": "image_height: 64",
    "pixel_pitch: 4.5 um": "pixel_pitch: 56 um",
    "frame_timeout: 200 s": "frame_timeout: 1200 s",
    "seed: 7": "seed: 7\n  diary: DIARY",
}
PROTOCOL = """
specimen: {id: on-the-cable}
range: {positions: [20.1 mm, 20.2 mm, 20.3 mm, 20.4 mm, 20.5 mm]}
settle: 0.2 s
exposure: {aperture: f/5.6, shutter: 1/10 s, iso: 100}
optics: {coc: 112 um}
proof: {images: off}
"""


def test_every_press_of_the_board_becomes_the_frame_of_its_slice(tmp_path: Path) -> None:
    text = RIG.read_text()
    for written, wanted in SMALL.items():
        assert written in text, written
        text = text.replace(written, wanted)
    (tmp_path / "rig.yaml").write_text(text.replace("DIARY", str(tmp_path / "diary")))
    (tmp_path / "protocol.yaml").write_text(PROTOCOL)
    done = subprocess.run(
        [sys.executable, "-m", "macrorail.cli", "run", "protocol.yaml", "--rig", "rig.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / done.stdout.strip() / "manifest.json").read_text())
    assert len(manifest["slices"]) == 5
    assert manifest["devices"]["camera"]["model"] == "camera on the rail's cable"
    truth_um = dict(line.split() for line in (tmp_path / "diary").read_text().splitlines())
    # Without a hot shoe three exposures before the first slice show whether the shutter is late.
    checks = 3
    assert len(truth_um) == checks + 5, "one exposure for each slice"
    for number, one in enumerate(manifest["slices"], start=checks + 1):
        assert float(truth_um[str(number)]) == pytest.approx(one["target_um"], abs=1.0)
