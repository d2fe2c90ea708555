"""The camera side of PTP: data types, property descriptions and the standard operations.

The protocol follows ISO 15740 (PTP); vendor codes have the names that libgphoto2 uses.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from macrorail_sims.bodies.base import BodyExposure, CameraBody, StoredFile
from macrorail_sims.bodies.exif import CLOCK_ZERO
from macrorail_sims.bodies.faults import Action, Fault, Reason, Refusal

OK = 0x2001
NOT_SUPPORTED = 0x2005
NO_SUCH_HANDLE = 0x2009
NO_SUCH_PROPERTY = 0x200A
ACCESS_DENIED = 0x200F
VALUE_REFUSED = 0x201C

INT8, UINT8, INT16, UINT16, INT32, UINT32, TEXT = 1, 2, 3, 4, 5, 6, 0xFFFF
_PACKING = {INT8: "<b", UINT8: "<B", INT16: "<h", UINT16: "<H", INT32: "<i", UINT32: "<I"}

_STORE = 0x00010001
_FOLDER = 0x3001
_JPEG = 0x3801
_RAW = 0x3000
_THUMBNAIL = 0x3808
_DCIM, _PICTURES = 0x0001, 0x0002
_WHOLE_STORE = 0xFFFFFFFF

#: Wall time; must be well below libgphoto2's limit. libgphoto2 waits 2.5 s for a packet over
#: PTP/IP, and after that the connection is unusable.
_RENDER_TIMEOUT_S = 0.3


def pack(kind: int, value: int | str) -> bytes:
    """Encode a value for PTP."""
    if isinstance(value, str):
        if not value:
            return b"\0"
        return bytes([len(value) + 1]) + value.encode("utf-16-le") + b"\0\0"
    return struct.pack(_PACKING[kind], value)


def unpack(kind: int, data: bytes) -> int | str:
    """Decode a value; the inverse of :func:`pack`."""
    if kind == TEXT:
        return data[1 : 1 + 2 * (data[0] - 1)].decode("utf-16-le") if data and data[0] else ""
    value: int = struct.unpack_from(_PACKING[kind], data)[0]
    return value


def array16(values: Sequence[int]) -> bytes:
    return struct.pack(f"<I{len(values)}H", len(values), *values)


def array32(values: Sequence[int]) -> bytes:
    return struct.pack(f"<I{len(values)}I", len(values), *values)


@dataclass(frozen=True)
class Property:
    """A device property.

    Attributes
    ----------
    kind
        PTP data type of the value.
    read
        Returns the current value.
    write
        Sets a new value; ``None`` for a read-only property.
    choices
        Values offered; empty without a menu.
    limits
        Lowest value, highest value and step, for a property without a menu.
    """

    kind: int
    read: Callable[[], int | str]
    write: Callable[[int], None] | None = None
    choices: Sequence[int] = ()
    limits: tuple[int, int, int] | None = None

    def describe(self, code: int) -> bytes:
        """Return the DevicePropDesc dataset."""
        value = self.read()
        data = struct.pack("<HHB", code, self.kind, self.write is not None)
        data += pack(self.kind, value) * 2  # factory default, and current value
        if self.choices:
            form = b"".join(pack(self.kind, choice) for choice in self.choices)
            return data + struct.pack("<BH", 2, len(self.choices)) + form
        if self.limits:
            return data + b"\x01" + b"".join(pack(self.kind, limit) for limit in self.limits)
        return data + b"\0"


@dataclass(frozen=True)
class PtpAnswer:
    """Answer to an operation: response code, parameters, and data sent over ``pace_s`` seconds."""

    code: int = OK
    parameters: tuple[int, ...] = ()
    data: bytes | None = None
    pace_s: float = 0.0
    sent: Callable[[], None] | None = None


Operation = Callable[[tuple[int, ...], bytes], PtpAnswer]


class Dropped(Exception):
    """The simulated body cuts the connection."""


class Swallowed(Exception):
    """The simulated body never answers."""


class Responder:
    """Answers PTP operations for a body; subclasses add the operations of a maker.

    Parameters
    ----------
    body
        The camera body.
    """

    vendor = 0
    vendor_text = ""
    events: tuple[int, ...] = (0x4002, 0x4003, 0x4006, 0x400D)
    reasons: ClassVar[Mapping[Reason, int]] = {
        Reason.BUSY: 0x2019,
        Reason.STORE_FULL: 0x200C,
        Reason.VALUE_NOT_OFFERED: VALUE_REFUSED,
        Reason.NO_SUCH_FILE: NO_SUCH_HANDLE,
        Reason.GENERAL: 0x2002,
    }

    def __init__(self, body: CameraBody) -> None:
        self.body = body
        self.clock = body.world.clock
        self._developing: list[threading.Thread] = []
        self._renderer = ThreadPoolExecutor(1)
        self._drawing: Future[bytes] | None = None
        self.properties: dict[int, Property] = {}
        # Operation, and its name in fault scripts.
        self.operations: dict[int, tuple[str, Operation]] = {
            0x1001: ("info", lambda _p, _d: PtpAnswer(data=self._device_info())),
            0x1002: ("session", lambda _p, _d: PtpAnswer()),
            0x1003: ("session", lambda _p, _d: PtpAnswer()),
            0x1004: ("store", lambda _p, _d: PtpAnswer(data=array32([_STORE]))),
            0x1005: ("store", lambda _p, _d: PtpAnswer(data=self._store_info())),
            0x1006: ("list", lambda p, _d: PtpAnswer(parameters=(len(self._list(p)),))),
            0x1007: ("list", lambda p, _d: PtpAnswer(data=array32(self._list(p)))),
            0x1008: ("list", lambda p, _d: PtpAnswer(data=self._object_info(p[0]))),
            0x1009: ("read", lambda p, _d: self._read(p[0])),
            0x100B: ("delete", self._delete),
            0x1014: ("get", lambda p, _d: self._describe(p[0])),
            0x1015: ("get", lambda p, _d: self._value(p[0])),
            0x1016: ("set", self._set),
        }

    def answer(self, code: int, parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        """Perform one operation and return its answer.

        Raises
        ------
        Dropped, Swallowed
            A scripted fault cuts the connection or suppresses the answer.
        """
        known = self._operation(code, parameters)
        if known is None:
            return PtpAnswer(NOT_SUPPORTED)
        self.body.settle_settings()
        name, operation = known
        fault = self.body.faults.take(name)
        try:
            if fault is not None:
                self._strike(fault)
            if name == "release" and fault is not None:
                # Many bodies first receive a half press. The fault applies to the next exposure.
                self._fault = fault
            return operation(parameters, data)
        except Refusal as refusal:
            return PtpAnswer(self.reasons[refusal.reason])

    def _operation(self, code: int, _parameters: tuple[int, ...]) -> tuple[str, Operation] | None:
        """Return an operation's name in fault scripts and its function; ``None`` if unknown."""
        return self.operations.get(code)

    def live_view_frame(self) -> bytes:
        """Return a live-view frame; refuse as busy when the rendering takes too long.

        A frame that was rendered too late is not sent, so no client receives an outdated picture.
        The next frame is rendered fast, because the scene is cached by then.
        """
        if self._drawing is not None and not self._drawing.done():
            raise Refusal(Reason.BUSY)
        self._drawing = self._renderer.submit(self.body.live_view_frame)
        try:
            return self._drawing.result(_RENDER_TIMEOUT_S)
        except TimeoutError:
            raise Refusal(Reason.BUSY) from None

    def join(self) -> None:
        """Wait until the exposures in progress are rendered."""
        self._renderer.shutdown()
        for thread in self._developing:
            thread.join()

    def release(self, to_card: bool) -> None:
        """Open the shutter; the frame is rendered in the background."""
        self._develop(self.body.release(to_card, self._take_fault()))

    def end_bulb(self) -> None:
        """End the bulb exposure in progress; the frame is rendered in the background."""
        self._develop(self.body.close_bulb(self.clock.now(), self._take_fault()))

    def _take_fault(self) -> Fault | None:
        fault, self._fault = self._fault, None
        return fault

    def _develop(self, shot: BodyExposure) -> None:
        def develop() -> None:
            self.clock.sleep(max(0.0, shot.light.end_s - self.clock.now()))
            self.body.develop(shot)

        self._developing = [thread for thread in self._developing if thread.is_alive()]
        thread = threading.Thread(target=develop, name=f"develop {shot.light.number}")
        self._developing.append(thread)
        thread.start()

    _fault: Fault | None = None

    def _strike(self, fault: Fault) -> None:
        if fault.action is Action.REFUSE:
            raise Refusal(fault.reason)
        if fault.action is Action.DROP:
            raise Dropped
        if fault.action is Action.SWALLOW:
            raise Swallowed
        if fault.action is Action.STALL:
            self.clock.sleep(fault.delay_s)

    def _device_info(self) -> bytes:
        return (
            struct.pack("<HIH", 100, self.vendor, 100)
            + pack(TEXT, self.vendor_text)
            + struct.pack("<H", 0)
            + array16(sorted(self.operations))
            + array16(self.events)
            + array16(self._listed())
            + array16([_JPEG])
            + array16([_JPEG, _RAW, _FOLDER])
            + pack(TEXT, self.body.maker)
            + pack(TEXT, self.body.model)
            + pack(TEXT, self.body.version)
            + pack(TEXT, self.body.serial)
        )

    def _listed(self) -> list[int]:
        """Return the codes of the properties that the device info lists."""
        return sorted(self.properties)

    def _setting(self, name: str, kind: int) -> Property:
        """Return a property with a menu that reads and changes the setting ``name``."""
        setting = self.body.settings[name]

        def write(value: int) -> None:
            self.body.set(name, value)

        return Property(kind, lambda: setting.value, write, list(setting.choices.values()))

    def _store_info(self) -> bytes:
        used = sum(len(file.data) for file in self.body.files.values() if file.on_card)
        free = max(0, self.body.card_bytes - used)
        return (
            struct.pack("<HHHQQI", 4, 2, 0, self.body.card_bytes, free, 999)
            + pack(TEXT, "CARD")
            + pack(TEXT, "")
        )

    def _list(self, parameters: tuple[int, ...]) -> list[int]:
        parent = parameters[2] if len(parameters) > 2 else 0
        files = [handle for handle, file in self.body.files.items() if file.on_card]
        if parent == 0:
            return [_DCIM, _PICTURES, *files]
        if parent in (_WHOLE_STORE, _STORE):
            return [_DCIM]
        return {_DCIM: [_PICTURES], _PICTURES: files}.get(parent, [])

    def _object_info(self, handle: int) -> bytes:
        if handle == _DCIM:
            return self._info(_STORE, _FOLDER, 0, 0, "DCIM", 0.0)
        if handle == _PICTURES:
            return self._info(_STORE, _FOLDER, 0, _DCIM, "100NCD85", 0.0)
        file = self.body.file(handle)
        store, parent = (_STORE, _PICTURES) if file.on_card else (0, 0)
        return self._info(
            store, _file_format(file), len(file.data), parent, file.name, file.taken_s
        )

    def _info(
        self, store: int, kind: int, size: int, parent: int, name: str, taken_s: float
    ) -> bytes:
        when = f"{CLOCK_ZERO + timedelta(seconds=taken_s):%Y%m%dT%H%M%S}"
        return (
            struct.pack("<IHHI", store, kind, 0, size)
            + struct.pack("<HIII", _THUMBNAIL, 0, 0, 0)
            + struct.pack("<IIII", 0, 0, 24, parent)
            + struct.pack("<HII", kind == _FOLDER, 0, 0)
            + pack(TEXT, name)
            + pack(TEXT, when) * 2
            + pack(TEXT, "")
        )

    def _read(self, handle: int) -> PtpAnswer:
        file = self.body.file(handle)

        def sent() -> None:
            # A frame in memory is removed when it has been downloaded; a frame on the card stays.
            if not file.on_card:
                self.body.delete(handle)

        pace_s = self.body.transfer_s(len(file.data))
        return PtpAnswer(data=file.data, pace_s=pace_s, sent=sent)

    def _delete(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        self.body.delete(parameters[0])
        return PtpAnswer()

    def _describe(self, code: int) -> PtpAnswer:
        if code not in self.properties:
            return PtpAnswer(NO_SUCH_PROPERTY)
        return PtpAnswer(data=self.properties[code].describe(code))

    def _value(self, code: int) -> PtpAnswer:
        if code not in self.properties:
            return PtpAnswer(NO_SUCH_PROPERTY)
        known = self.properties[code]
        return PtpAnswer(data=pack(known.kind, known.read()))

    def _set(self, parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        known = self.properties.get(parameters[0])
        if known is None:
            return PtpAnswer(NO_SUCH_PROPERTY)
        if known.write is None:
            return PtpAnswer(ACCESS_DENIED)
        value = unpack(known.kind, data)
        if not isinstance(value, int) or (known.choices and value not in known.choices):
            return PtpAnswer(VALUE_REFUSED)
        known.write(value)
        return PtpAnswer()


def _file_format(file: StoredFile) -> int:
    return _JPEG if file.name.endswith(".JPG") else _RAW
