"""One set of transcripts for both ends of the wire: the firmware's parser and the host's."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from macrorail.devices.rail import wire
from macrorail.devices.rail.codes import VERBS
from macrorail_sims.board import RailBoard
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "transcripts").glob("*.txt"))


def spoken(path: Path) -> list[tuple[str, str]]:
    """The lines of a transcript as (mark, text), without remarks."""
    lines = path.read_text().splitlines()
    pairs = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(mark, text) for mark, text in pairs]


def to_bytes(mark: str, text: str) -> bytes:
    if mark == ">raw":
        return text.encode("ascii").decode("unicode_escape").encode("latin-1")
    return b"\n%s*%08X\n" % (text.encode(), zlib.crc32(text.encode()))


def follow(path: Path, board: RailBoard) -> None:
    """Play the host's part of a transcript and compare the board's."""
    host = Host(board)
    answers = host.send(b"")
    for mark, text in spoken(path):
        if mark == "<":
            assert answers, f"the board is silent, expected '{text}'"
            assert answers.pop(0) == text
            continue
        assert answers == [], f"unexpected before '{text}'"
        answers = host.send(b"", float(text)) if mark == "~" else host.send(to_bytes(mark, text))
    assert answers == []


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_firmware_keeps_to_the_transcript(path: Path) -> None:
    follow(path, NativeBoard(bootloader_s=0.0))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_host_understands_every_answer_of_the_transcript(path: Path) -> None:
    command = ""
    for mark, text in spoken(path):
        if mark == ">":
            command = text
        if mark != "<":
            continue
        message = wire.decode(text)
        if isinstance(message, wire.Notice):
            assert text == f"! {message.kind} {message.detail}"
            continue
        echo = [message.verb, *map(str, message.arguments)] if message.verb else []
        said = "ok" if message.error is None else f"er {message.error}"
        rebuilt = " ".join([str(message.sequence), said, *echo, *message.result])
        assert rebuilt == text
        if message.error is None and message.verb in VERBS:
            expected = wire.encode(message.sequence, message.verb, *message.arguments)
            assert expected == to_bytes(">", command)
