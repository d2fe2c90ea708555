/* The received bytes that wait for the main loop. */
#ifndef MACRORAIL_INBOX_H
#define MACRORAIL_INBOX_H

#include <stdbool.h>
#include <stdint.h>

/* Differs from every character of the serial protocol in more than one bit. */
#define EMERGENCY_BYTE 0x85u

void inbox_init(void);
/* Called by the receive interrupt: an emergency byte acts immediately, whatever the main loop does. */
void inbox_receive(uint8_t byte);
bool inbox_is_empty(void);
/* The oldest byte, or -1. */
int16_t inbox_take(void);

/* True once after an emergency byte. Bytes received before it are discarded, so that a GO still waiting
 * here cannot start after the emergency. */
bool inbox_take_emergency(void);

#endif
