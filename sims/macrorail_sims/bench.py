"""The controller's side of a simulated instrument, which runs in a separate process.

The simulated world (``bench_process.py``) outlives the controller that started it: killing the
controller does not affect the carriage, the camera's memory or an exposure in progress. A simulated
world to which no controller is connected ends by itself after ``linger``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from macrorail.clock import WorldClock
from macrorail.config.rig import Rig
from macrorail.devices.rail.axis import SerialRail
from macrorail.errors import ConnectError
from macrorail.quantity import Duration
from macrorail.workers import module_command
from macrorail_sims.firmware_native import build_library
from macrorail_sims.world import WorldSection

ADDRESS_FILE = "address.json"
CONTROL_SOCKET = "control"
_START_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 60.0


class SimulatedBench:
    """The controller's side of a simulated world.

    Parameters
    ----------
    options
        The rig's bench section.
    rig
        The complete rig; the simulated world contains its camera, axis and optics.
    """

    class Options(WorldSection):
        """Bench section of a simulated instrument that runs in a separate process.

        Attributes
        ----------
        linger_s
            How long the simulated world waits for a controller before it ends (wall time).
        address
            Folder of a simulated world that is already running; a new world is started when not
            given. Example: ``/tmp/macrorail-bench-1``
        diary
            File for tests: a line is added for each exposure, with the true position of the plane
            in focus. Example: ``diary.jsonl``
        """

        linger_s: Duration = Field(alias="linger", default=60.0, gt=0)
        address: str | None = None
        diary: Path | None = None

    def __init__(self, options: Options, rig: Rig) -> None:
        self._options = options
        self._rig = rig
        self._folder = Path(options.address) if options.address else None
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: dict[str, Any] = {}
        self._clock: WorldClock | None = None

    @property
    def clock(self) -> WorldClock:
        """Clock of the simulated world; available after :meth:`start`."""
        assert self._clock is not None, "the bench is not started"
        return self._clock

    @property
    def ports(self) -> Mapping[str, Any]:
        """Addresses of the simulated devices, by kind."""
        ports: dict[str, Any] = self._facts["ports"]
        return ports

    @property
    def address(self) -> str | None:
        """Folder through which another process can connect to this simulated world."""
        return None if self._folder is None else str(self._folder)

    @staticmethod
    def prepare(rig: Rig) -> None:
        """Build the firmware of the simulated rail, if the rig has one.

        Raises
        ------
        ConfigError
            There is no C compiler, or the compiler fails.
        """
        if isinstance(rig.axis, SerialRail.Options):
            build_library()

    def start(self) -> None:
        """Start a simulated world or connect to the one at ``address``, and stay connected.

        Raises
        ------
        ConnectError
            The simulated world did not start, or has ended.
        ConfigError
            There is no C compiler, or the compiler fails.
        """
        if self._folder is not None and not self._is_alive(self._folder):
            # A killed world leaves its folder behind; a resumed run then gets a new world.
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._folder is None:
            self.prepare(self._rig)
            self._folder = Path(tempfile.mkdtemp(prefix="macrorail-bench-"))
            self._launch(self._folder)
        try:
            self._facts = json.loads((self._folder / ADDRESS_FILE).read_text())
            self._control = socket.socket(socket.AF_UNIX)
            self._control.settimeout(_ANSWER_TIMEOUT_S)
            self._control.connect(str(self._folder / CONTROL_SOCKET))
        except OSError as error:
            raise ConnectError(
                f"no simulated bench responds at {self._folder}: {error.strerror}. A simulated "
                f"bench ends by itself when it is not used for {self._options.linger_s:g} s. Start "
                f"a new run"
            ) from error
        self._clock = WorldClock(self._facts["time_scale"], self._facts["epoch_s"])

    @staticmethod
    def _is_alive(folder: Path) -> bool:
        """Return false if the simulated world in ``folder`` has ended.

        For a folder that belongs to no simulated world, the result is true.
        """
        if not (folder / ADDRESS_FILE).is_file():
            return True  # the attempt to connect reports the problem
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_ANSWER_TIMEOUT_S)
            try:
                control.connect(str(folder / CONTROL_SOCKET))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True
        return True

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Send a request that no real instrument could answer (ground truth, faults).

        Parameters
        ----------
        verb
            ``truth``, ``state``, ``camera_fault``, ``camera_battery``, ``unplug_camera`` or
            ``end``; see ``bench_process.py``.

        Raises
        ------
        ConnectError
            The simulated world refused the request, or has ended.
        """
        assert self._control is not None, "the bench is not started"
        try:
            self._control.sendall(json.dumps({"do": verb, **arguments}).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n"):
                data = self._control.recv(1 << 16)
                if not data:
                    raise ConnectionResetError(0, "the connection was closed")
                line += data
        except OSError as error:
            raise ConnectError(f"the simulated bench has ended: {error.strerror}") from error
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ConnectError(f"the simulated bench refuses {verb}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the simulated world. Safe to call twice."""
        if self._control is None:
            return
        try:
            self.ask("end")
        except ConnectError:
            return  # the simulated world has ended already
        finally:
            self._control.close()
            self._control = None
            if self._process is not None:
                self._process.wait(_END_TIMEOUT_S)

    def _launch(self, folder: Path) -> None:
        (folder / "rig.json").write_text(self._rig.model_dump_json(by_alias=True))
        with (folder / "bench.log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [*module_command("macrorail_sims.bench_process"), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ.copy(),
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (folder / ADDRESS_FILE).exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                last = (folder / "bench.log").read_text().strip().splitlines()[-1:] or ["nothing"]
                raise ConnectError(
                    f"the simulated bench did not start; last line of {folder}/bench.log: {last[0]}"
                )
            time.sleep(0.02)
