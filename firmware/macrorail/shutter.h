/* The camera's cable: closes the focus line first, then the release line, for given times. */
#ifndef MACRORAIL_SHUTTER_H
#define MACRORAIL_SHUTTER_H

#include <stdbool.h>
#include <stdint.h>

#define FOCUS_LONGEST 10000L    /* ms */
#define RELEASE_LONGEST 600000L /* ms */

void shutter_init(void);
/* ERROR_NONE, ERROR_EXPOSING or ERROR_RANGE. */
uint8_t shutter_press(int32_t focus_ms, int32_t release_ms);
/* Opens both lines now. */
void shutter_let_go(void);
bool shutter_is_pressed(void);
/* Called in each round of the main loop. */
void shutter_poll(void);

/* How often the release line was closed since the reset. */
uint16_t shutter_count(void);
/* When the release line was closed last and for how long, microseconds; 0 while it still is. */
uint32_t shutter_closed_us(void);
uint32_t shutter_lasted_us(void);

#endif
