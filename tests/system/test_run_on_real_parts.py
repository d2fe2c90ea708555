"""The main job through its command line: real serial port, real libgphoto2, a world of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from macrorail.config.rig import load_rig
from macrorail.run_folder.events import kind_of
from macrorail.run_folder.journal import read_journal
from macrorail_sims.world import write_truth
from tests.score import psnr_db

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {
    "image_width: 1200": "image_width: 480",
    "image_height: 800": "image_height: 320",
    "pixel_pitch: 4.5 um": "pixel_pitch: 11.25 um",
}


def macrorail(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "macrorail.cli", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def small_rig(name: str, folder: Path) -> Path:
    text = (CONFIGS / "rigs" / f"simulated-{name}.yaml").read_text()
    for large, small in SMALL.items():
        assert large in text
        text = text.replace(large, small)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module", params=["rail", "lens"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a whole demo run at a smaller frame."""
    folder = tmp_path_factory.mktemp(request.param)
    rig = small_rig(request.param, folder)
    done = macrorail(
        "run", CONFIGS / "protocols" / f"demo-{request.param}.yaml", "--rig", rig, folder=folder
    )
    assert done.returncode == 0, done.stderr
    run = folder / done.stdout.strip()
    assert run.is_dir(), "standard output is the run folder and nothing else"
    return run


def manifest_of(run: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return manifest


def test_the_run_folder_holds_what_it_promises(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "protocol.yaml",
        "rig.yaml",
        "plan.json",
        "journal.jsonl",
        "frames",
        "fused.tif",
        "fused.jpg",
        "depth.tif",
        "manifest.json",
    }
    manifest = manifest_of(finished)
    assert (manifest["state"], manifest["finish_reason"]) == ("done", "completed")
    assert manifest["coverage"]["proven"]
    assert manifest["coverage"]["gaps"] == []
    for counted in manifest["slices"]:
        data = (finished / counted["frame"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == counted["sha256"]
        assert counted["sharpness"] > 0
        assert np.shape(counted["transform"]) == (2, 3)
    for counted in manifest["slices"][1:]:
        assert counted["overlap"] >= 0.1
    fused = (finished / "fused.tif").read_bytes()
    assert hashlib.sha256(fused).hexdigest() == manifest["fused"]["sha256"]
    assert kind_of(read_journal(finished / "journal.jsonl")[-1].event) == "ended"


def test_the_fused_picture_beats_the_best_frame_by_6_db(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = load_rig(finished / "rig.yaml")
    write_truth(rig, manifest_of(finished)["slices"][0]["achieved_um"], 5.6, tmp_path)
    truth = cv2.imread(str(tmp_path / "truth.png"))
    fused = psnr_db(cv2.imread(str(finished / "fused.tif"), cv2.IMREAD_UNCHANGED), truth)
    frames = sorted((finished / "frames").glob("*.jpg"))
    best = max(psnr_db(cv2.imread(str(path)), truth) for path in frames)
    with capsys.disabled():
        print(
            f"\n{finished.name}: fused {fused:.2f} dB, best of {len(frames)} frames {best:.2f} dB"
        )
    assert fused >= best + 6


def test_stacking_the_run_again_gives_the_same_pixels(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.tif"
    done = macrorail("stack", finished, "-o", out, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    streamed = cv2.imread(str(finished / "fused.tif"), cv2.IMREAD_UNCHANGED)
    offline = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(streamed, offline)
