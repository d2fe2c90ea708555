/* The received bytes that wait for the main loop. */
#include "inbox.h"

#include "codes.h"
#include "hal.h"
#include "motion.h"

#define SIZE 128u

static volatile uint8_t bytes[SIZE];
static volatile uint8_t head, tail;
static volatile bool emergency;

void inbox_init(void) {
    head = tail = 0;
    emergency = false;
}

void inbox_receive(uint8_t byte) {
    if (byte == EMERGENCY_BYTE) {
        motion_halt(STOP_EMERGENCY);
        emergency = true;
        return;
    }
    uint8_t next = (uint8_t)((head + 1u) & (SIZE - 1u));
    if (next == tail) return; /* full: the line loses a byte and fails its check */
    bytes[head] = byte;
    head = next;
}

bool inbox_is_empty(void) {
    return head == tail;
}

int16_t inbox_take(void) {
    if (head == tail) return -1;
    uint8_t byte = bytes[tail];
    tail = (uint8_t)((tail + 1u) & (SIZE - 1u));
    return byte;
}

bool inbox_take_emergency(void) {
    if (!emergency) return false;
    uint8_t lock = hal_lock();
    emergency = false;
    tail = head;
    hal_unlock(lock);
    return true;
}
