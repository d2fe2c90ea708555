/* Sessions: opening, sequence numbers, repeated lines, and silence of the host. */
#ifndef MACRORAIL_SESSION_H
#define MACRORAIL_SESSION_H

#include <stdint.h>

#include "protocol.h"

#define SILENCE_SHORTEST 100   /* ms */
#define SILENCE_LONGEST 600000L /* ms */

void session_init(void);
void session_command(const struct command *command);
void session_bad_line(uint8_t error);
/* Ends a motion when the host has been silent for too long; called by the main loop. */
void session_poll(void);
/* ERROR_NONE or ERROR_RANGE. */
uint8_t session_set_silence(int32_t silence_ms);

#endif
