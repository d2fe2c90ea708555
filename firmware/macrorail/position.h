/* Records whether the position of the carriage is known from the step count. */
#ifndef MACRORAIL_POSITION_H
#define MACRORAIL_POSITION_H

#include <stdbool.h>
#include <stdint.h>

void position_init(void);
bool position_is_known(void);
/* Whether the count started at a known position, although it may be wrong by now. Such a count is not
 * good enough for moves, but good enough to detect an impossible switch reading. */
bool position_is_counted(void);
/* Evaluates the end of a motion (enum stop_code): after a sudden stop the carriage may have slid. */
void position_after(uint8_t stop_code);
/* In doubt from now on: homing has started, or something may have moved the carriage. */
void position_forget(void);
/* The count starts at a position that was stored or assumed, not measured. */
void position_assume(void);
/* Homing succeeded. */
void position_found(void);

#endif
