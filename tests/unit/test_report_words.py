"""``macrorail report``: what happened in a night, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from macrorail.cli import main
from macrorail.run_folder.journal import JOURNAL
from macrorail.running.supervision import RunSupervision
from macrorail_sims.bodies.faults import Action, Fault
from tests.made_run import make_run
from tests.system.test_lost_steps import WantsOneAtATime
from tests.system.test_pauses import Lamp
from tests.virtual import RAIL, VirtualRun, protocol_text

SHORT = protocol_text("10.2 mm", "10.45 mm")


def told(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["report", str(run)]) == 0
    return capsys.readouterr().out


def test_a_rough_night_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lamp = Lamp(run_for_s=1800.0)
    run = VirtualRun(tmp_path / "night", RAIL, SHORT, supervision=RunSupervision(watches=(lamp,)))
    lamp.run = run
    run.bench.body.faults.add(Fault("release", Action.LOSE, after=3))
    run.run()
    words = told(run.folder, capsys)
    planned = len(run.plan.slices)
    assert f"Slices: {planned} done of {planned} planned." in words
    assert f"Exposures: {planned + 1}; retries: 1; faults: 1 (1 x FrameMissing of the" in words
    assert "paused for 30 min" in words
    assert "The run paused: the lamp is out." in words
    assert "while collecting" in words and "drained and the slice was shot again" in words
    assert "The run ended as done (completed)." in words
    assert "resume" not in words


def test_a_run_that_failed_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = VirtualRun(tmp_path / "night", RAIL, SHORT)
    run.bench.body.faults.add(Fault("release", Action.REFUSE, after=3, times=10_000))
    run.run()
    words = told(run.folder, capsys)
    assert "The run ended as failed (device_fault): " in words
    assert f"then continue with: macrorail resume {run.folder}" in words


def test_a_run_that_was_cut_off_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path, finished=False)
    words = told(folder, capsys)
    assert "still running or interrupted" in words
    assert f"Continue with: macrorail resume {folder}" in words


def test_a_run_without_faults_is_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = VirtualRun(tmp_path / "night", RAIL, SHORT)
    run.run()
    words = told(run.folder, capsys)
    assert "No problems." in words
    assert len(words.splitlines()) < 12


def test_programs_get_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path)
    assert main(["report", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == folder.name
    assert (folder / JOURNAL).is_file()


class GaveUp(WantsOneAtATime):
    """An image proof that crashed."""

    def finish(self, check: Any) -> dict[str, Any]:
        return {"proven": None, "reason": "the image proof crashed 2 times"}


def test_a_run_that_is_not_verified_is_not_said_to_be_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = VirtualRun(tmp_path / "night", RAIL, SHORT, proof=GaveUp())
    run.run()
    words = told(run.folder, capsys)
    assert "(not_verified): " in words and "the image proof crashed 2 times" in words
    assert "the images could not confirm that they overlap" in words
    assert "No problems." not in words and "macrorail resume" not in words
    assert "Coverage is not verified by the images: the image proof crashed 2 times." in words
    assert "Coverage is proven" not in words
