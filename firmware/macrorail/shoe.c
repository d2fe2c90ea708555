/* The contact of the hot shoe (or PC socket), which closes when the camera exposes. */
#include "shoe.h"

#include "hal.h"

/* A contact that has changed within this time is bouncing. */
#define QUIET_US 5000u

static uint16_t count;
static uint32_t closed_us, changed_us;

void shoe_init(void) {
    count = 0;
    closed_us = 0;
    changed_us = 0u - QUIET_US; /* as if it had been quiet before the reset */
}

void shoe_changed(bool closed) {
    uint32_t now_us = hal_micros();
    if (closed && now_us - changed_us >= QUIET_US) {
        count++;
        closed_us = now_us;
    }
    changed_us = now_us;
}

void shoe_read(uint16_t *how_often, uint32_t *last_us) {
    uint8_t lock = hal_lock();
    *how_often = count;
    *last_us = closed_us;
    hal_unlock(lock);
}
