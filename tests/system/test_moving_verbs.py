"""``home``, ``jog``, ``calibrate backlash`` and ``firmware`` as a user meets them."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

import macrorail_sims.virtual
from macrorail.cli import main
from macrorail_sims.firmware_native import NativeBoard
from tests.virtual import LENS, RAIL


@pytest.fixture
def rig(tmp_path: Path) -> str:
    path = tmp_path / "rig.yaml"
    path.write_text(RAIL)
    return str(path)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> NativeBoard:
    """The board that the next bench gets."""
    made = NativeBoard()
    monkeypatch.setattr(macrorail_sims.virtual, "NativeBoard", lambda: made)
    return made


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    asked = []

    def confirm(question: str, err: bool = False) -> bool:
        asked.append(question)
        return text == "y"

    monkeypatch.setattr("typer.confirm", confirm)


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_home_finds_the_switch(rig: str, board: NativeBoard, capsys: Any) -> None:
    assert main(["home", "--rig", rig, "--yes", "--json"]) == 0
    assert told(capsys) == {"position_um": 200.0}
    assert board.state.place * 0.625 == 200.0


@pytest.mark.parametrize(
    "verb", [["home"], ["jog", "5mm"], ["calibrate", "backlash"], ["firmware", "shutter"]]
)
def test_without_a_yes_nothing_happens(
    verb: list[str], rig: str, board: NativeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "n")
    assert main([*verb, "--rig", rig]) == 5
    assert board.state.edges == 0
    assert board.state.focus == 0


def test_jog_goes_to_positions_and_by_distances(rig: str, board: NativeBoard, capsys: Any) -> None:
    moves = ["5mm", "+100um", "-50um"]
    assert main(["jog", *moves, "--rig", rig, "--yes", "--json"]) == 0
    assert told(capsys) == {"positions_um": [5_000.0, 5_100.0, 5_050.0]}
    assert board.state.place * 0.625 == 5_050.0


def test_jog_asks_for_moves_and_forgives_mistakes(
    rig: str, board: NativeBoard, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "y")
    monkeypatch.setattr("sys.stdin", iter(["5mm\n", "99mm\n", "fast\n", "+0.1mm\n", "\n", "9mm\n"]))
    assert main(["jog", "--rig", rig]) == 0
    out = capsys.readouterr()
    assert out.out == "5.1 mm\n"
    assert "outside the rail's travel" in out.err
    assert "'fast'" in out.err
    assert board.state.place * 0.625 == 5_100.0


@pytest.mark.parametrize("move", ["46mm", "0.5mm", "5"])
def test_jog_respects_the_limits_and_wants_units(
    move: str, rig: str, board: NativeBoard, capsys: Any
) -> None:
    assert main(["jog", move, "--rig", rig, "--yes"]) in (2, 3)
    assert board.state.place * 0.625 <= 5_000.0 * 0.625
    assert "mm" in capsys.readouterr().err


def test_a_lens_can_be_jogged_too(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(LENS)
    assert main(["jog", "10.5mm", "--rig", str(path), "--yes", "--json"]) == 0
    (rest_um,) = told(capsys)["positions_um"]
    assert rest_um == pytest.approx(10_500, abs=10)
    assert main(["firmware", "info", "--rig", str(path)]) == 2
    assert "macrorail's own firmware" in capsys.readouterr().err


@pytest.mark.parametrize(("play", "backlash"), [(0, "2 um"), (16, "17 um"), (64, "62 um")])
def test_the_play_of_the_screw_is_measured_with_the_home_switch(
    play: int, backlash: str, rig: str, board: NativeBoard, capsys: Any
) -> None:
    board.state.play = play
    board.state.bounce = 10_000
    assert main(["calibrate", "backlash", "--rig", rig, "--yes", "--json", "--repeats", "2"]) == 0
    found = told(capsys)
    assert found["measured_um"] == [play * 0.625] * 2
    assert found["backlash"] == backlash
    assert board.state.collisions == 0


def test_a_nut_that_is_loose_is_told(rig: str, board: NativeBoard, capsys: Any) -> None:
    board.state.play = 321
    assert main(["calibrate", "backlash", "--rig", rig, "--yes"]) == 3
    assert "home switch" in capsys.readouterr().err


def test_info_tells_what_the_board_says_and_moves_nothing(
    rig: str, board: NativeBoard, capsys: Any
) -> None:
    board.state.estop = 1
    assert main(["firmware", "info", "--rig", rig, "--json"]) == 0
    found = told(capsys)
    assert found["pressed"] == ["emergency stop"]
    assert (found["firmware"], found["reset_cause"]) == ("0.2.0", "pin")
    assert main(["firmware", "info", "--rig", rig]) == 0
    assert "emergency stop" in capsys.readouterr().out
    assert board.state.edges == 0


def test_shutter_presses_once_and_tells_whether_the_flash_saw_it(
    rig: str, board: NativeBoard, capsys: Any
) -> None:
    assert main(["firmware", "shutter", "--rig", rig, "--yes", "--json", "--press", "100ms"]) == 0
    found = told(capsys)
    assert (found["pulses"], found["seen"]) == (1, 0)
    assert found["lasted_us"] == pytest.approx(100_000, abs=2_000)
    assert main(["firmware", "shutter", "--rig", rig, "--yes"]) == 0
    assert "did not close" in capsys.readouterr().out


# The toolchain


def fake_tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    fake_tool(folder, "avrdude", f'echo "$@" > {tmp_path}/said')
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return folder


def test_flash_hands_the_image_to_avrdude(tools: Path, tmp_path: Path) -> None:
    image = tmp_path / "some.hex"
    image.write_text(":00000001FF\n")
    flash = ["firmware", "flash", "--port", "/dev/ttyUSB7", "--hex", str(image)]
    assert main([*flash, "--board", "old-nano", "--yes"]) == 0
    said = (tmp_path / "said").read_text()
    assert "-p m328p -c arduino -P /dev/ttyUSB7 -b 57600" in said
    assert f"-U flash:w:{image}:i" in said


def test_flash_asks_and_warns_of_vertical_rails(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "some.hex"
    image.write_text(":00000001FF\n")
    answer(monkeypatch, "n")
    assert main(["firmware", "flash", "--port", "/dev/ttyUSB7", "--hex", str(image)]) == 5
    assert not (tmp_path / "said").exists()


def test_what_avrdude_complains_of_is_told(tools: Path, tmp_path: Path, capsys: Any) -> None:
    fake_tool(tools, "avrdude", "echo 'stk500_getsync(): not in sync' >&2; exit 1")
    image = tmp_path / "some.hex"
    image.write_text(":00000001FF\n")
    flash = ["firmware", "flash", "--port", "/dev/ttyUSB7", "--hex", str(image), "--yes"]
    assert main(flash) == 3
    err = capsys.readouterr().err
    assert "not in sync" in err and "old-nano" in err


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["firmware", "flash", "--port", "/dev/ttyUSB7", "--yes"]) == 2
    assert "apt install avrdude" in capsys.readouterr().err
    assert main(["firmware", "build"]) == 2
    assert "gcc-avr" in capsys.readouterr().err


@pytest.mark.skipif(
    shutil.which("avr-gcc") is None, reason="needs avr-gcc (Debian: apt install gcc-avr avr-libc)"
)
def test_build_prints_the_image(capsys: Any) -> None:
    assert main(["firmware", "build", "--json"]) == 0
    found = told(capsys)
    assert Path(found["hex"]).read_text().rstrip().endswith(":00000001FF")
    assert found["flash_bytes"] < 16_384 and found["ram_bytes"] < 1_400
    assert main(["firmware", "build", "--watchdog", "--json"]) == 0
    assert told(capsys)["hex"] != found["hex"]
