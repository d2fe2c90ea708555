"""Verbs that need no instrument work where there is neither gphoto2 nor POSIX, as on Windows."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from macrorail.shipped import CONFIGS
from tests.made_run import make_run

ROOT = Path(__file__).parents[2]
PROTOCOL = CONFIGS / "protocols" / "demo-rail.yaml"
RIG = CONFIGS / "rigs" / "simulated-rail.yaml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with which every interpreter lacks what Windows lacks."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copyfile(ROOT / "tests/data/without_posix.py", folder / "sitecustomize.py")
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return make_run(tmp_path, 3, 120, 80) / "frames"


def macrorail(site: Path, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return python(site, folder, "-m", "macrorail.cli", *arguments)


def python(site: Path, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (site, ROOT / "controller", ROOT / "sims")))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "MACRORAIL_TEST_WITHOUT_POSIX": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_stack(site: Path, photographs: Path, tmp_path: Path) -> None:
    done = macrorail(site, tmp_path, "stack", photographs, "-o", "out.tif", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["peak_rss_mb"] is None
    assert (tmp_path / "out.tif").stat().st_size > 1000


def test_stack_within_little_memory(site: Path, photographs: Path, tmp_path: Path) -> None:
    command = ("stack", photographs, "-o", "out.tif", "--memory")
    done = macrorail(site, tmp_path, *command, "1 MB")
    assert done.returncode in (0, 6) and "bug" not in done.stderr, done.stderr


@pytest.mark.slow
def test_batch_with_its_workers(site: Path, photographs: Path, tmp_path: Path) -> None:
    done = macrorail(site, tmp_path, "batch", photographs, "-o", "out", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("fused.tif"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("plan", PROTOCOL), ("dof", "-m", "2", "-N", "5.6")], ids=lambda given: given[0]
)
def test_what_needs_no_instrument(site: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = macrorail(site, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_from_python(site: Path, photographs: Path, tmp_path: Path) -> None:
    script = (
        f"import macrorail\n"
        f"print(macrorail.stack({str(photographs)!r}).picture.shape)\n"
        f"print(len(macrorail.plan({str(PROTOCOL)!r}, rig={str(RIG)!r}).slices))"
    )
    done = python(site, tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "(80, 120, 3)"


def test_importing_macrorail_loads_next_to_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; before = set(sys.modules); import macrorail; print(set(sys.modules) - before)"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT / 'controller')!r}); {script}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not {"numpy", "cv2", "numba", "pydantic", "typer"} & {*ast.literal_eval(done.stdout)}


@pytest.mark.slow
def test_help_lists_what_works(site: Path, tmp_path: Path) -> None:
    done = macrorail(site, tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    listed = {line.strip("│ ").partition(" ")[0] for line in done.stdout.splitlines()}
    assert {"stack", "batch", "plan", "dof"} <= listed
    assert not {"run", "resume", "serve"} & listed


def test_what_needs_one_is_refused_in_words(site: Path, tmp_path: Path) -> None:
    done = macrorail(site, tmp_path, "run", PROTOCOL)
    assert done.returncode == 2
    assert "macrorail run needs Linux" in done.stderr
    assert not list(tmp_path.iterdir())
