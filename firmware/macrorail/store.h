/* The position kept over a loss of power: records in turn all over the EEPROM, one clean at most. */
#ifndef MACRORAIL_STORE_H
#define MACRORAIL_STORE_H

#include <stdbool.h>
#include <stdint.h>

/* Looks for the newest record. */
void store_init(void);
/* Whether the carriage was at rest, at a known position, when the power went. */
bool store_is_clean(void);
/* Whether a count was kept at all: a clean one, or one in doubt. */
bool store_is_counted(void);
/* The kept count, 0 when there is none. */
int32_t store_position(void);

/* Before a motion: marks the record as no longer true. The motion may start once
 * store_is_spoiled(). */
void store_spoil(void);
bool store_is_spoiled(void);
/* At rest: writes a new record; `is_known` makes it a clean one, otherwise the count is in doubt. */
void store_save(int32_t position, bool is_known);
/* Writes at most one byte without waiting for it; called in each round of the main loop. */
void store_poll(void);

#endif
