/* The soft limits: which targets GO accepts. The switches are checked where the steps are made. */
#include "limits.h"

#include "codes.h"
#include "hal.h"

static bool are_set;
static int32_t lowest, highest;

void limits_clear(void) {
    are_set = false;
}

void limits_set(int32_t low, int32_t high) {
    lowest = low;
    highest = high;
    are_set = true;
}

uint8_t limits_judge(int32_t target) {
    if (!are_set) return ERROR_UNLIMITED;
    return target < lowest || target > highest ? ERROR_OUTSIDE : ERROR_NONE;
}

int32_t limits_highest(void) {
    return are_set ? highest : INT32_MAX;
}

uint8_t limits_judge_inputs(bool towards_specimen) {
    uint8_t inputs = hal_inputs();
    if (inputs & INPUT_ESTOP) return ERROR_ESTOP;
    return inputs & (towards_specimen ? INPUT_MAX : INPUT_MIN) ? ERROR_LIMIT : ERROR_NONE;
}
