/* The state of the board (at rest, moving, homing) and how the last motion ended. */
#ifndef MACRORAIL_TRAVEL_H
#define MACRORAIL_TRAVEL_H

#include <stdint.h>

void travel_init(void);
uint8_t travel_state(void); /* enum state_code */
/* The sequence number of the last motion command and why it ended; STOP_NONE while it lasts. */
uint16_t travel_motion(void);
uint8_t travel_stop_code(void);
/* Error of the count, in steps, when the newest homing found the switch; 0 if there was no count to
 * compare with. */
int32_t travel_slip(void);

/* Each answers with an enum error_code: ERROR_NONE when it was accepted. */
uint8_t travel_set_pace(int32_t speed, int32_t acceleration);
uint8_t travel_go(uint16_t sequence, int32_t to);
uint8_t travel_home(uint16_t sequence, int32_t longest, int32_t speed, int32_t rest_at);

/* Only at rest: see shutter_press(). */
uint8_t travel_expose(int32_t focus_ms, int32_t release_ms);

/* Ramps down any motion. */
void travel_stop(uint8_t stop_code);
/* Stops without another step. */
void travel_halt(uint8_t stop_code);
void travel_poll(void);

#endif
