"""A verb whose optional library is missing says which extra installs it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from macrorail.cli import main
from macrorail.clock import WorldClock
from macrorail.config.rig import load_rig
from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.interfaces import Context
from macrorail.errors import ConfigError, ConnectError
from macrorail.extras import needs_extra
from macrorail.identity.labels import read_labels
from macrorail.session.notifications import Notifier
from macrorail.shipped import CONFIGS
from tests.made_run import make_run

ROOT = Path(__file__).parents[2]
#: What each optional library is imported by when a module of ours is loaded.
LOADED_BY = {
    "fastapi": "macrorail.dashboard",
    "uvicorn": "macrorail.dashboard",
    "psd_tools": "macrorail.results.export.psd",
    "trimesh": "macrorail.results.export.mesh",
}
Hide = Callable[[str], None]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    def hide_library(library: str) -> None:
        for name in [*sys.modules, library]:
            if name == library or name.startswith(f"{library}."):
                monkeypatch.setitem(sys.modules, name, None)
        ours = LOADED_BY.get(library, "-")
        for name in [one for one in sys.modules if one == ours or one.startswith(f"{ours}.")]:
            monkeypatch.delitem(sys.modules, name)
            parent, _, attribute = name.rpartition(".")
            monkeypatch.delattr(f"{parent}.{attribute}", raising=False)

    return hide_library


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"), 2, 120, 80)


@pytest.mark.parametrize(
    ("library", "extra", "exit_code", "arguments"),
    [
        ("fastapi", "dashboard", 2, ["serve"]),
        ("uvicorn", "dashboard", 2, ["serve"]),
        ("distributed", "cluster", 2, ["batch", "{run}", "--scheduler", "tcp://127.0.0.1:9"]),
        ("rawpy", "raw", 6, ["stack", "{raw}", "-o", "out.tif"]),
        ("bagit", "delivery", 2, ["deliver", "{run}", "-o", "{raw}/../delivered"]),
        ("rocrate", "delivery", 2, ["deliver", "{run}", "-o", "{raw}/../delivered"]),
        ("psd_tools", "export", 2, ["export", "{run}", "--as", "psd"]),
        ("trimesh", "export", 2, ["export", "{run}", "--as", "glb"]),
    ],
)
def test_a_verb_names_the_command_that_installs_what_it_lacks(
    library: str,
    extra: str,
    exit_code: int,
    arguments: list[str],
    hide: Hide,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for number in (1, 2):
        (photographs / f"{number}.nef").write_bytes(b"raw")
    hide(library)
    given = [one.format(run=run_folder, raw=photographs) for one in arguments]
    assert main(given) == exit_code
    said = capsys.readouterr().err
    assert library in said and f"pip install 'macrorail[{extra}]'" in said


def test_a_batch_names_it_for_each_stack_it_cannot_make(
    hide: Hide, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.nef").write_bytes(b"raw")
    hide("rawpy")
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out")]) == 6
    assert "pip install 'macrorail[raw]'" in capsys.readouterr().err


def test_labels_and_notifications_name_it(hide: Hide, run_folder: Path) -> None:
    hide("zxingcpp")
    with pytest.raises(ConfigError, match=r"reading labels .* 'macrorail\[codes\]'"):
        read_labels(np.zeros((8, 8), np.uint8))
    hide("apprise")
    with pytest.raises(ConfigError, match=r"notify.* 'macrorail\[notify\]'"):
        Notifier(run_folder, ["json://localhost"])


def test_the_camera_driver_names_its_library(hide: Hide) -> None:
    rig = load_rig(CONFIGS / "rigs" / "simulated-rail.yaml")
    assert isinstance(rig.camera, GphotoCamera.Options)
    camera = GphotoCamera(rig.camera, Context(WorldClock()))
    hide("gphoto2")
    with pytest.raises(ConnectError, match="pip install gphoto2"):
        camera.open()


def test_a_bug_of_ours_is_not_called_a_missing_library() -> None:
    with pytest.raises(ImportError), needs_extra("raw", "reading"):
        import macrorail.no_such_module  # noqa: F401


def test_the_extra_all_has_every_extra_for_users() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"all", "docs", "test", "hil"}
    assert project["optional-dependencies"]["all"] == [f"macrorail[{','.join(sorted(extras))}]"]
