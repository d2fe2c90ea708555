/* The position kept over a loss of power: records in turn all over the EEPROM, one clean at most. */
#ifndef MACRORAIL_STORE_H
#define MACRORAIL_STORE_H

#include <stdbool.h>
#include <stdint.h>

/* Looks for the clean record. */
void store_init(void);
/* Whether the carriage was at rest, at a known position, when the power went. */
bool store_is_clean(void);
/* That position, 0 when there is none. */
int32_t store_position(void);

/* Before a motion: marks the record as no longer true. The motion may start once
 * store_is_spoiled(). */
void store_spoil(void);
bool store_is_spoiled(void);
/* After a motion: writes a new record. */
void store_save(int32_t position);
/* Writes at most one byte without waiting for it; called by the main loop all the time. */
void store_poll(void);

#endif
