/* The board as a whole: actions once after a reset, and the main loop. */
#include "board.h"

#include "codes.h"
#include "hal.h"
#include "homing.h"
#include "inbox.h"
#include "limits.h"
#include "motion.h"
#include "motor.h"
#include "position.h"
#include "protocol.h"
#include "session.h"
#include "shoe.h"
#include "shutter.h"
#include "store.h"
#include "travel.h"

void board_setup(void) {
    inbox_init();
    protocol_init();
    motion_init();
    homing_init();
    position_init();
    limits_clear();
    shutter_init();
    shoe_init();
    motor_init();
    hal_init();
    store_init();
    travel_init();
    session_init();
}

static void obey_emergency(void) {
    protocol_init();
    travel_halt(STOP_EMERGENCY);
    shutter_let_go();
}

static void read_byte(uint8_t byte) {
    struct command command;
    uint8_t error;
    switch (protocol_feed(byte, &command, &error)) {
    case LINE_COMMAND:
        session_command(&command);
        break;
    case LINE_BAD:
        session_bad_line(error);
        break;
    case LINE_EMERGENCY:
        obey_emergency();
        break;
    case LINE_NOTHING:
        break;
    }
}

/* At most one byte per round, so that a noisy line cannot delay the other tasks. */
void board_loop(void) {
    if (inbox_take_emergency()) obey_emergency();
    int16_t byte = inbox_take();
    if (byte >= 0) read_byte((uint8_t)byte);
    travel_poll();
    shutter_poll();
    session_poll();
    hal_idle();
}
