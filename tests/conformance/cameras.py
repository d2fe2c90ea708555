"""The cameras that the conformance suite runs on, each in a world of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.clock import Clock, WorldClock
from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.interfaces import Context
from macrorail.frame import Frame, verify_frame
from macrorail_sims.bodies.faults import Action, Fault, Reason
from macrorail_sims.camera import InProcessCamera
from macrorail_sims.clock import VirtualClock
from tests.conformance.camera_process import TIME_SCALE, facts, make_body

OPTIONS: dict[str, Any] = {
    "driver": "named.by:Test",
    "port": "bench",
    "image_width": 300,
    "image_height": 200,
    "pixel_pitch": "4 um",
    "frame_size": "10 kB",
    "download": "0.2 s",
    "frame_timeout": "2 s",
}


def stop_at(clock: Clock, at_s: float) -> Callable[[float], None]:
    """A device of the virtual world that presses Ctrl-C once."""
    pressed = []

    def press(now_s: float) -> None:
        if now_s >= at_s and not pressed:
            pressed.append(now_s)
            clock.request_stop("Ctrl-C")

    return press


@dataclass(frozen=True)
class CameraWorld:
    """A camera and the world that it lives in.

    Attributes
    ----------
    make
        A new driver for the same body, not opened; it can also drive the lens.
    clock
        The world's clock.
    add_fault
        Adds a fault to the body's script.
    clear_faults
        Forgets those that have not struck.
    stop_soon
        Has the operator ask for a stop after 1 s of world time.
    facts
        What is true of the body: ``exposures``, ``card`` and ``memory`` (file names),
        ``glass_steps``, ``live_view``.
    set_battery
        Sets the charge of the body's battery, per cent.
    set_body
        Sets attributes of the body, as a hand at its dials does.
    """

    make: Callable[[], Any]
    clock: Clock
    add_fault: Callable[[Fault], None]
    clear_faults: Callable[[], None]
    stop_soon: Callable[[], None]
    facts: Callable[[], dict[str, Any]]
    set_battery: Callable[[int], None]
    set_body: Callable[..., object]


class BodyProcess:
    """A body behind PTP/IP in a process of its own: libgphoto2 holds the interpreter's lock."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.camera_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@contextmanager
def in_process(**body: Any) -> Iterator[CameraWorld]:
    """The body in this process, in virtual time."""
    clock = VirtualClock()
    camera_body = make_body(clock, **body)
    context = Context(clock, {"camera": camera_body})
    options = InProcessCamera.Options.model_validate(OPTIONS)
    yield CameraWorld(
        make=lambda: InProcessCamera(options, context),
        clock=clock,
        add_fault=camera_body.faults.add,
        clear_faults=camera_body.faults.clear,
        stop_soon=lambda: clock.attach(stop_at(clock, clock.now() + 1.0)),
        facts=lambda: facts(camera_body),
        set_battery=lambda percent: setattr(camera_body, "battery_percent", percent),
        set_body=lambda **given: vars(camera_body).update(given),
    )


@contextmanager
def over_ptpip(
    process: BodyProcess, time_scale: float = TIME_SCALE, **body: Any
) -> Iterator[CameraWorld]:
    """The body behind PTP/IP, driven by the real libgphoto2."""
    made = process.ask(do="make", time_scale=time_scale, **body)
    clock = WorldClock(time_scale, made["epoch_s"])
    context = Context(clock, {"camera": made["address"]})
    options = GphotoCamera.Options.model_validate(OPTIONS)

    def clear_faults() -> None:
        process.ask(do="clear_faults")

    def set_battery(percent: int) -> None:
        process.ask(do="battery", percent=percent)

    def add_fault(fault: Fault) -> None:
        process.ask(
            do="fault",
            operation=fault.operation,
            action=fault.action.name,
            reason=fault.reason.name,
            delay_s=fault.delay_s,
            after=fault.after,
            times=fault.times,
        )

    try:
        yield CameraWorld(
            make=lambda: GphotoCamera(options, context),
            clock=clock,
            add_fault=add_fault,
            clear_faults=clear_faults,
            stop_soon=lambda: threading.Timer(
                1.0 / time_scale, clock.request_stop, ["Ctrl-C"]
            ).start(),
            facts=lambda: process.ask(do="facts"),
            set_battery=set_battery,
            set_body=lambda **given: process.ask(do="set_body", **given),
        )
    finally:
        process.ask(do="unmake")


def shoot(camera: Any, stem: Path) -> Frame:
    """A frame, held against the file on disk."""
    frame: Frame = camera.collect(camera.expose(stem))
    verify_frame(frame)
    return frame


def refuse(operation: str, reason: Reason, times: int = 1) -> Fault:
    """A fault that makes the body refuse."""
    return Fault(operation, Action.REFUSE, reason, times=times)


def wait_until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait in wall time for something that another process does."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"still not so after {timeout_s:g} s"
        time.sleep(0.02)
