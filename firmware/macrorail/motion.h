/* The steps: segments prepared by the main loop, carried out by the step timer's interrupt. */
#ifndef MACRORAIL_MOTION_H
#define MACRORAIL_MOTION_H

#include <stdbool.h>
#include <stdint.h>

#include "ramp.h"

void motion_init(void);
/* Starts a move to a target in steps; only at rest. The interrupt makes no step while the emergency
 * stop or either switch is pressed. A switch that the carriage moves away from can open but not close,
 * unless a wire is broken or the two switches are swapped. `ignored` (INPUT_...) are the switches that
 * may be pressed at the start; the switch ahead is never among them. */
void motion_start(int32_t target, const struct pace *pace, uint8_t ignored);
/* Prepares segments and detects the end of the motion; called in each round of the main loop. */
void motion_poll(void);
bool motion_is_busy(void);
/* Why the last motion ended (enum stop_code); STOP_NONE while busy. */
uint8_t motion_stop_code(void);
/* Ramps down; the code becomes the reason. Only from the main loop. */
void motion_stop(uint8_t code);
/* Ends the motion without another step; from the main loop or an interrupt. */
void motion_halt(uint8_t code);
int32_t motion_position(void);
/* Sets the count of the present position; only at rest. */
void motion_set_position(int32_t position);
/* Called by the step timer's interrupt: at most one step. */
void motion_interrupt(void);

#endif
