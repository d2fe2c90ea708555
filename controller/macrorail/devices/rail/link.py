"""One conversation with the rail's board: ask, wait, ask again, never take an old answer for new.

A command that got no answer is sent again with the same sequence number, which the board answers
again without carrying it out again. After a reset the board refuses everything until a new hello,
so that no repetition ever crosses a reset.
"""

from __future__ import annotations

import errno
import secrets
from typing import Any, Protocol

import serial

from macrorail.devices.rail import wire
from macrorail.devices.rail.codes import ERRORS
from macrorail.errors import ConnectError, DeviceError, DeviceLost, DeviceTimeout, WireError

_ANSWER_TIMEOUT_S = 0.25
_ATTEMPTS = 8
# Opening its port resets an Uno, whose bootloader then ignores the line for up to two seconds.
_HELLO_ATTEMPTS = 24
_LINES_PER_ATTEMPT = 8
#: Older firmware backs off a home switch with a broken wire by 2048 steps, towards the specimen.
_OLDEST_FIRMWARE = (0, 2, 0)


class Port(Protocol):
    """What we use of ``serial.Serial``; a bench in this process serves an object like it."""

    timeout: float | None

    def readline(self) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


class CommandRefused(Exception):
    """The board understood a command and will not carry it out.

    Attributes
    ----------
    code
        Out of ``codes.ERRORS``.
    answer
        The whole answer.
    """

    def __init__(self, answer: wire.Answer) -> None:
        assert answer.error is not None
        super().__init__(f"the rail's board refused {answer.verb}: {ERRORS[answer.error]}")
        self.code = answer.error
        self.answer = answer


def open_port(port: Any) -> Port:
    """Open a serial port by its path, for us alone; or the bench's object that acts as one.

    Raises
    ------
    ConnectError
    """
    if not isinstance(port, str):
        port.open()
        port.timeout = _ANSWER_TIMEOUT_S
        opened: Port = port
        return opened
    try:
        return serial.Serial(
            port, wire.BAUD, timeout=_ANSWER_TIMEOUT_S, write_timeout=1.0, exclusive=True
        )
    except (serial.SerialException, OSError) as error:
        raise ConnectError(f"cannot open the rail's port {port}: {_advice(port, error)}") from error


