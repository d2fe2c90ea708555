/* The steps: segments prepared by the main loop, carried out by the step timer's interrupt. */
#include "motion.h"

#include "codes.h"
#include "hal.h"
#include "motor.h"

#define QUEUE 8u /* segments; about 30 ms, longer than any round of the main loop */

/* Shared with the interrupt. */
static struct segment queue[QUEUE];
static volatile uint8_t head, tail;
static volatile bool running;
static volatile bool all_prepared;
static volatile uint8_t halt_code; /* STOP_NONE unless the motion was interrupted */
static volatile int32_t position;
static int8_t direction;
static uint8_t blocking; /* inputs that forbid a step in this direction */
static uint8_t ahead;    /* the switch on the way */
static uint16_t steps_left;

/* Used only by the main loop. */
static struct ramp ramp;
static bool busy;
static uint8_t planned_code; /* code of the end if the motion is not interrupted */
static uint8_t stop_code;

void motion_init(void) {
    head = tail = 0;
    running = busy = all_prepared = false;
    halt_code = planned_code = stop_code = STOP_NONE;
    position = 0;
}

static void prepare(void) {
    uint8_t next;
    while ((next = (uint8_t)((head + 1u) & (QUEUE - 1u))) != tail) {
        if (!ramp_next(&ramp, &queue[head])) return;
        /* Together: the interrupt reads both when a segment is used up. */
        uint8_t lock = hal_lock();
        head = next;
        if (ramp.remaining == 0) all_prepared = true;
        hal_unlock(lock);
    }
}

void motion_start(int32_t target, const struct pace *pace, uint8_t ignored) {
    busy = true;
    stop_code = STOP_NONE;
    planned_code = STOP_DONE;
    halt_code = STOP_NONE;
    if (target == position) return;
    bool forward = target > position;
    direction = forward ? 1 : -1;
    ahead = forward ? INPUT_MAX : INPUT_MIN;
    uint8_t behind = ahead ^ (INPUT_MIN | INPUT_MAX);
    blocking = INPUT_ESTOP | ahead | (behind & (uint8_t)~ignored);
    uint32_t steps = forward ? (uint32_t)target - (uint32_t)position
                             : (uint32_t)position - (uint32_t)target;
    head = tail = 0;
    all_prepared = false;
    ramp_start(&ramp, pace, steps);
    prepare();
    motor_on();
    hal_direction(forward);
    steps_left = queue[0].steps;
    tail = 1;
    running = true;
    hal_step_timer_start(queue[0].interval);
}

void motion_poll(void) {
    if (!busy) return;
    if (running) {
        prepare();
        return;
    }
    stop_code = halt_code != STOP_NONE ? halt_code : planned_code;
    busy = false;
}

bool motion_is_busy(void) {
    return busy;
}

uint8_t motion_stop_code(void) {
    return stop_code;
}

void motion_stop(uint8_t code) {
    if (!busy || planned_code != STOP_DONE) return;
    planned_code = code;
    ramp_shorten(&ramp);
    if (ramp.remaining > 0) return;
    uint8_t lock = hal_lock();
    all_prepared = true;
    hal_unlock(lock);
}

void motion_halt(uint8_t code) {
    uint8_t lock = hal_lock();
    if (running) {
        hal_step_timer_stop();
        running = false;
        halt_code = code;
    }
    hal_unlock(lock);
}

int32_t motion_position(void) {
    uint8_t lock = hal_lock();
    int32_t here = position;
    hal_unlock(lock);
    return here;
}

void motion_set_position(int32_t here) {
    uint8_t lock = hal_lock();
    position = here;
    hal_unlock(lock);
}

static void end_in_interrupt(uint8_t code) {
    hal_step_timer_stop();
    running = false;
    halt_code = code;
}

void motion_interrupt(void) {
    uint8_t pressed = hal_inputs() & blocking;
    if (pressed) {
        end_in_interrupt(pressed & INPUT_ESTOP ? STOP_ESTOP
                         : !(pressed & ahead)  ? STOP_SWITCH_FAULT
                         : ahead == INPUT_MIN  ? STOP_LIMIT_MIN
                                               : STOP_LIMIT_MAX);
        return;
    }
    hal_step_begin();
    position += direction;
    if (--steps_left == 0) {
        if (tail != head) {
            const struct segment *next = &queue[tail];
            steps_left = next->steps;
            hal_step_timer_set(next->interval);
            tail = (uint8_t)((tail + 1u) & (QUEUE - 1u));
        } else {
            end_in_interrupt(all_prepared ? STOP_NONE : STOP_UNDERRUN);
        }
    }
    hal_step_end();
}
