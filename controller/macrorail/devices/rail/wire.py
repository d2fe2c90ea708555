"""The rail's serial protocol: converts messages to bytes and back, see firmware/PROTOCOL.md."""

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
    """The board's answer to a command.

    Attributes
    ----------
    sequence
        Sequence number of the command, 1..65535.
    error
        ``None`` if the command was accepted, otherwise a name from ``codes.ERRORS``.
    verb, arguments
        The command as the board understood it; ``""`` for a verb that the board does not know.
    result
        Words that follow the repeated command in the answer.
    """

    sequence: int
    error: str | None
    verb: str
    arguments: tuple[int, ...]
    result: tuple[str, ...]


@dataclass(frozen=True)
class Notice:
    """A message that the board sends without being asked.

    Attributes
    ----------
    kind
        ``boot``: the board was reset; ``bad``: a line arrived damaged at the board.
    detail
        Cause of the reset (``codes.CAUSES``), or fault of the line (``codes.ERRORS``).
    """

    kind: str
    detail: str


@dataclass(frozen=True)
class Status:
    """The board's answer to STATUS.

    Attributes
    ----------
    state
        Name of the state, one of ``codes.STATES``.
    position
        Position in steps from the home switch.
    is_known
        Whether the position is known; False until the rail is homed.
    motion
        Sequence number of the newest motion command; 0 if there was none.
    stop
        How the newest motion ended, one of ``codes.STOPS``; ``none`` while the motion continues.
    inputs
        Bit 0 home switch, bit 1 far switch, bit 2 emergency stop; 1 means pressed.
    slip
        Position in steps at which the newest homing found the home switch, according to the step
        count before that homing; 0 if the position was not known before.
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
        Version of the firmware.
    cause
        Cause of the last reset, one of ``codes.CAUSES``.
    kept
        Step count when the board lost power at rest; ``None`` otherwise.
    """

    version: str
    cause: str
    kept: int | None


@dataclass(frozen=True)
class Shots:
    """The board's answer to SHOTS: counts of the shutter release and of the hot-shoe contact.

    Attributes
    ----------
    pulses
        How often the release line was closed since the reset, modulo 65536.
    closed_us, lasted_us
        Time at which the release line was last closed, in microseconds since the reset modulo
        2**31, and how long it was closed in microseconds; 0 while it is still closed.
    contacts, contact_us
        How often the hot-shoe contact fired, modulo 65536, and the time at which it last fired.
    """

    pulses: int
    closed_us: int
    lasted_us: int
    contacts: int
    contact_us: int


def next_sequence(sequence: int) -> int:
    """Return the sequence number after ``sequence``; 1 follows 65535."""
    return sequence % 65535 + 1


def encode(sequence: int, verb: str, *arguments: int) -> bytes:
    """Return the bytes of the line that sends a command.

    The line starts with a line feed, so that noise received before it becomes a separate line.

    Raises
    ------
    ValueError
        The verb is unknown, the number of arguments is wrong, or a number is too large.
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
    """Return the text of a received line; ``None`` if the line is damaged or empty."""
    text = line.rstrip(b"\r\n")
    body, star, digits = text[:-9], text[-9:-8], text[-8:]
    if star != b"*" or digits != b"%08X" % zlib.crc32(body) or not body.isascii():
        return None
    return body.decode("ascii")


def decode(text: str) -> Answer | Notice:
    """Decode a checked line into a message.

    Raises
    ------
    WireError
        The line is intact, but this version of the protocol does not define it.
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
    # The repeated command has as many numbers as the verb has arguments; the rest is the result.
    echoed = len(numbers) if answer[3] is not None else min(len(numbers), VERBS.get(verb, 0))
    words = [str(number) for number in numbers[echoed:]] + words
    return Answer(int(answer[1]), answer[3], verb, tuple(numbers[:echoed]), tuple(words))


def greeting_of(answer: Answer) -> Greeting:
    """Return the greeting in the answer to an accepted HELLO.

    Raises
    ------
    WireError
        The answer is not a greeting.
    """
    try:
        version, cause, kept, position = answer.result
        if cause not in CAUSES or kept not in KEPT:
            raise ValueError
        return Greeting(version, cause, int(position) if kept == "clean" else None)
    except ValueError:
        raise _unknown("answered hello", answer) from None


def shots_of(answer: Answer) -> Shots:
    """Return the counts in the answer to an accepted SHOTS.

    Raises
    ------
    WireError
        The answer does not contain the counts.
    """
    try:
        return Shots(*map(int, answer.result))
    except (ValueError, TypeError):
        raise _unknown("counted its shots", answer) from None


def status_of(answer: Answer) -> Status:
    """Return the status in the answer to an accepted STATUS.

    Raises
    ------
    WireError
        The answer is not a status.
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
