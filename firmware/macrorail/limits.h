/* The soft limits: which targets GO accepts. The switches are checked where the steps are made. */
#ifndef MACRORAIL_LIMITS_H
#define MACRORAIL_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* Nothing is allowed until a session has set its limits. */
void limits_clear(void);
void limits_set(int32_t lowest, int32_t highest);
/* ERROR_NONE, ERROR_UNLIMITED or ERROR_OUTSIDE. */
uint8_t limits_judge(int32_t target);
/* The highest target; the largest possible number while no limits are set. */
int32_t limits_highest(void);
/* ERROR_NONE, ERROR_LIMIT or ERROR_ESTOP: whether an input forbids a move in this direction. */
uint8_t limits_judge_inputs(bool towards_specimen);

#endif
