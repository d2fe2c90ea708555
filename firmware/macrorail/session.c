/* Sessions: opening, sequence numbers, repeated lines, and silence of the host. */
#include "session.h"

#include "codes.h"
#include "commands.h"
#include "hal.h"
#include "limits.h"
#include "motor.h"
#include "report.h"
#include "shutter.h"
#include "travel.h"

#define SILENCE_AT_FIRST 1000u /* ms */

static bool open;
static uint16_t last_sequence;
static uint32_t last_crc;
static struct report answer; /* kept, to be sent again if the host repeats the command */
static struct report aside;  /* lines that are never sent again */
static uint32_t heard_ms, silence_ms;

void session_init(void) {
    open = false;
    silence_ms = SILENCE_AT_FIRST;
    report_boot(&aside, hal_reset_cause());
    report_send(&aside);
}

uint8_t session_set_silence(int32_t longest_ms) {
    if (longest_ms < SILENCE_SHORTEST || longest_ms > SILENCE_LONGEST) return ERROR_RANGE;
    silence_ms = (uint32_t)longest_ms;
    return ERROR_NONE;
}

void session_bad_line(uint8_t error) {
    report_bad(&aside, error);
    report_send(&aside);
}

static void refuse(const struct command *command, uint8_t error) {
    report_error(&aside, command, error);
    report_send(&aside);
}

/* A new session stops a motion of the previous one and discards its limits. */
static void open_session(void) {
    travel_stop(STOP_HELLO);
    shutter_let_go();
    motor_set_rest(0);
    limits_clear();
    silence_ms = SILENCE_AT_FIRST;
    open = true;
}

static bool hello_fits(const struct command *command) {
    if (command->argument_count == 2 && command->arguments[0] == WIRE_VERSION) return true;
    report_error(&aside, command,
                 command->argument_count == 2 ? ERROR_VERSION : ERROR_ARGUMENTS);
    report_number(&aside, WIRE_VERSION);
    report_send(&aside);
    return false;
}

static uint16_t after(uint16_t sequence) {
    return sequence == 65535u ? 1u : (uint16_t)(sequence + 1u);
}

void session_command(const struct command *command) {
    if (open && command->sequence == last_sequence && command->crc == last_crc) {
        heard_ms = hal_millis();
        report_send(&answer);
        return;
    }
    if (command->verb == VERB_HELLO) {
        if (!hello_fits(command)) return;
        open_session();
    } else if (!open) {
        refuse(command, ERROR_HELLO);
        return;
    } else if (command->sequence != after(last_sequence)) {
        refuse(command, ERROR_SEQUENCE);
        return;
    }
    heard_ms = hal_millis();
    last_sequence = command->sequence;
    last_crc = command->crc;
    commands_execute(command, &answer);
    report_send(&answer);
}

void session_poll(void) {
    if (hal_millis() - heard_ms <= silence_ms) return;
    if (travel_state() != STATE_IDLE) travel_stop(STOP_SILENCE);
    if (shutter_is_pressed()) shutter_let_go();
}
