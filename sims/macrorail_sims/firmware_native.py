"""The rail's firmware, compiled for this computer, running in virtual time inside this process.

``python -m macrorail_sims.serial_bridge`` runs it in a separate process behind a pseudo terminal.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from macrorail.errors import ConfigError
from macrorail.shipped import BUILD, FIRMWARE
from macrorail_sims.carriage import TICKS_PER_S, CarriageState

_CARRIAGE = Path(__file__).resolve().parent
LIBRARY = BUILD / "libmacrorail_native.so"
BAUD = 115_200

# The order of the causes in firmware/codes.csv.
_CAUSES = {"unknown": 0, "power": 1, "pin": 2, "brownout": 3, "watchdog": 4}


def build_library() -> Path:
    """Return the path of the firmware as a shared library; build it if missing or out of date.

    If the environment variable ``MACRORAIL_NATIVE_LIBRARY`` names a library built elsewhere, that
    path is returned.

    Raises
    ------
    ConfigError
        The library needs to be built and cannot be built.
    """
    elsewhere = os.environ.get("MACRORAIL_NATIVE_LIBRARY")
    if elsewhere:
        return Path(elsewhere)
    if _is_fresh():
        return LIBRARY
    missing = [tool for tool in ("make", "cc") if shutil.which(tool) is None]
    if missing:
        raise ConfigError(
            f"the simulated rail needs {' and '.join(missing)} to build the firmware for this "
            f"computer; install them (Debian: apt install gcc libc6-dev make) or set "
            f"MACRORAIL_NATIVE_LIBRARY to a library built elsewhere"
        )
    made = subprocess.run(
        ["make", "-s", "-C", str(FIRMWARE), "native", f"BUILD={BUILD}", f"CARRIAGE={_CARRIAGE}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ConfigError(
            f"the firmware could not be built for this computer; "
            f"'make -C {FIRMWARE} native BUILD={BUILD}' printed:\n{made.stderr.strip()}\n"
            f"If {BUILD} cannot be written, set XDG_CACHE_HOME to a folder that can be written"
        )
    return LIBRARY


def _is_fresh() -> bool:
    if not LIBRARY.exists():
        return False
    built_s = LIBRARY.stat().st_mtime
    sources = [
        *(FIRMWARE / "macrorail").glob("*.[ch]"),
        *_CARRIAGE.glob("carriage.[ch]"),
    ]
    return all(source.stat().st_mtime <= built_s for source in sources)


def _load_private(library: Path) -> ctypes.CDLL:
    """Load a private copy of the library, because a loaded library has variables for one board."""
    with tempfile.NamedTemporaryFile(prefix="macrorail-", suffix=".so") as copy:
        copy.write(library.read_bytes())
        copy.flush()
        return ctypes.CDLL(copy.name)


class NativeBoard:
    """One board with its carriage, simulated in world time.

    Parameters
    ----------
    state
        Memory for the carriage, such as a file shared with other processes; newly allocated when
        ``None``.
    start_place, length
        Initial position of the carriage, and distance between the switches, in microsteps.
    now_s
        World time at power-on, seconds.
    bootloader_s
        How long the board receives nothing after a reset, seconds of world time.
    """

    def __init__(
        self,
        state: CarriageState | None = None,
        *,
        start_place: int = 5_000,
        length: int = 160_000,
        now_s: float = 0.0,
        bootloader_s: float = 1.0,
    ) -> None:
        self.state = CarriageState() if state is None else state
        self._bootloader_ticks = round(bootloader_s * TICKS_PER_S)
        self._code = _load_private(build_library())
        self._code.carriage_init.argtypes = (
            ctypes.POINTER(CarriageState),
            ctypes.c_int64,
            ctypes.c_int64,
        )
        self._code.native_attach.argtypes = (ctypes.POINTER(CarriageState), ctypes.c_uint64)
        self._code.native_reset.argtypes = (ctypes.c_uint8, ctypes.c_uint64)
        self._code.native_run.argtypes = (ctypes.c_uint64,)
        self._code.native_send.argtypes = (ctypes.c_char_p, ctypes.c_uint32)
        self._code.native_receive.argtypes = (ctypes.c_char_p, ctypes.c_uint32)
        self._code.native_receive.restype = ctypes.c_uint32
        self._code.native_is_quiet.restype = ctypes.c_bool
        self._code.carriage_init(ctypes.byref(self.state), start_place, length)
        self.state.now = round(now_s * TICKS_PER_S)
        self._code.native_attach(ctypes.byref(self.state), self._bootloader_ticks)
        self._received = ctypes.create_string_buffer(4096)

    def run_until(self, world_s: float) -> None:
        """Simulate up to a world time, seconds."""
        self._code.native_run(round(world_s * TICKS_PER_S))

    def run_us(self, duration_us: float) -> None:
        """Simulate for a number of microseconds of world time."""
        self._code.native_run(self.state.now + round(duration_us * TICKS_PER_S / 1e6))

    def rx(self, data: bytes) -> None:
        """Send bytes to the board; the transfer takes as long as at 115200 baud."""
        self._code.native_send(data, len(data))

    def tx(self) -> bytes:
        """Return the bytes that have arrived from the board since the last call."""
        count = self._code.native_receive(self._received, len(self._received))
        return self._received.raw[:count]

    def reset(self, cause: str = "pin") -> None:
        """Reset the board; the carriage stays where it is.

        Parameters
        ----------
        cause
            ``power``, ``pin``, ``brownout`` or ``watchdog``.
        """
        self._code.native_reset(_CAUSES[cause], self._bootloader_ticks)

    def is_quiet(self) -> bool:
        """Return whether the board stays idle until the host sends something."""
        return bool(self._code.native_is_quiet())
