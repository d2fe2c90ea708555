"""What the documentation shows works: the notebook runs from its first cell to its last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_notebook_runs_resumes_and_fuses_a_stack(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(DOCS / "tutorial" / "notebook.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    assert "coverage proven: True" in ran.stdout
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"stopped by SIGINT: {folder.resolve()}" in ran.stdout
    assert (folder / "fused.tif").is_file() and (folder / "manifest.json").is_file()
