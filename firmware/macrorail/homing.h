/* Finds the home switch: seek it, back off, touch it again slowly, stop clear of it. */
#ifndef MACRORAIL_HOMING_H
#define MACRORAIL_HOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "ramp.h"

struct search {
    uint32_t longest; /* way to the switch in steps */
    struct pace pace;
    uint16_t clearance; /* steps from where the switch closes to where the carriage comes to rest */
    int32_t highest;    /* soft limit */
    bool is_known;      /* the count was known to be right */
};

void homing_init(void);
/* Whether the home switch may read pressed at rest, by the count; otherwise its wire is broken. A
 * carriage that rests at the clearance may fall onto the switch. */
bool homing_expects_switch(uint16_t clearance);
/* Position 0 becomes the step at which the switch closes. Until it has been found, the carriage goes
 * towards the specimen by `clearance` at most from where the switch first read pressed, and 32
 * steps more once it reads open; never beyond `highest`, nor, where the count does not expect the switch,
 * beyond where it came from. */
void homing_start(const struct search *search);
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
