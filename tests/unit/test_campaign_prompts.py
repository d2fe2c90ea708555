"""The operator's answers to a campaign: typed, scanned, through the socket, or none at all."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macrorail.campaign import prompts as desk_module
from macrorail.campaign.progress import CampaignProgress
from macrorail.campaign.prompts import OperatorPrompts
from macrorail.campaign.runner import Skipped
from macrorail.clock import WorldClock
from macrorail.config.rig import load_rig
from macrorail.errors import ConfigError, OperatorStop, PausedTooLong
from macrorail.run_folder.events import kind_of, values_of
from macrorail.session.observer import RunObserver, Tone


class Said(RunObserver):
    """Keeps what is shown."""

    def __init__(self, text: io.StringIO) -> None:
        self.text = text

    def on_question(self, question: str) -> None:
        self.text.write(question)

    def message(self, text: str, tone: Tone = "plain") -> None:
        self.text.write(text)


class Table:
    """Prompts whose standard input is a pipe that the test writes to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_most_s: float = 1e6) -> None:
        self.read, self.write = os.pipe()
        monkeypatch.setattr(desk_module, "_STDIN", self.read)
        monkeypatch.setattr(desk_module, "_POLL_S", 0.01)
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.said = io.StringIO()
        self.clock = WorldClock(time_scale=1000)
        self.prompts = OperatorPrompts(
            self.clock,
            Said(self.said),
            lambda event: self.notes.append((kind_of(event), values_of(event))),
            CampaignProgress({}),
            at_most_s,
        )

    def type(self, text: str) -> None:
        os.write(self.write, text.encode())

    def command(self, **asked: str) -> dict[str, Any]:
        return self.prompts.answer(json.dumps(asked).encode())


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    made = Table(monkeypatch)
    yield made
    os.close(made.read)
    os.close(made.write)


def test_lines_that_come_together_are_answers_one_after_the_other(table: Table) -> None:
    table.type("\nNHM-7001\nNHM-70")
    assert table.prompts.ask("Put A1 under the lens") == ""
    assert table.prompts.ask("Scan: ", takes_text=True) == "NHM-7001"
    table.type("02\n")
    assert table.prompts.ask("Scan: ", takes_text=True) == "NHM-7002"
    assert [event for event, _ in table.notes] == ["asked", "answered"] * 3
    assert "Put A1 under the lens" in table.said.getvalue()


def test_words_put_off_and_stop(table: Table) -> None:
    table.type("skip\nstop\n")
    with pytest.raises(Skipped):
        table.prompts.ask("Put A1 under the lens")
    with pytest.raises(OperatorStop):
        table.prompts.ask("Put A2 under the lens")


def test_the_socket_answers_what_the_terminal_does_not(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert table.command(do="continue") == {"error": "the campaign is not waiting for an answer"}

    def type_nothing() -> None:
        assert table.command(do="status")["question"] == "Scan"
        assert table.command(do="continue", text="NHM-7")["left"] == 0

    monkeypatch.setattr(table.prompts, "_typed", type_nothing)
    assert table.prompts.ask("Scan", takes_text=True) == "NHM-7"


def test_the_end_of_the_input_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch, at_most_s=100)
    os.close(table.write)
    with pytest.raises(PausedTooLong, match="no operator responded: Put A1"):
        table.prompts.ask("Put A1 under the lens")
    os.close(table.read)


def test_a_skip_is_for_the_stack_that_is_being_shot_and_a_stop_for_all(table: Table) -> None:
    table.prompts.at_work_on("A1")
    table.command(do="skip")
    with pytest.raises(OperatorStop):
        table.clock.check()
    with pytest.raises(Skipped, match="postponed by the command socket"):
        table.prompts.refuse_if_skipped()
    # One that comes too late ends nothing.
    table.command(do="skip")
    table.prompts.check()
    table.prompts.at_work_on("A2")
    table.prompts.refuse_if_skipped()
    table.command(do="stop")
    table.clock.check()
    with pytest.raises(OperatorStop, match="stopped after this stack"):
        table.prompts.check()


def test_what_cannot_be_understood_is_told(table: Table) -> None:
    assert "write one JSON object" in table.prompts.answer(b"hello\n")["error"]
    assert "unknown command 'dance'" in table.command(do="dance")["error"]


def test_stage_and_focus_axis_cannot_share_a_board(tmp_path: Path) -> None:
    rig = (Path(__file__).parents[2] / "configs/rigs/simulated-tray.yaml").read_text()
    path = tmp_path / "rig.yaml"
    path.write_text(
        rig.replace("port: bench\n  travel", "port: /dev/ttyUSB0\n  travel").replace(
            "port: bench\n  x:", "port: /dev/ttyUSB0\n  x:"
        )
    )
    with pytest.raises(ConfigError, match="stage: uses the port of the focus axis"):
        load_rig(path)
