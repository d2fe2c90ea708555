"""What a real grbl said, held against the driver's reading of it and against the simulated machine.

``tests/conformance/grbl_image.py`` says how the transcript was recorded.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from macrorail.devices.grbl.wire import Welcome, is_finished, number_of, report_of, welcome_of
from macrorail_sims.grbl import GrblMachine
from tests.conformance.grbl_image import SETTINGS, play

RECORDED = Path(__file__).parents[1] / "transcripts" / "grbl" / "recorded.txt"
GO = "$J=G90G21Z0F600.0"


def spoken() -> list[str]:
    return RECORDED.read_text().splitlines()


def said() -> list[str]:
    return [line[2:] for line in spoken() if line.startswith("< ")]


def kind(line: str) -> str:
    """What a line of grbl's is, with its numbers left out."""
    report = report_of(line[2:])
    if report is not None:
        return f"< {report.state}"
    return re.sub(r"(error|ALARM):\d+", r"\1", line)


def what_happened(lines: list[str]) -> list[str]:
    """A conversation without the instants at which its lines came."""
    return [kind(line) if line.startswith("<") else line for line in lines if line[0] != "~"]


def test_the_driver_understands_every_line() -> None:
    assert len(said()) > 100
    for line in said():
        understood = (
            report_of(line) is not None
            or welcome_of(line) == Welcome("grbl", "1.1h")
            or is_finished(line)
            or number_of(line, "ALARM") is not None
            or re.fullmatch(r"\[(MSG|VER|OPT):.*\]", line) is not None
        )
        assert understood, line
    states = {report.state for line in said() if (report := report_of(line)) is not None}
    assert states >= {"Idle", "Alarm"}
    assert {number_of(line, "ALARM") for line in said()} >= {3}
    assert {15, 22} <= {number_of(line, "error") for line in said()}


def test_the_simulated_machine_says_what_the_real_one_said() -> None:
    machine = GrblMachine(start_mm=4.0)
    for setting in SETTINGS:
        machine.rx(f"{setting}\n".encode())
    machine.reset()
    machine.tx()
    recorded, simulated = spoken(), play(machine, RECORDED.read_text())
    places = [
        [r.machine_mm[2] for line in lines if (r := report_of(line[2:])) and r.machine_mm]
        for lines in (recorded, simulated)
    ]
    assert places[1] == pytest.approx(places[0], abs=0.7), "they stop a little apart on the way"
    assert what_happened(simulated) == what_happened(recorded)


def test_no_line_that_lost_a_character_moved_the_real_machine_elsewhere() -> None:
    lines = spoken()
    spoilt = {GO[:at] + GO[at + 1 :] for at in range(len(GO))}
    places = [
        (index, report.machine_mm[2])
        for index, line in enumerate(lines)
        if line.startswith("< ") and (report := report_of(line[2:])) and report.machine_mm
    ]
    tried = 0
    for (before, start_mm), (after, end_mm) in pairwise(places):
        if spoilt & {line[2:] for line in lines[before:after]}:
            tried += 1
            assert end_mm == pytest.approx(start_mm) or end_mm == pytest.approx(start_mm - 0.5)
    assert tried == len(spoilt)
