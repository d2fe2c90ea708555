"""The lamp of an instrument, switched by the shell commands that its rig names."""

from __future__ import annotations

import subprocess

from macrorail.errors import ConnectError

#: Wall time; a socket on the network answers within a second or two.
_PATIENCE_S = 30.0


class Light:
    """Switched on for a run, and off again whatever becomes of it.

    Parameters
    ----------
    on, off
        Shell commands that end with 0 when it is done.
    """

    def __init__(self, on: str, off: str) -> None:
        self._on, self._off = on, off
        self._is_on = False

    def switch_on(self) -> None:
        """Raise ``ConnectError`` if there is no light."""
        # Before it is known: a command that failed half way is undone as well.
        self._is_on = True
        why = _trouble(self._on)
        if why is not None:
            raise ConnectError(f"the light does not come on: {why}; see 'light' in the rig")

    def switch_off(self) -> list[str]:
        """What went wrong, in words. Safe to call twice; it never raises."""
        if not self._is_on:
            return []
        self._is_on = False
        why = _trouble(self._off)
        return [] if why is None else [f"the light may still be on: {why}"]


def _trouble(command: str) -> str | None:
    """Do a command; what is wrong with it, if anything."""
    try:
        done = subprocess.run(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            # Its own group: a Ctrl-C that ends the run must not end this.
            start_new_session=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"'{command}': {error}"
    if done.returncode == 0:
        return None
    lines = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
    return f"'{command}' ended with {done.returncode}" + (f": {lines[-1]}" if lines else "")
