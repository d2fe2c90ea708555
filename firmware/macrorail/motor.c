/* Switches the motor off after a time at rest, if the host allows it. */
#include "motor.h"

#include "codes.h"
#include "hal.h"

static bool is_on;
static uint32_t since_ms, longest_ms;

void motor_init(void) {
    is_on = false;
    longest_ms = 0;
}

uint8_t motor_set_rest(int32_t rest_ms) {
    if (rest_ms < 0 || rest_ms > REST_LONGEST) return ERROR_RANGE;
    longest_ms = (uint32_t)rest_ms;
    motor_rests();
    return ERROR_NONE;
}

void motor_on(void) {
    is_on = true;
    hal_enable(true);
}

void motor_rests(void) {
    since_ms = hal_millis();
}

bool motor_poll(void) {
    if (!is_on || longest_ms == 0 || hal_millis() - since_ms < longest_ms) return false;
    is_on = false;
    hal_enable(false);
    return true;
}
