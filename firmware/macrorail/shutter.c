/* The camera's cable: closes the focus line first, then the release line, for given times. */
#include "shutter.h"

#include "codes.h"
#include "hal.h"

enum phase { OPEN, FOCUSING, RELEASING };

static enum phase phase;
static uint32_t since_ms, focus_ms, release_ms;
static uint16_t count;
static uint32_t closed_us, lasted_us;

void shutter_init(void) {
    phase = OPEN;
    count = 0;
    closed_us = lasted_us = 0;
}

static void close_release(void) {
    phase = RELEASING;
    since_ms = hal_millis();
    hal_release(true);
    closed_us = hal_micros();
    lasted_us = 0;
    count++;
}

uint8_t shutter_press(int32_t with_focus_ms, int32_t with_release_ms) {
    if (phase != OPEN) return ERROR_EXPOSING;
    if (with_focus_ms < 0 || with_focus_ms > FOCUS_LONGEST || with_release_ms < 1 ||
        with_release_ms > RELEASE_LONGEST) {
        return ERROR_RANGE;
    }
    focus_ms = (uint32_t)with_focus_ms;
    release_ms = (uint32_t)with_release_ms;
    phase = FOCUSING;
    since_ms = hal_millis();
    hal_focus(true);
    return ERROR_NONE;
}

void shutter_let_go(void) {
    if (phase == RELEASING) {
        hal_release(false);
        lasted_us = hal_micros() - closed_us;
    }
    hal_focus(false);
    phase = OPEN;
}

bool shutter_is_pressed(void) {
    return phase != OPEN;
}

void shutter_poll(void) {
    uint32_t passed_ms = hal_millis() - since_ms;
    if (phase == FOCUSING && passed_ms >= focus_ms) close_release();
    else if (phase == RELEASING && passed_ms >= release_ms) shutter_let_go();
}

uint16_t shutter_count(void) {
    return count;
}

uint32_t shutter_closed_us(void) {
    return closed_us;
}

uint32_t shutter_lasted_us(void) {
    return lasted_us;
}
