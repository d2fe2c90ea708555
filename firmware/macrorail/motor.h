/* Switches the motor off after a time at rest, if the host allows it. */
#ifndef MACRORAIL_MOTOR_H
#define MACRORAIL_MOTOR_H

#include <stdbool.h>
#include <stdint.h>

#define REST_LONGEST 86400000L /* ms */

/* The motor is off until the first motion, and holds from then on. */
void motor_init(void);
/* With 0 the motor always stays on. ERROR_NONE or ERROR_RANGE. */
uint8_t motor_set_rest(int32_t longest_ms);
/* A motion begins, or has ended. */
void motor_on(void);
void motor_rests(void);
/* Called by the main loop at rest; true once when it has switched the motor off. */
bool motor_poll(void);

#endif
