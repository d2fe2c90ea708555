"""The wire's lines: what is encoded is decoded, what is damaged is refused, codes agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.devices.rail import wire
from macrorail.devices.rail.codes import ERRORS, VERBS
from macrorail.errors import WireError

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"

sequences = st.integers(1, 65535)
numbers = st.integers(-wire.INTEGER_LIMIT, wire.INTEGER_LIMIT)


@st.composite
def commands(draw: st.DrawFn) -> tuple[int, str, tuple[int, ...]]:
    verb = draw(st.sampled_from(sorted(VERBS)))
    return draw(sequences), verb, tuple(draw(numbers) for _ in range(VERBS[verb]))


def checked(line: bytes) -> str:
    text = wire.check(line)
    assert text is not None
    return text


@given(commands(), st.one_of(st.none(), st.sampled_from(sorted(ERRORS))))
def test_the_echo_of_a_command_is_the_command(
    command: tuple[int, str, tuple[int, ...]], error: str | None
) -> None:
    sequence, verb, arguments = command
    body = checked(wire.encode(sequence, verb, *arguments).strip())
    head, _, rest = body.partition(" ")
    said = f"{head} {'ok' if error is None else 'er ' + error} {rest}"
    answer = wire.decode(said)
    assert answer == wire.Answer(sequence, error, verb, arguments, ())


@given(commands())
def test_a_command_fits_the_board(command: tuple[int, str, tuple[int, ...]]) -> None:
    sequence, verb, arguments = command
    assert len(wire.encode(sequence, verb, *arguments).strip()) <= 64


@given(commands(), st.data())
def test_a_damaged_line_is_refused(
    command: tuple[int, str, tuple[int, ...]], data: st.DataObject
) -> None:
    line = wire.encode(command[0], command[1], *command[2]).strip()
    place = data.draw(st.integers(0, len(line) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = line[:place] + bytes([line[place] ^ 1 << bit]) + line[place + 1 :]
    assert wire.check(damaged) is None
    assert wire.check(line[:place] + line[place + 1 :]) is None


def test_status_and_hello_carry_their_words() -> None:
    answer = wire.decode("7 ok STATUS moving -12 1 6 none 4 -3")
    assert isinstance(answer, wire.Answer)
    assert wire.status_of(answer) == wire.Status("moving", -12, True, 6, "none", 4, -3)
    hello = wire.decode("1 ok HELLO 1 77 0.1.0 pin clean -40")
    assert isinstance(hello, wire.Answer)
    assert hello.arguments == (1, 77)
    assert wire.greeting_of(hello) == wire.Greeting("0.1.0", "pin", -40)
    lost = wire.Answer(1, None, "HELLO", (1, 77), ("0.1.0", "power", "lost", "0"))
    assert wire.greeting_of(lost).kept is None
    assert wire.decode("! boot watchdog") == wire.Notice("boot", "watchdog")


@pytest.mark.parametrize(
    "text",
    ["", "7", "0 ok GO 1", "7 er GO 1", "7 er nonsense GO 1", "! boot sunrise", "7 ok go 1"],
)
def test_what_the_wire_does_not_know_is_an_error(text: str) -> None:
    with pytest.raises(WireError, match="flash the firmware"):
        wire.decode(text)


@pytest.mark.parametrize(
    "result", ["idle 5 1 6 done 0", "asleep 5 1 6 done 0 0", "idle x 1 6 done 0 0"]
)
def test_a_strange_status_is_an_error(result: str) -> None:
    answer = wire.Answer(7, None, "STATUS", (), tuple(result.split()))
    with pytest.raises(WireError, match="status"):
        wire.status_of(answer)


@pytest.mark.parametrize("result", ["0.1.0 pin clean", "0.1.0 sunrise lost 0", "0.1.0 pin so 1"])
def test_a_strange_greeting_is_an_error(result: str) -> None:
    answer = wire.Answer(7, None, "HELLO", (1, 77), tuple(result.split()))
    with pytest.raises(WireError, match="hello"):
        wire.greeting_of(answer)


def test_what_cannot_be_said_is_refused_before_it_is_sent() -> None:
    for arguments in [(0, "GO", 1), (1, "GO"), (1, "GO", 2**31), (1, "JUMP"), (65536, "STOP")]:
        with pytest.raises(ValueError, match=r"wire|sequence|argument"):
            wire.encode(*arguments)


def test_sequence_numbers_go_round_without_zero() -> None:
    assert wire.next_sequence(1) == 2
    assert wire.next_sequence(65535) == 1


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("codes", FIRMWARE / "generate_codes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_sides_have_the_codes_of_the_csv() -> None:
    generator = _generator()
    assert generator.C_HEADER.read_text() == generator.c_header(), "run make -C firmware codes"
    assert generator.PYTHON_MODULE.read_text() == generator.python_module(), (
        "run make -C firmware codes"
    )


def test_the_protocol_document_names_every_code() -> None:
    text = (FIRMWARE / "PROTOCOL.md").read_text()
    for verb in VERBS:
        assert f"`{verb}" in text, f"PROTOCOL.md does not explain {verb}"
