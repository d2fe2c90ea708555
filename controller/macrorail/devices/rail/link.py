"""The connection to the rail's board: unanswered commands are repeated but carried out only once.

A command without an answer is sent again with the same sequence number. The board then repeats its
answer but does not carry the command out again. After a reset the board refuses all commands until
a new hello, so a command from before the reset cannot be carried out after it.
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
# Opening the port resets an Uno. Its bootloader then ignores the line for up to two seconds.
_HELLO_ATTEMPTS = 24
_LINES_PER_ATTEMPT = 8
#: Oldest accepted version. With older firmware a home switch with a broken wire causes a move of
#: 2048 steps towards the specimen.
_OLDEST_FIRMWARE = (0, 2, 0)


class Port(Protocol):
    """The methods of ``serial.Serial`` used here; a bench's port in this process has them too."""

    timeout: float | None

    def readline(self) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


class CommandRefused(Exception):
    """The board understood a command but refused to carry it out.

    Attributes
    ----------
    code
        Name of the error, one of ``codes.ERRORS``.
    answer
        Complete answer of the board.
    """

    def __init__(self, answer: wire.Answer) -> None:
        assert answer.error is not None
        super().__init__(f"the rail's board refused {answer.verb}: {ERRORS[answer.error]}")
        self.code = answer.error
        self.answer = answer


def open_port(port: Any) -> Port:
    """Open a serial port, given by its path, for exclusive use; or open a bench's port object.

    Raises
    ------
    ConnectError
        The serial port cannot be opened; the message says why.
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
    """A session with the board at an opened port.

    Parameters
    ----------
    port
        Port from :func:`open_port`.
    name
        Name of the port in messages.
    """

    def __init__(self, port: Port, name: str) -> None:
        self._port = port
        self._name = name
        self._sequence = 0
        # After an unanswered command the two sides may disagree on the next sequence number.
        self._broken = False

    def hello(self) -> wire.Greeting:
        """Open a session, and wait for the board to start up after its reset.

        Raises
        ------
        ConnectError
            Nothing answers like macrorail's firmware, the board uses another version of the serial
            protocol, or its firmware is too old to be safe.
        WireError
            The board's answer is not understood.
        """
        self._port.reset_input_buffer()
        # Distinguishes the answer to this hello from an earlier answer that is still being
        # received.
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
                f"the board on {self._name} uses version {theirs[0]} of the serial protocol, this "
                f"macrorail uses version {wire.WIRE_VERSION}; flash the firmware that came with it"
            ) from refusal
        greeting = wire.greeting_of(answer)
        self._refuse_old(greeting.version)
        return greeting

    def ask(self, verb: str, *arguments: int) -> wire.Answer:
        """Send a command that is carried out exactly once; return the board's answer.

        Raises
        ------
        CommandRefused
            The board refused the command; nothing has happened.
        DeviceTimeout
            The board did not answer; the command may or may not have been carried out.
        DeviceLost
            The board was reset, or the port is gone.
        WireError
            The board's answer repeats another command than the one that was sent.
        """
        return self._ask(_ATTEMPTS, verb, *arguments)

    def status(self) -> wire.Status:
        """Return the state of the board; raises the same errors as :meth:`ask`."""
        return wire.status_of(self.ask("STATUS"))

    def emergency(self) -> None:
        """Stop the motor immediately, whatever the board is doing; the position is lost."""
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
        """Return the answer to the newest command; ``None`` when it is time to ask again."""
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
            # In the answer to a refused hello, the board's own version follows the command.
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
