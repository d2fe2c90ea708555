/* Whether the step count says where the carriage is. */
#ifndef MACRORAIL_POSITION_H
#define MACRORAIL_POSITION_H

#include <stdbool.h>
#include <stdint.h>

void position_init(void);
bool position_is_known(void);
/* Judges the end of a motion (enum stop_code): a carriage stopped dead may have slid on. */
void position_after(uint8_t stop_code);
/* Homing has begun: until it succeeds nobody knows. */
void position_forget(void);
/* Homing succeeded. */
void position_found(void);

#endif
