"""Serves a simulated body over PTP/IP on the loopback interface, for any PTP/IP client.

The packets follow CIPA DC-005 (PTP/IP): a client opens a command connection and an event connection
to the same port. The server is reachable only from this computer.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import uuid

from macrorail_sims.bodies.ptp import OK, Dropped, PtpAnswer, Responder, Swallowed

_HOST = "127.0.0.1"
_INIT_COMMAND, _INIT_COMMAND_ACK, _INIT_EVENT, _INIT_EVENT_ACK = 1, 2, 3, 4
_COMMAND, _RESPONSE = 6, 7
_START_DATA, _DATA, _END_DATA = 9, 10, 12
_PROBE, _PROBE_ACK = 13, 14
_DATA_FOLLOWS = 2
_CHUNK_BYTES = 1 << 17


class PtpIpServer:
    """Serves one body on one port; threads serve the connections until :meth:`stop`.

    Parameters
    ----------
    responder
        Answers the PTP operations of the body.
    port
        TCP port; 0 chooses a free port.
    """

    def __init__(self, responder: Responder, port: int = 0) -> None:
        self.responder = responder
        self._listener = socket.create_server((_HOST, port))
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._sessions = 0
        self._stopped = False

    @property
    def address(self) -> str:
        """Address for libgphoto2, with the port twice: for command and event connections."""
        return f"ptpip:{_HOST}:{self.port}:{self.port}"

    def start(self) -> PtpIpServer:
        """Start to accept connections; return the server itself."""
        self._spawn(self._accept, "accept")
        return self

    def stop(self) -> None:
        """Close every connection and end every thread; an exposure in progress is finished."""
        self._stopped = True
        # With close() alone, accept() would still wait for another connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.unplug()
        for thread in self._threads:
            thread.join()
        self.responder.join()

    def unplug(self) -> None:
        """Cut every connection; a client may connect again."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _spawn(self, target: object, name: str, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, name=f"ptpip {name}")
        self._threads = [other for other in self._threads if other.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the listener was closed
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            self._spawn(self._serve, "connection", connection)
            if self._stopped:
                self.unplug()
                return

    def _serve(self, connection: socket.socket) -> None:
        try:
            kind, _ = _receive(connection)
            if kind == _INIT_COMMAND:
                self._sessions += 1
                name = (self.responder.body.model + "\0").encode("utf-16-le")
                _send(
                    connection,
                    _INIT_COMMAND_ACK,
                    struct.pack("<I", self._sessions)
                    + uuid.uuid4().bytes
                    + name
                    + struct.pack("<I", 0x00010000),
                )
                self._commands(connection)
            elif kind == _INIT_EVENT:
                _send(connection, _INIT_EVENT_ACK, b"")
                while True:
                    kind, _ = _receive(connection)
                    if kind == _PROBE:
                        _send(connection, _PROBE_ACK, b"")
        except (OSError, Dropped):
            pass  # the client disconnected, or a fault cut the connection
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _commands(self, connection: socket.socket) -> None:
        while True:
            kind, payload = _receive(connection)
            if kind != _COMMAND:
                continue
            phase, operation, transaction = struct.unpack_from("<IHI", payload)
            parameters = struct.unpack_from(f"<{(len(payload) - 10) // 4}I", payload, 10)
            data = _receive_data(connection) if phase == _DATA_FOLLOWS else b""
            try:
                answer = self.responder.answer(operation, parameters, data)
            except Swallowed:
                continue
            self._reply(connection, transaction, answer)

    def _reply(self, connection: socket.socket, transaction: int, answer: PtpAnswer) -> None:
        if answer.data is not None and answer.code == OK:
            self._send_data(connection, transaction, answer.data, answer.pace_s)
        response = struct.pack("<HI", answer.code, transaction)
        response += b"".join(struct.pack("<I", value) for value in answer.parameters)
        _send(connection, _RESPONSE, response)
        if answer.sent is not None:
            answer.sent()

    def _send_data(
        self, connection: socket.socket, transaction: int, data: bytes, pace_s: float
    ) -> None:
        clock = self.responder.clock
        number = struct.pack("<I", transaction)
        _send(connection, _START_DATA, number + struct.pack("<Q", len(data)))
        started_s = clock.now()
        for start in range(0, max(len(data), 1), _CHUNK_BYTES):
            end = start + _CHUNK_BYTES
            due_s = started_s + pace_s * min(end / len(data), 1.0) if data else started_s
            clock.sleep(max(0.0, due_s - clock.now()))
            _send(connection, _END_DATA if end >= len(data) else _DATA, number + data[start:end])


def _receive(connection: socket.socket) -> tuple[int, bytes]:
    length, kind = struct.unpack("<II", _exactly(connection, 8))
    return kind, _exactly(connection, length - 8)


def _receive_data(connection: socket.socket) -> bytes:
    data = b""
    while True:
        kind, payload = _receive(connection)
        if kind in (_DATA, _END_DATA):
            data += payload[4:]
        if kind == _END_DATA:
            return data


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        # libgphoto2 sends a command in several writes. Without a quick acknowledgement, each write
        # waits for the delayed-ACK timer (40 ms).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionResetError("the client disconnected")
        data += part
    return bytes(data)


def _send(connection: socket.socket, kind: int, payload: bytes) -> None:
    connection.sendall(struct.pack("<II", 8 + len(payload), kind) + payload)
