"""Switches the lamp of an instrument with the shell commands in its rig."""

from __future__ import annotations

import subprocess

from macrorail.errors import ConnectError

#: Longest wall time for a command; a switchable socket on the network answers within two seconds.
_TIMEOUT_S = 30.0


class Light:
    """The lamp of an instrument, switched on for a run and off again when the run ends.

    Parameters
    ----------
    on, off
        Shell commands; exit code 0 means success.
    """

    def __init__(self, on: str, off: str) -> None:
        self._on, self._off = on, off
        self._is_on = False

    def switch_on(self) -> None:
        """Switch the lamp on; raise ``ConnectError`` if that fails."""
        # Set first, so that the lamp is switched off even if the command fails halfway.
        self._is_on = True
        why = _run_command(self._on)
        if why is not None:
            raise ConnectError(f"the light cannot be switched on: {why}; see 'light' in the rig")

    def switch_off(self) -> list[str]:
        """Switch the lamp off; return messages about failures. Safe to call twice; never raises."""
        if not self._is_on:
            return []
        self._is_on = False
        why = _run_command(self._off)
        return [] if why is None else [f"the light may still be on: {why}"]


def _run_command(command: str) -> str | None:
    """Run a shell command; return a message if it failed, or ``None``."""
    try:
        done = subprocess.run(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            # A process group of its own, so that a Ctrl-C that ends the run does not end this
            # command.
            start_new_session=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"'{command}': {error}"
    if done.returncode == 0:
        return None
    lines = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
    return f"'{command}' exited with code {done.returncode}" + (f": {lines[-1]}" if lines else "")
