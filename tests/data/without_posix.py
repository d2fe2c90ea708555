"""Makes an interpreter lack what Windows lacks; imported as ``sitecustomize``, by workers too.

Only for imports by macrorail: libraries of others have ways of their own on Windows.
"""

from __future__ import annotations

import builtins
import os
import select
import signal
import socket
import sys
from typing import Any

_POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
_NOT_INSTALLED = {"gphoto2"}
_import = builtins.__import__


def _refuse(name: str, globals_: Any = None, *rest: Any, **more: Any) -> Any:
    importer = str((globals_ or {}).get("__name__", "")).partition(".")[0]
    top = name.partition(".")[0]
    ours = importer in {"macrorail", "macrorail_sims", "__main__"}
    if top in _NOT_INSTALLED or (ours and top in _POSIX_ONLY):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    return _import(name, globals_, *rest, **more)


def _only_sockets(*_: Any) -> Any:
    raise OSError(10038, "an operation was attempted on something that is not a socket")


if os.environ.get("MACRORAIL_TEST_WITHOUT_POSIX"):
    builtins.__import__ = _refuse
    select.select = _only_sockets
    for owner, names in {
        os: "fork killpg nice setsid getpgrp tcgetpgrp O_DIRECTORY posix_fallocate mkfifo",
        signal: "SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGSTOP SIGCONT SIGQUIT",
        socket: "AF_UNIX",
    }.items():
        for name in names.split():
            delattr(owner, name)
    for name in [one for one in sys.modules if one.partition(".")[0] in _NOT_INSTALLED]:
        del sys.modules[name]
