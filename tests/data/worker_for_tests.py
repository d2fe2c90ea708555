"""A worker that does as it is told, misbehaviour included; see tests/unit/test_workers.py."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from macrorail.errors import CameraBusy
from macrorail.workers import serve


def echo(**arguments: Any) -> dict[str, Any]:
    return {"heard": arguments}


def refuse() -> dict[str, Any]:
    raise CameraBusy("try again")


def stumble() -> dict[str, Any]:
    raise ValueError("surprise")


def hang() -> dict[str, Any]:
    time.sleep(60)
    return {}


def crash() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def chatter() -> dict[str, Any]:
    os.write(1, b"C libraries print to standard output\n")
    return {}


if __name__ == "__main__":
    serve({f.__name__: f for f in (echo, refuse, stumble, hang, crash, chatter)})
