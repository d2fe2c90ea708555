"""The rail's wire: messages to bytes and back, as firmware/PROTOCOL.md has it. No I/O."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from macrorail.devices.rail.codes import CAUSES, ERRORS, KEPT, STATES, STOPS, VERBS
from macrorail.errors import WireError

WIRE_VERSION = 1
BAUD = 115_200
EMERGENCY = b"\x85"
INTEGER_LIMIT = 2**31 - 1

_INTEGER = r"(?:0|-?[1-9]\d{0,9})"
_NAME = r"[a-z_]+"
_ANSWER = re.compile(
    rf"([1-9]\d{{0,4}}) (ok|er ({_NAME}))(?: ([A-Z]+)((?: {_INTEGER})*)((?: \S+)*))?"
)
_NOTICE = re.compile(rf"! (boot|bad) ({_NAME})")


@dataclass(frozen=True)
class Answer:
    """What the board says to a command.

    Attributes
    ----------
    sequence
        Of the command, 1..65535.
    error
        ``None`` when it was accepted, else a name out of ``codes.ERRORS``.
    verb, arguments
        The command as the board understood it; ``""`` for a verb it does not know.
    result
        The words after the echo.
    """

    sequence: int
    error: str | None
    verb: str
    arguments: tuple[int, ...]
    result: tuple[str, ...]


@dataclass(frozen=True)
class Notice:
    """What the board says unasked.

    Attributes
    ----------
    kind
        ``boot``: it was reset; ``bad``: a line to it arrived damaged.
    detail
        The cause of the reset (``codes.CAUSES``) or what is wrong (``codes.ERRORS``).
    """

    kind: str
    detail: str


@dataclass(frozen=True)
class Status:
    """The board's answer to STATUS.

    Attributes
    ----------
    state
        Out of ``codes.STATES``.
    position
        Steps from the home switch.
    is_known
        Whether the position means anything; False until homed.
    motion
        Sequence number of the newest motion command, 0 when there was none.
    stop
        How that motion ended, out of ``codes.STOPS``; ``none`` while it lasts.
    inputs
        Bit 0 home switch, bit 1 far switch, bit 2 emergency stop; 1 is pressed.
    slip
        Where the newest homing found its switch by the count from before it, steps; 0 without one.
    """

    state: str
    position: int
    is_known: bool
    motion: int
    stop: str
    inputs: int
    slip: int


@dataclass(frozen=True)
class Greeting:
    """The board's answer to HELLO.

    Attributes
    ----------
    version
        Of the firmware.
    cause
        Of the last reset, out of ``codes.CAUSES``.
    kept
        Where the count stood, steps, when the board lost power at rest; ``None`` otherwise.
    """

    version: str
    cause: str
    kept: int | None


@dataclass(frozen=True)
class Shots:
    """The board's answer to SHOTS: what the camera's cable did and what its hot shoe saw.

    Attributes
    ----------
    pulses
        How often the release line was closed since the reset, modulo 65536.
    closed_us, lasted_us
        When it was closed last, microseconds since the reset modulo 2**31, and for how long;
        0 while it still is.
    contacts, contact_us
        How often the hot shoe's contact closed, modulo 65536, and when it did last.
    """

    pulses: int
    closed_us: int
    lasted_us: int
    contacts: int
    contact_us: int


def next_sequence(sequence: int) -> int:
    """The sequence number after ``sequence``; 1 follows 65535."""
    return sequence % 65535 + 1


def encode(sequence: int, verb: str, *arguments: int) -> bytes:
    """A command as the bytes of its line.

    The line starts with a line feed, so that whatever noise stands before it is a line of its own.

    Raises
    ------
    ValueError
        Unknown verb, wrong number of arguments, or a number that the wire cannot carry.
    """
    if VERBS.get(verb) != len(arguments):
        raise ValueError(f"the wire has no {verb} with {len(arguments)} arguments")
    if not 1 <= sequence <= 65535:
        raise ValueError(f"sequence number {sequence} is outside 1..65535")
    if any(abs(argument) > INTEGER_LIMIT for argument in arguments):
        raise ValueError(f"an argument of {verb} is outside ±{INTEGER_LIMIT}: {arguments}")
    body = " ".join([str(sequence), verb, *map(str, arguments)]).encode("ascii")
    return b"\n" + body + b"*%08X\n" % zlib.crc32(body)


def check(line: bytes) -> str | None:
    """The text of a received line, ``None`` when it is damaged or empty."""
    text = line.rstrip(b"\r\n")
    body, star, digits = text[:-9], text[-9:-8], text[-8:]
    if star != b"*" or digits != b"%08X" % zlib.crc32(body) or not body.isascii():
        return None
    return body.decode("ascii")


def decode(text: str) -> Answer | Notice:
    """A checked line as a message.

    Raises
    ------
    WireError
        The line is whole but is nothing that this version of the wire knows.
    """
    notice = _NOTICE.fullmatch(text)
    if notice is not None and notice[2] in (CAUSES if notice[1] == "boot" else ERRORS):
        return Notice(notice[1], notice[2])
    answer = _ANSWER.fullmatch(text)
    if answer is None or (answer[3] is not None and answer[3] not in ERRORS):
        raise WireError(
            f"the rail's board said '{text}', which this version of macrorail does not know; "
            f"flash the firmware that came with it"
        )
    verb, arguments, result = answer[4] or "", answer[5] or "", answer[6] or ""
    numbers = [int(number) for number in arguments.split()]
    words = result.split()
    # The echo is as long as the verb's own arguments; numbers beyond it belong to the result.
    echoed = len(numbers) if answer[3] is not None else min(len(numbers), VERBS.get(verb, 0))
    words = [str(number) for number in numbers[echoed:]] + words
    return Answer(int(answer[1]), answer[3], verb, tuple(numbers[:echoed]), tuple(words))


def greeting_of(answer: Answer) -> Greeting:
    """The greeting that an accepted HELLO carries.

    Raises
    ------
    WireError
        It carries something else.
    """
    try:
        version, cause, kept, position = answer.result
        if cause not in CAUSES or kept not in KEPT:
            raise ValueError
        return Greeting(version, cause, int(position) if kept == "clean" else None)
    except ValueError:
        raise _unknown("answered hello", answer) from None


def shots_of(answer: Answer) -> Shots:
    """The counts that an accepted SHOTS carries.

    Raises
    ------
    WireError
        It carries something else.
    """
    try:
        return Shots(*map(int, answer.result))
    except (ValueError, TypeError):
        raise _unknown("counted its shots", answer) from None


def status_of(answer: Answer) -> Status:
    """The status that an accepted STATUS carries.

    Raises
    ------
    WireError
        It carries something else.
    """
    try:
        state, position, known, motion, stop, inputs, slip = answer.result
        if state not in STATES or stop not in STOPS or known not in ("0", "1"):
            raise ValueError
        return Status(state, int(position), known == "1", int(motion), stop, int(inputs), int(slip))
    except ValueError:
        raise _unknown("reported its status", answer) from None


def _unknown(what: str, answer: Answer) -> WireError:
    return WireError(
        f"the rail's board {what} as '{' '.join(answer.result)}', which this version of macrorail "
        f"does not know; flash the firmware that came with it"
    )
