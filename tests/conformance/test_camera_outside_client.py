"""Debian's own ``gphoto2`` command line against our bodies: a client that we have no part in."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conformance.cameras import BodyProcess, over_ptpip

pytestmark = pytest.mark.skipif(
    shutil.which("gphoto2") is None, reason="no gphoto2 command here: apt-get install gphoto2"
)

MODELS = {"nikon": "D850", "canon": "Canon EOS 80D"}


@pytest.fixture(params=["nikon", "canon"])
def maker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def address(body_process: BodyProcess, maker: str) -> Iterator[str]:
    with over_ptpip(body_process, maker=maker):
        yield body_process.ask(do="address")["address"]


def gphoto2(address: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["gphoto2", "--camera", "PTP/IP Camera", "--port", address, *arguments],
        cwd=folder,
        # It keeps settings in its home.
        env={**os.environ, "HOME": str(folder), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_finds_out_what_the_camera_is(address: str, maker: str, tmp_path: Path) -> None:
    assert MODELS[maker] in gphoto2(address, tmp_path, "--summary")


def test_it_reads_and_sets_what_our_driver_does(address: str, tmp_path: Path) -> None:
    assert "Current: 100\n" in gphoto2(address, tmp_path, "--get-config", "iso")
    told = gphoto2(address, tmp_path, "--set-config", "iso=400", "--get-config", "iso")
    assert "Current: 400\n" in told


def test_it_takes_a_picture_and_leaves_the_card_empty(
    address: str, body_process: BodyProcess, tmp_path: Path
) -> None:
    gphoto2(
        address,
        tmp_path,
        *("--set-config", "capturetarget=1", "--capture-image-and-download"),
        *("--filename", "taken.jpg"),
    )
    picture = cv2.imdecode(np.fromfile(tmp_path / "taken.jpg", np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (200, 300, 3)
    facts = body_process.ask(do="facts")
    assert facts["exposures"] == 1
    assert facts["card"] == facts["memory"] == []


def test_it_drives_the_lens(
    address: str, maker: str, body_process: BodyProcess, tmp_path: Path
) -> None:
    before = body_process.ask(do="facts")["glass_steps"]
    drive = {"nikon": "manualfocusdrive=200", "canon": "manualfocusdrive=Far 3"}[maker]
    gphoto2(
        address,
        tmp_path,
        *("--set-config", "viewfinder=1", "--wait-event=500ms", "--set-config", drive),
    )
    assert body_process.ask(do="facts")["glass_steps"] > before + 150
