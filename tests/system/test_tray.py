"""Campaigns through their command line: real serial lines, real libgphoto2, real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from macrorail.cli import main
from macrorail.results.verify import verify
from macrorail.run_folder.events import kind_of
from macrorail.run_folder.journal import read_journal
from macrorail.run_folder.record import read_record
from macrorail.run_folder.run_socket import ask_run
from tests.studies.kills import write_job
from tests.studies.tray import campaign

_BY_HAND = """
campaign:
  id: drawer
  stage_positions: {list: [{name: pin-1}]}
  identity: {from: scanner, list: specimens.csv}
  variants:
    - {name: ring, lighting: the ring light}
    - {name: rim, switch: echo on > rim-light, exposure: {shutter: 1/15 s}}
stack:
  range: {near: 20.6 mm, far: 20.8 mm}
  step: 60 um
  settle: 0.4 s
  exposure: {aperture: f/5.6, shutter: 1/10 s, iso: 100}
  optics: {coc: 9 um}
  proof: {extend: 0 %}
"""
_LIST = "id,label,scientificName\nnhm-7,0007,Carabus granulatus\nnhm-8,0008,Carabus nemoralis\n"
_PATIENCE_S = 240.0


@pytest.mark.timeout(900)
def test_a_tray_of_six_is_shot_through_a_kill_and_a_fault(tmp_path: Path, capsys: Any) -> None:
    tally = campaign(tmp_path, count=6, seed=1, kills=1, slices=4, come_back=0)
    assert tally.wrong == []
    assert tally.kills == 1
    assert tally.totals == {"stacks": 6, "done": 5, "quarantined": 1, "left": 0}
    assert list(tally.quarantined) == ["P002"]
    (here,) = (tmp_path / "runs").glob("*-tray")
    # A stack is an ordinary run folder: it verifies like one, pixels included.
    run = here / "runs" / "NHM-7003-dorsal"
    assert [check.name for check in verify(read_record(run), restack=True) if not check.holds] == []
    assert main(["report", "--campaign", str(here)]) == 0
    told = capsys.readouterr().out
    assert "6 stacks, 5 done, 1 in quarantine, 0 left, 24 slices, " in told
    assert "quarantine: P002-dorsal NHM-7001" in told
    assert "The bottleneck is" in told
    page = (here / "report.html").read_text()
    assert "getting sharper at the far end" in page
    assert page.count("data:image/jpeg") >= 5
    # Nothing is left to do, and saying so starts nothing.
    before = read_journal(here / "journal.jsonl")
    assert main(["resume", str(here)]) == 4, "as the run ended: one stack is in quarantine"
    assert read_journal(here / "journal.jsonl") == before
    # A delivery takes the good runs, and names the one in quarantine.
    capsys.readouterr()
    assert main(["deliver", str(here), "-o", str(tmp_path / "delivery")]) == 0
    assert "in quarantine: " in capsys.readouterr().err
    specimens = (tmp_path / "delivery" / "data" / "specimens.csv").read_text()
    assert "NHM-7001" not in specimens and "NHM-7003" in specimens
    # A campaign that is not the one that was started is refused.
    with (here / "campaign.yaml").open("a") as file:
        file.write("# another remark\n")
    assert main(["resume", str(here)]) != 0
    assert "campaign.yaml was changed" in capsys.readouterr().err


def test_a_drawer_by_hand_asks_for_specimens_labels_and_light(tmp_path: Path) -> None:
    write_job(tmp_path, "rail")
    (tmp_path / "drawer.yaml").write_text(_BY_HAND)
    (tmp_path / "specimens.csv").write_text(_LIST)
    # The specimen is put there; its label is misread, then read.
    typed = "\n0001\n0007\n"
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "macrorail.cli", "run", "drawer.yaml"),
            *("--rig", "rig.yaml", "--out", "runs", "--json"),
        ],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(typed)
        process.stdin.flush()
        here = _wait_for(lambda: next(iter((tmp_path / "runs").glob("*-drawer")), None))
        _wait_for(lambda: (here / "command.sock").exists() or None)
        status = ask_run(here, "status", timeout_s=60)
        out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, err
    assert status["stacks"] == 2
    assert json.loads(out) == {"stacks": 2, "done": 2, "quarantined": 0, "left": 0}
    assert {path.name for path in (here / "runs").iterdir()} == {"nhm-7-ring", "nhm-7-rim"}
    assert (tmp_path / "rim-light").read_text() == "on\n"
    events = [kind_of(entry.event) for entry in read_journal(here / "journal.jsonl")]
    # For the specimen with its light, and twice for its label.
    assert events.count("asked") == 3
    manifest = json.loads((here / "runs" / "nhm-7-rim" / "manifest.json").read_text())
    assert manifest["finish_reason"] == "completed"
    about = {key: manifest["specimen"][key] for key in ("id", "scientific_name", "id_from")}
    assert about == {
        "id": "nhm-7",
        "scientific_name": "Carabus granulatus",
        "id_from": "scanner",
    }
    _lie_alike(here / "runs" / "nhm-7-ring", here / "runs" / "nhm-7-rim")


def _lie_alike(first: Path, second: Path) -> None:
    """Both variants lie on one alignment, and their pictures belong to their frames."""
    lies = [
        {one["index"]: one["transform"] for one in read_record(run).slices}
        for run in (first, second)
    ]
    assert lies[0] == lies[1]
    assert any(not np.array_equal(lie, np.eye(2, 3)) for lie in lies[1].values())
    wrong = [c.name for c in verify(read_record(second), restack=True) if not c.holds]
    assert wrong == []
    bright, dark = (cv2.imread(str(run / "fused.jpg")).mean() for run in (first, second))
    assert dark < bright


def _wait_for(look: Any) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
