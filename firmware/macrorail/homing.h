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
/* Whether the home switch may read pressed at rest, according to the count. If it may not but does,
 * its wire is broken. A carriage at rest at the clearance may fall onto the switch. */
bool homing_expects_switch(uint16_t clearance);
/* The step at which the switch closes becomes position 0. Until the switch has been found, the carriage
 * moves towards the specimen by at most `clearance` from where the switch first read pressed, and by 32
 * more steps once the switch reads open. It never moves beyond `highest`. Where the count does not
 * expect the switch, it does not move beyond the position from which it came. */
void homing_start(const struct search *search);
/* Continues with the next phase when one has ended; called by the main loop after motion_poll(). */
void homing_poll(void);
/* Ramps down and ends homing; the code becomes the reason. */
void homing_stop(uint8_t code);
bool homing_is_busy(void);
/* How it ended (enum stop_code); STOP_DONE only when the switch was found and left again. */
uint8_t homing_stop_code(void);
/* Position, by the count from before homing, at which the switch closed. Valid after STOP_DONE. */
int32_t homing_touched_at(void);

#endif
