/* Carries out each verb and writes its answer. */
#include "commands.h"

#include "codes.h"
#include "hal.h"
#include "limits.h"
#include "motion.h"
#include "motor.h"
#include "position.h"
#include "session.h"
#include "shoe.h"
#include "shutter.h"
#include "store.h"
#include "travel.h"

static const uint8_t argument_counts[VERB_COUNT] PROGMEM = VERB_ARGUMENTS;
static const char firmware_version[] PROGMEM = "0.2.0";

static uint8_t set_limits(int32_t lowest, int32_t highest) {
    if (travel_state() != STATE_IDLE) return ERROR_BUSY;
    if (lowest > highest) return ERROR_RANGE;
    limits_set(lowest, highest);
    return ERROR_NONE;
}

static uint8_t perform(const struct command *command) {
    const int32_t *arguments = command->arguments;
    if (command->verb >= VERB_COUNT) return ERROR_VERB;
    if (command->argument_count != pgm_read_byte(&argument_counts[command->verb])) {
        return ERROR_ARGUMENTS;
    }
    switch (command->verb) {
    case VERB_PACE:
        return travel_set_pace(arguments[0], arguments[1]);
    case VERB_LIMITS:
        return set_limits(arguments[0], arguments[1]);
    case VERB_SILENCE:
        return session_set_silence(arguments[0]);
    case VERB_HOME:
        return travel_home(command->sequence, arguments[0], arguments[1], arguments[2]);
    case VERB_GO:
        return travel_go(command->sequence, arguments[0]);
    case VERB_STOP:
        travel_stop(STOP_HOST);
        shutter_let_go();
        return ERROR_NONE;
    case VERB_REST:
        return travel_state() == STATE_IDLE ? motor_set_rest(arguments[0]) : ERROR_BUSY;
    case VERB_EXPOSE:
        return travel_expose(arguments[0], arguments[1]);
    default:
        return ERROR_NONE;
    }
}

/* Numbers in the serial protocol end at 2^31, so microseconds wrap around there. */
static void report_us(struct report *answer, uint32_t time_us) {
    report_number(answer, (int32_t)(time_us & 0x7FFFFFFFUL));
}

static void report_shots(struct report *answer) {
    uint16_t contacts;
    uint32_t contact_us;
    shoe_read(&contacts, &contact_us);
    report_number(answer, shutter_count());
    report_us(answer, shutter_closed_us());
    report_us(answer, shutter_lasted_us());
    report_number(answer, contacts);
    report_us(answer, contact_us);
}

void commands_execute(const struct command *command, struct report *answer) {
    uint8_t error = perform(command);
    if (error != ERROR_NONE) {
        report_error(answer, command, error);
        return;
    }
    report_ok(answer, command);
    if (command->verb == VERB_HELLO) {
        report_word(answer, firmware_version);
        report_cause(answer, hal_reset_cause());
        report_kept(answer, store_is_clean() ? KEPT_CLEAN : KEPT_LOST);
        report_number(answer, store_is_clean() ? store_position() : 0);
    } else if (command->verb == VERB_STATUS) {
        report_state(answer, travel_state());
        report_number(answer, motion_position());
        report_number(answer, position_is_known());
        report_number(answer, travel_motion());
        report_stop(answer, travel_stop_code());
        report_number(answer, hal_inputs());
        report_number(answer, travel_slip());
    } else if (command->verb == VERB_SHOTS) {
        report_shots(answer);
    }
}
