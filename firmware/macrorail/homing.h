/* Finding the home switch: seek it, back off, touch it again slowly, rest clear of it. */
#ifndef MACRORAIL_HOMING_H
#define MACRORAIL_HOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "ramp.h"

void homing_init(void);
/* Position 0 becomes the step at which the switch closes; the carriage comes to rest `clearance`
 * steps from there. `search` is the longest way to the switch in steps. */
void homing_start(uint32_t search, const struct pace *pace, uint16_t clearance);
/* Drives on from phase to phase; called by the main loop after motion_poll(). */
void homing_poll(void);
/* Ramps down and gives up; the code becomes the reason. */
void homing_stop(uint8_t code);
bool homing_is_busy(void);
/* How it ended (enum stop_code); STOP_DONE only when the switch was found and left again. */
uint8_t homing_stop_code(void);
/* Where the switch closed by the count from before homing, after it ended with STOP_DONE. */
int32_t homing_touched_at(void);

#endif
