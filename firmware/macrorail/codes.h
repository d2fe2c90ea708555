/* The codes of the serial protocol, generated from codes.csv: edit them there. */
#ifndef MACRORAIL_CODES_H
#define MACRORAIL_CODES_H

enum verb_code {
    VERB_HELLO, /* open a session: wire version and a number of the host's choice */
    VERB_STATUS, /* what the board is doing and where it is */
    VERB_PACE, /* speed in steps/s and acceleration in steps/s^2 of the moves that follow */
    VERB_LIMITS, /* lowest and highest target that GO accepts in steps */
    VERB_SILENCE, /* how many ms without a valid line end a motion */
    VERB_HOME, /* find the home switch: longest search in steps and its speed in steps/s and the distance in steps to rest from the switch */
    VERB_GO, /* go to an absolute position in steps */
    VERB_STOP, /* ramp down and stop */
    VERB_REST, /* after how many ms at rest the motor is switched off; 0 for never */
    VERB_EXPOSE, /* press the shutter: ms with the focus line alone and then ms with the release line as well */
    VERB_SHOTS, /* what the shutter lines did and what the hot shoe saw */
    VERB_COUNT
};

#define VERB_NAMES \
    "HELLO\0" \
    "STATUS\0" \
    "PACE\0" \
    "LIMITS\0" \
    "SILENCE\0" \
    "HOME\0" \
    "GO\0" \
    "STOP\0" \
    "REST\0" \
    "EXPOSE\0" \
    "SHOTS\0"

#define VERB_ARGUMENTS {2, 0, 2, 2, 1, 3, 1, 0, 1, 2, 0}

enum error_code {
    ERROR_NONE, /* not an error */
    ERROR_CRC, /* the line was damaged on its way */
    ERROR_LONG, /* the line was longer than 64 characters */
    ERROR_SYNTAX, /* the line does not consist of a sequence number and a verb and integers */
    ERROR_HELLO, /* no session is open: the board was reset or the host never said HELLO */
    ERROR_VERSION, /* host and board use different versions of the serial protocol */
    ERROR_SEQUENCE, /* the sequence number is neither the last one nor the one after it */
    ERROR_VERB, /* the board does not know this verb */
    ERROR_ARGUMENTS, /* the number of arguments is wrong for this verb */
    ERROR_RANGE, /* an argument is outside the range that the board supports */
    ERROR_BUSY, /* the board is moving and accepts this verb only at rest */
    ERROR_EXPOSING, /* the shutter is being released and nothing may move until the release ends */
    ERROR_UNHOMED, /* the position is not known; HOME is needed first */
    ERROR_UNLIMITED, /* no soft limits were set since the session was opened */
    ERROR_OUTSIDE, /* the target is outside the soft limits */
    ERROR_LIMIT, /* the limit switch on the way is pressed */
    ERROR_ESTOP, /* the emergency stop is pressed */
    ERROR_SWITCH_FAULT, /* an end switch reads pressed where the carriage cannot be at it */
    ERROR_COUNT
};

#define ERROR_NAMES \
    "none\0" \
    "crc\0" \
    "long\0" \
    "syntax\0" \
    "hello\0" \
    "version\0" \
    "sequence\0" \
    "verb\0" \
    "arguments\0" \
    "range\0" \
    "busy\0" \
    "exposing\0" \
    "unhomed\0" \
    "unlimited\0" \
    "outside\0" \
    "limit\0" \
    "estop\0" \
    "switch_fault\0"

enum stop_code {
    STOP_NONE, /* nothing has moved since the reset */
    STOP_DONE, /* the motion reached its target */
    STOP_HOST, /* the host asked for a stop */
    STOP_SILENCE, /* the host was silent for too long */
    STOP_HELLO, /* a new session was opened during the motion */
    STOP_EMERGENCY, /* the emergency byte 0x85 or a line with only ! arrived */
    STOP_LIMIT_MIN, /* the limit switch at the home end was pressed */
    STOP_LIMIT_MAX, /* the limit switch at the specimen end was pressed */
    STOP_ESTOP, /* the emergency stop was pressed */
    STOP_UNDERRUN, /* the motion was not prepared in time */
    STOP_NO_SWITCH, /* homing moved the full search distance without finding the home switch */
    STOP_STUCK, /* the home switch stayed pressed although the carriage was driven away from it */
    STOP_SWITCH_FAULT, /* an end switch reads pressed where the carriage cannot be at it */
    STOP_COUNT
};

#define STOP_NAMES \
    "none\0" \
    "done\0" \
    "host\0" \
    "silence\0" \
    "hello\0" \
    "emergency\0" \
    "limit_min\0" \
    "limit_max\0" \
    "estop\0" \
    "underrun\0" \
    "no_switch\0" \
    "stuck\0" \
    "switch_fault\0"

enum state_code {
    STATE_IDLE, /* at rest */
    STATE_MOVING, /* moving to a target */
    STATE_HOMING, /* looking for the home switch */
    STATE_COUNT
};

#define STATE_NAMES \
    "idle\0" \
    "moving\0" \
    "homing\0"

enum cause_code {
    CAUSE_UNKNOWN, /* the cause is not known because the bootloader does not report it */
    CAUSE_POWER, /* power came on */
    CAUSE_PIN, /* the reset pin: a button or the opening of the port */
    CAUSE_BROWNOUT, /* the supply voltage sagged */
    CAUSE_WATCHDOG, /* the program hung and the watchdog ended it */
    CAUSE_COUNT
};

#define CAUSE_NAMES \
    "unknown\0" \
    "power\0" \
    "pin\0" \
    "brownout\0" \
    "watchdog\0"

enum kept_code {
    KEPT_LOST, /* the power failed during a motion or before the position was known */
    KEPT_CLEAN, /* the carriage was at rest at this position when the power failed */
    KEPT_COUNT
};

#define KEPT_NAMES \
    "lost\0" \
    "clean\0"

#endif
