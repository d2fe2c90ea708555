"""What watches say, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from macrorail.running import watches
from macrorail.running.watches import (
    BatteryWatch,
    DiskWatch,
    QuestionWatch,
    SleepWatch,
    TemperatureWatch,
)


def test_a_disk_with_room_is_well(tmp_path: Path) -> None:
    assert DiskWatch(tmp_path, 1.0).trouble() is None


def test_a_full_disk_is_told_with_its_numbers(tmp_path: Path) -> None:
    said = DiskWatch(tmp_path, 1e18).trouble()
    assert said is not None
    assert "make room" in said


def test_a_folder_that_became_read_only_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda folder, how: how != os.W_OK)
    assert "read-only" in str(DiskWatch(tmp_path, 1.0).trouble())


def test_a_folder_that_vanished_is_told(tmp_path: Path) -> None:
    assert "cannot be reached" in str(DiskWatch(tmp_path / "gone", 1.0).trouble())


@pytest.mark.parametrize(
    ("charge", "status", "trouble"),
    [
        ("9", "Discharging", "the computer's battery is at 9 %; plug it in"),
        ("9", "Charging", None),
        ("10", "Discharging", None),
        ("what", "Discharging", None),
    ],
)
def test_the_battery(tmp_path: Path, charge: str, status: str, trouble: str | None) -> None:
    battery = tmp_path / "BAT0"
    battery.mkdir()
    (battery / "capacity").write_text(charge + "\n")
    (battery / "status").write_text(status + "\n")
    assert BatteryWatch(0.1, tmp_path).trouble() == trouble


def test_a_computer_without_a_battery_is_well(tmp_path: Path) -> None:
    assert BatteryWatch(0.1, tmp_path / "none").trouble() is None


def test_heat_pauses_until_it_has_cooled_down(tmp_path: Path) -> None:
    watch = TemperatureWatch(60.0, [str(tmp_path / "zone*" / "temp")])
    assert watch.trouble() is None, "a computer without sensors is well"
    for zone, told in (("zone0", "what"), ("zone1", "20000"), ("zone2", "")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "temp").write_text(told)
    hot = tmp_path / "zone2" / "temp"
    for thousandths, is_hot in ((60000, False), (60100, True), (55100, True), (55000, False)):
        hot.write_text(f"{thousandths}\n")
        said = watch.trouble()
        assert (said is not None) is is_hot
        assert said is None or f"{hot} shows {thousandths / 1000:.1f} °C" in said
    hot.write_text("57000")
    assert watch.trouble() is None


def test_a_sleep_is_told_once() -> None:
    slept_s = 100.0
    watch = SleepWatch(lambda: slept_s)
    assert watch.trouble() is None
    slept_s += 7200.0
    assert watch.trouble() == "the computer was asleep for 2 h 00 min"
    assert watch.trouble() is None


def test_a_computer_that_is_awake_has_not_slept() -> None:
    watch = SleepWatch()
    assert watch.trouble() is None


def answer_of(watch: QuestionWatch, done: Callable[[str | None], bool]) -> str | None:
    deadline = time.monotonic() + 20
    while not done(said := watch.trouble()):
        assert time.monotonic() < deadline, said
        time.sleep(0.02)
    return said


def test_a_command_that_fails_pauses_and_one_that_is_well_again_does_not(tmp_path: Path) -> None:
    lamp = tmp_path / "lamp"
    command = f"echo looking; test -e {lamp} || {{ echo the lamp is out; exit 3; }}"
    with closing(QuestionWatch(command, every_s=0.0)) as watch:
        assert watch.trouble() is None, "nothing is known yet"
        assert answer_of(watch, lambda said: said is not None) == "the lamp is out"
        lamp.touch()
        answer_of(watch, lambda said: said is None)


def test_a_command_is_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_LONGEST_ANSWER_S", 0.3)
    with closing(QuestionWatch("exec sleep 60", every_s=1000.0)) as watch:
        began_s = time.monotonic()
        for _ in range(20):
            watch.trouble()
        assert time.monotonic() - began_s < 30.0, "less than a single answer takes"
        process = watch._process
        assert process is not None
        assert "gave no answer" in str(answer_of(watch, lambda said: said is not None))
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_a_command_that_says_nothing_is_named() -> None:
    with closing(QuestionWatch("exit 4", every_s=1000.0)) as watch:
        said = answer_of(watch, lambda said: said is not None)
    assert said == "'exit 4' ended with 4"
