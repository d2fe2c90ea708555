"""The image for the board: it builds, fits, and comes out the same wherever it is built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("avr-gcc") is None or shutil.which("make") is None,
    reason="needs avr-gcc and make (Debian: apt install gcc-avr avr-libc binutils-avr make)",
)


def build(folder: Path) -> tuple[bytes, str]:
    """Build a copy of the sources in ``folder``; the .hex and what make printed."""
    shutil.copytree(ROOT / "firmware", folder / "firmware", ignore=shutil.ignore_patterns("build"))
    made = subprocess.run(
        ["make", "-s", "-C", str(folder / "firmware"), "avr"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return (folder / "firmware" / "build" / "macrorail.hex").read_bytes(), made.stdout


@pytest.mark.slow
def test_the_image_fits_and_does_not_depend_on_where_it_was_built(tmp_path: Path) -> None:
    first, printed = build(tmp_path / "here")
    second, _ = build(tmp_path / "somewhere_else_entirely")
    assert first == second
    assert first.startswith(b":") and first.rstrip().endswith(b":00000001FF")
    budget = re.search(r"flash (\d+) of 32256 bytes.*RAM (\d+) of 2048 bytes", printed)
    assert budget is not None, printed
    flash, ram = int(budget[1]), int(budget[2])
    assert flash < 16_384, "half of the chip"
    assert ram < 1_400, "the stack needs the rest"
