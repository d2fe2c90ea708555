"""Instructions for the operator after each kind of stop of the rail."""

from __future__ import annotations

_PRESSED = "see what pushed it there or whether a wire is loose, then home the rail"
_REMEDIES: dict[str, str] = {
    "limit_min": _PRESSED,
    "limit_max": _PRESSED,
    "estop": "release the emergency stop, then home the rail",
    "emergency": "home the rail before it moves again",
    "silence": "start the move again; if it happens often, raise 'host_silence' in the rig file",
    "hello": "another program opened the rail; close it",
    "underrun": "lower 'speed' or 'acceleration' in the rig file, then home the rail",
    "no_switch": "check the home switch, its wires, the motor and its power",
    "stuck": "check the home switch, its wires and the motor's direction",
    "switch_fault": (
        "check the wires of both switches with 'macrorail firmware info', which moves nothing; if "
        "the carriage stands on the home switch, turn the screw by hand until that switch reads "
        "open; then home the rail"
    ),
}


def remedy_of(stop: str) -> str:
    """Return what to do after a stop (one of ``codes.STOPS``), as part of a sentence."""
    return _REMEDIES.get(stop, "home it before it moves again")
