"""The codes of the rail's serial protocol: generated, edit firmware/codes.csv."""

from __future__ import annotations

# How many arguments each verb takes.
VERBS: dict[str, int] = {
    "HELLO": 2,
    "STATUS": 0,
    "PACE": 2,
    "LIMITS": 2,
    "SILENCE": 1,
    "HOME": 3,
    "GO": 1,
    "STOP": 0,
    "REST": 1,
    "EXPOSE": 2,
    "SHOTS": 0,
}

ERRORS: dict[str, str] = {
    "none": "not an error",
    "crc": "the line was damaged on its way",
    "long": "the line was longer than 64 characters",
    "syntax": "the line does not consist of a sequence number and a verb and integers",
    "hello": "no session is open: the board was reset or the host never said HELLO",
    "version": "host and board use different versions of the serial protocol",
    "sequence": "the sequence number is neither the last one nor the one after it",
    "verb": "the board does not know this verb",
    "arguments": "the number of arguments is wrong for this verb",
    "range": "an argument is outside the range that the board supports",
    "busy": "the board is moving and accepts this verb only at rest",
    "exposing": "the shutter is being released and nothing may move until the release ends",
    "unhomed": "the position is not known; HOME is needed first",
    "unlimited": "no soft limits were set since the session was opened",
    "outside": "the target is outside the soft limits",
    "limit": "the limit switch on the way is pressed",
    "estop": "the emergency stop is pressed",
    "switch_fault": "an end switch reads pressed where the carriage cannot be at it",
}

STOPS: dict[str, str] = {
    "none": "nothing has moved since the reset",
    "done": "the motion reached its target",
    "host": "the host asked for a stop",
    "silence": "the host was silent for too long",
    "hello": "a new session was opened during the motion",
    "emergency": "the emergency byte 0x85 or a line with only ! arrived",
    "limit_min": "the limit switch at the home end was pressed",
    "limit_max": "the limit switch at the specimen end was pressed",
    "estop": "the emergency stop was pressed",
    "underrun": "the motion was not prepared in time",
    "no_switch": "homing moved the full search distance without finding the home switch",
    "stuck": "the home switch stayed pressed although the carriage was driven away from it",
    "switch_fault": "an end switch reads pressed where the carriage cannot be at it",
}

STATES: dict[str, str] = {
    "idle": "at rest",
    "moving": "moving to a target",
    "homing": "looking for the home switch",
}

CAUSES: dict[str, str] = {
    "unknown": "the cause is not known because the bootloader does not report it",
    "power": "power came on",
    "pin": "the reset pin: a button or the opening of the port",
    "brownout": "the supply voltage sagged",
    "watchdog": "the program hung and the watchdog ended it",
}

KEPT: dict[str, str] = {
    "lost": "the power failed during a motion or before the position was known",
    "clean": "the carriage was at rest at this position when the power failed",
}
