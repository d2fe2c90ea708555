/* The state of the board (at rest, moving, homing) and how the last motion ended. */
#include "travel.h"

#include "codes.h"
#include "hal.h"
#include "homing.h"
#include "limits.h"
#include "motion.h"
#include "motor.h"
#include "position.h"
#include "shutter.h"
#include "store.h"

#define SEARCH_LONGEST 10000000L  /* steps */
#define CLEARANCE_LONGEST 10000L  /* steps */

static uint8_t state;
static uint8_t stop_code;
static uint16_t motion;
static bool estop_was_pressed;
static int32_t slip;
static uint32_t acceleration;
static struct pace pace;

/* What starts once the store has been spoiled. */
static bool is_starting;
static int32_t target;
static struct search search; /* of the newest homing; without one, no position is known */

void travel_init(void) {
    state = STATE_IDLE;
    stop_code = STOP_NONE;
    motion = 0;
    slip = 0;
    is_starting = estop_was_pressed = false;
    if (store_is_counted()) {
        motion_set_position(store_position());
        position_assume();
    }
    travel_set_pace(1600, 8000);
}

uint8_t travel_state(void) {
    return state;
}

uint16_t travel_motion(void) {
    return motion;
}

uint8_t travel_stop_code(void) {
    return stop_code;
}

static bool speed_is_possible(int32_t speed) {
    return speed >= (int32_t)SPEED_LOWEST && speed <= (int32_t)SPEED_HIGHEST;
}

int32_t travel_slip(void) {
    return slip;
}

uint8_t travel_set_pace(int32_t speed, int32_t rate) {
    if (state != STATE_IDLE) return ERROR_BUSY;
    if (!speed_is_possible(speed) || rate < (int32_t)ACCELERATION_LOWEST ||
        rate > (int32_t)ACCELERATION_HIGHEST) {
        return ERROR_RANGE;
    }
    acceleration = (uint32_t)rate;
    pace = ramp_pace((uint16_t)speed, acceleration);
    return ERROR_NONE;
}

static void begin(uint8_t next, uint16_t sequence) {
    state = next;
    estop_was_pressed = false;
    motion = sequence;
    stop_code = STOP_NONE;
    is_starting = true;
    store_spoil();
}

/* The carriage may have moved while at rest, or its known position cannot be trusted. */
static void doubt(void) {
    position_forget();
    if (position_is_counted()) store_save(motion_position(), false);
}

/* ERROR_SWITCH_FAULT when a switch reads pressed although that is impossible: both switches at once, or
 * the home switch where the count is far from it. */
static uint8_t judge_switches(uint16_t clearance) {
    uint8_t pressed = hal_inputs() & (INPUT_MIN | INPUT_MAX);
    if (pressed == 0 || pressed == INPUT_MAX) return ERROR_NONE;
    if (pressed == INPUT_MIN && homing_expects_switch(clearance)) return ERROR_NONE;
    stop_code = STOP_SWITCH_FAULT;
    doubt();
    return ERROR_SWITCH_FAULT;
}

uint8_t travel_go(uint16_t sequence, int32_t to) {
    if (state != STATE_IDLE) return ERROR_BUSY;
    if (shutter_is_pressed()) return ERROR_EXPOSING;
    if (!position_is_known()) return ERROR_UNHOMED;
    if (judge_switches(search.clearance) != ERROR_NONE) return ERROR_SWITCH_FAULT;
    uint8_t error = limits_judge(to);
    int32_t here = motion_position();
    if (error == ERROR_NONE && to != here) error = limits_judge_inputs(to > here);
    if (error != ERROR_NONE) return error;
    target = to;
    begin(STATE_MOVING, sequence);
    return ERROR_NONE;
}

uint8_t travel_home(uint16_t sequence, int32_t longest, int32_t speed, int32_t rest_at) {
    if (state != STATE_IDLE) return ERROR_BUSY;
    if (longest < 1 || longest > SEARCH_LONGEST || rest_at < 1 || rest_at > CLEARANCE_LONGEST ||
        !speed_is_possible(speed)) {
        return ERROR_RANGE;
    }
    if (shutter_is_pressed()) return ERROR_EXPOSING;
    if (limits_judge_inputs(false) == ERROR_ESTOP) return ERROR_ESTOP;
    if (rest_at > limits_highest()) return ERROR_OUTSIDE;
    if (judge_switches((uint16_t)rest_at) != ERROR_NONE) return ERROR_SWITCH_FAULT;
    search.longest = (uint32_t)longest;
    search.clearance = (uint16_t)rest_at;
    search.highest = limits_highest();
    search.pace = ramp_pace((uint16_t)speed, acceleration);
    search.is_known = position_is_known() || store_is_clean();
    position_forget();
    begin(STATE_HOMING, sequence);
    return ERROR_NONE;
}

static void end(uint8_t code) {
    if (estop_was_pressed) code = STOP_ESTOP; /* between the last step and now */
    state = STATE_IDLE;
    stop_code = code;
    is_starting = false;
    motor_rests();
    position_after(code);
    if (position_is_counted()) store_save(motion_position(), position_is_known());
}

/* The switches that the carriage may stand on at the start of a move. */
static uint8_t started_on(void) {
    uint8_t pressed = hal_inputs();
    return homing_expects_switch(search.clearance) ? pressed : pressed & INPUT_MAX;
}

static void start(void) {
    is_starting = false;
    if (state == STATE_HOMING) homing_start(&search);
    else motion_start(target, &pace, started_on());
}

void travel_stop(uint8_t code) {
    if (is_starting) end(code);
    else if (state == STATE_HOMING) homing_stop(code);
    else motion_stop(code);
}

void travel_halt(uint8_t code) {
    motion_halt(code);
    if (is_starting) end(code);
    else if (state == STATE_HOMING) homing_stop(code);
}

uint8_t travel_expose(int32_t focus_ms, int32_t release_ms) {
    if (state != STATE_IDLE) return ERROR_BUSY;
    return shutter_press(focus_ms, release_ms);
}

/* A motor without current does not hold the carriage. */
static void rest(void) {
    if (motor_poll()) doubt();
}

/* An emergency stop often also cuts the motor's current. So however briefly it was pressed, the carriage
 * may have fallen. */
static void watch_estop(void) {
    if (!hal_estop_was_pressed()) return;
    if (state != STATE_IDLE) {
        estop_was_pressed = true;
        travel_halt(STOP_ESTOP);
    } else if (position_is_known() || store_is_clean()) {
        stop_code = STOP_ESTOP;
        doubt();
    }
}

void travel_poll(void) {
    store_poll();
    watch_estop();
    if (is_starting) {
        if (store_is_spoiled()) start();
        return;
    }
    if (state == STATE_IDLE) rest();
    motion_poll();
    if (state == STATE_MOVING && !motion_is_busy()) {
        end(motion_stop_code());
    } else if (state == STATE_HOMING) {
        homing_poll();
        if (homing_is_busy()) return;
        if (homing_stop_code() == STOP_DONE) {
            position_found();
            slip = search.is_known ? homing_touched_at() : 0;
        }
        end(homing_stop_code());
    }
}
