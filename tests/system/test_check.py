"""``macrorail check``: asks before it moves, and says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.test_run_on_real_parts import macrorail, small_rig


def test_a_fit_instrument_is_called_fit(tmp_path: Path) -> None:
    done = macrorail(
        "check", "--rig", small_rig("rail", tmp_path), "--yes", "--json", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["axis"]["home_um"] == 200.0
    assert found["travel_um"] == [1000.0, 45000.0]
    assert found["camera"]["model"] == "D850"
    assert found["frame"]["size_bytes"] > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["rail.yaml"], "the test frame was kept"


def test_who_says_no_moves_nothing(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    rig = small_rig("rail", tmp_path)
    rig.write_text(rig.read_text() + f"  diary: {diary}\n")
    done = subprocess.run(
        [sys.executable, "-m", "macrorail.cli", "check", "--rig", str(rig)],
        input="n\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 5
    assert "never goes beyond 45 mm" in done.stderr
    assert "nothing has moved" in done.stderr
    assert "home" not in done.stdout
    assert not diary.exists(), "a picture was taken"


def test_a_rig_whose_port_is_not_there_names_it(tmp_path: Path) -> None:
    rig = small_rig("rail", tmp_path)
    text = rig.read_text()
    start = text.index("axis:")
    rig.write_text(text[:start] + text[start:].replace("port: bench", "port: /dev/nowhere", 1))
    done = macrorail("check", "--rig", rig, "--yes", folder=tmp_path)
    assert done.returncode == 3
    assert "/dev/nowhere" in done.stderr
    assert "Traceback" not in done.stderr
