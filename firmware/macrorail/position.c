/* Records whether the position of the carriage is known from the step count. */
#include "position.h"

#include "codes.h"

static bool known, counted;

void position_init(void) {
    known = counted = false;
}

bool position_is_known(void) {
    return known;
}

bool position_is_counted(void) {
    return counted;
}

void position_after(uint8_t stop_code) {
    switch (stop_code) {
    case STOP_DONE:
    case STOP_HOST:
    case STOP_SILENCE:
    case STOP_HELLO:
        break; /* ended by a ramp: no step was lost */
    default:
        known = false;
    }
}

void position_forget(void) {
    known = false;
}

void position_assume(void) {
    counted = true;
}

void position_found(void) {
    known = counted = true;
}