def _advice(port: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "there is no such port; is the board plugged in? 'ls /dev/tty*' lists ports"
        case errno.EACCES:
            return "permission denied; add yourself to the group that owns it ('dialout' on Debian)"
        case errno.EBUSY | errno.EAGAIN:
            return "another program has it open; close that program"
        case _:
            return f"{error}; check the 'port' in the rig file ('{port}')"


class Link:
    """A session with the board behind an opened port.

    Parameters
    ----------
    port
        As :func:`open_port` gives it.
    name
        What messages call it.
    """

    def __init__(self, port: Port, name: str) -> None:
        self._port = port
        self._name = name
        self._sequence = 0
        # After an unanswered command the two ends may disagree on the next sequence number.
        self._broken = False

    def hello(self) -> wire.Greeting:
        """Open a session, waiting for the board to come out of its reset.

        Raises
        ------
        ConnectError
            Nothing like our firmware answers, it speaks another version of the wire, or it is
            too old to be safe.
        WireError
            It answers something else.
        """
        self._port.reset_input_buffer()
        # Distinguishes the answer to this hello from one that was still on its way.
        number = secrets.randbelow(wire.INTEGER_LIMIT) + 1
        try:
            answer = self._ask(_HELLO_ATTEMPTS, "HELLO", wire.WIRE_VERSION, number)
        except DeviceTimeout as error:
            raise ConnectError(
                f"nothing on {self._name} answers as a macrorail board; check that it is the "
                f"rail's port and that the firmware is on the board (firmware/README.md)"
            ) from error
        except CommandRefused as refusal:
            theirs = refusal.answer.result or refusal.answer.arguments[2:] or ("unknown",)
            raise ConnectError(
                f"the board on {self._name} speaks version {theirs[0]} of the wire, this macrorail "
                f"speaks version {wire.WIRE_VERSION}; flash the firmware that came with it"
            ) from refusal
        greeting = wire.greeting_of(answer)
        self._refuse_old(greeting.version)
        return greeting

    def ask(self, verb: str, *arguments: int) -> wire.Answer:
        """Have a command carried out exactly once; returns the board's answer.

        Raises
        ------
        CommandRefused
            The board will not; nothing has happened.
        DeviceTimeout
            No answer; the command may or may not have been carried out.
        DeviceLost
            The board was reset, or the port is gone.
        WireError
            The board understood something else than was said.
        """
        return self._ask(_ATTEMPTS, verb, *arguments)

    def status(self) -> wire.Status:
        """What the board is doing; raises as :meth:`ask`."""
        return wire.status_of(self.ask("STATUS"))

    def emergency(self) -> None:
        """Have the board stop dead, whatever else it is hearing; its position is lost."""
        self._write(wire.EMERGENCY)

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _refuse_old(self, version: str) -> None:
        numbers = tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
        if numbers < _OLDEST_FIRMWARE:
            oldest = ".".join(map(str, _OLDEST_FIRMWARE))
            raise ConnectError(
                f"the board on {self._name} runs firmware {version}, this macrorail needs {oldest} "
                f"or newer, because older firmware may drive towards the specimen when the wire of "
                f"a switch breaks; flash it: 'macrorail firmware flash --port PORT'"
            )

    def _ask(self, attempts: int, verb: str, *arguments: int) -> wire.Answer:
        if self._broken:
            raise self._lost("it failed before")
        try:
            return self._converse(attempts, verb, *arguments)
        except DeviceError:
            self._broken = True
            raise

    def _converse(self, attempts: int, verb: str, *arguments: int) -> wire.Answer:
        self._sequence = wire.next_sequence(self._sequence)
        line = wire.encode(self._sequence, verb, *arguments)
        for _ in range(attempts):
            self._write(line)
            answer = self._listen(verb)
            if answer is not None:
                return self._judge(answer, verb, arguments)
        raise DeviceTimeout(
            f"the rail's board on {self._name} did not answer {verb} in {attempts} attempts of "
            f"{_ANSWER_TIMEOUT_S:g} s; check the cable and the board's power, then open it again"
        )

    def _listen(self, verb: str) -> wire.Answer | None:
        """The answer to the newest command; ``None`` when it is time to ask again."""
        for _ in range(_LINES_PER_ATTEMPT):
            try:
                line = self._port.readline()
            except (serial.SerialException, OSError) as error:
                raise self._lost(str(error)) from error
            if not line.endswith(b"\n"):
                return None
            text = wire.check(line)
            if text is None:
                continue
            message = wire.decode(text)
            if isinstance(message, wire.Answer):
                if message.sequence == self._sequence:
                    return message
            elif message.kind == "bad":
                return None
            elif verb != "HELLO":
                raise self._lost(f"it was reset ({message.detail})")
        return None

    def _judge(self, answer: wire.Answer, verb: str, arguments: tuple[int, ...]) -> wire.Answer:
        if answer.error == "hello":
            raise self._lost("it was reset")
        if answer.error == "sequence":
            raise self._lost("another program is talking to it")
        echo = (verb, arguments)
        if answer.error is not None:
            # A refused hello carries the board's own version behind the echo.
            if (answer.verb, answer.arguments[: len(arguments)]) != echo:
                raise self._misheard(answer, verb)
            raise CommandRefused(answer)
        if (answer.verb, answer.arguments) != echo:
            raise self._misheard(answer, verb)
        return answer

    def _misheard(self, answer: wire.Answer, verb: str) -> WireError:
        return WireError(
            f"the rail's board on {self._name} answered {verb} with "
            f"'{answer.error or 'ok'} {answer.verb} {answer.arguments}'; open the rail "
            f"again and home it"
        )

    def _lost(self, why: str) -> DeviceLost:
        return DeviceLost(
            f"lost the rail's board on {self._name}: {why}; its position is in doubt, open it "
            f"again and home it"
        )

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._lost(str(error)) from error
