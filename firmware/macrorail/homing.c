/* Finds the home switch: seek it, back off, touch it again slowly, stop clear of it. */
#include "homing.h"

#include "codes.h"
#include "hal.h"
#include "motion.h"
#include "position.h"

/* A step lasts longer than a switch bounces, so that the switch is quiet when it is read. */
#define TOUCH_SPEED 100u /* steps/s */
#define QUIET_MS 20u     /* a switch counts as open after reading open for this long */
#define BACK_OFF_LONGEST 32  /* steps of one back-off, or a quarter of the clearance */
/* Number of successive touches that must agree if the count does not confirm the first one. A loose wire
 * does not close twice at the same step. */
#define TOUCHES 4u
#define TOUCHES_MOST 8u
#define SPREAD_SHARE 32u /* touches agree within this share of the clearance */
#define SPREAD_LEAST 2u  /* steps */

enum phase { RESTING, SEEKING, BACKING_OFF, LISTENING, TOUCHING, LEAVING };

static enum phase phase;
static struct search search;
static bool found;      /* the switch was touched slowly: position 0 is known */
static bool clear_once; /* the back-off has found the switch open and goes a little further */
static uint8_t agreeing, touches;
static uint8_t asked; /* STOP_NONE until the end of homing is requested */
static uint8_t stop_code;
static int32_t began_at, pressed_at, open_at, touched_at;
static int32_t ceiling; /* while the switch reads pressed, no step beyond it */
static int32_t back_off_steps;
static uint32_t open_since_ms, listen_since_ms;

static void enter(enum phase next) {
    phase = next;
    int32_t here = motion_position();
    struct pace touch = ramp_crawl(TOUCH_SPEED);
    switch (next) {
    case BACKING_OFF:
        here += back_off_steps;
        if (!clear_once && here > ceiling) here = ceiling;
        motion_start(here, &search.pace, INPUT_MIN);
        break;
    case LISTENING:
        open_since_ms = listen_since_ms = hal_millis();
        break;
    case TOUCHING:
        motion_start(pressed_at - back_off_steps, &touch, 0);
        break;
    case LEAVING:
        found = true;
        motion_set_position(0);
        motion_start(search.clearance, &search.pace, INPUT_MIN);
        break;
    default:
        break;
    }
}

static void end(uint8_t code) {
    phase = RESTING;
    stop_code = code;
}

void homing_init(void) {
    phase = RESTING;
    stop_code = STOP_NONE;
}

bool homing_expects_switch(uint16_t clearance) {
    return !position_is_counted() || motion_position() < 2 * (int32_t)clearance;
}

void homing_start(const struct search *with) {
    search = *with;
    found = false;
    agreeing = touches = 0;
    asked = stop_code = STOP_NONE;
    phase = SEEKING;
    back_off_steps = (search.clearance + 3) / 4;
    if (back_off_steps > BACK_OFF_LONGEST) back_off_steps = BACK_OFF_LONGEST;
    began_at = motion_position();
    /* Pressed already: motion_poll() reports the switch without a step, and the back-off follows. */
    motion_start(began_at - (int32_t)search.longest, &search.pace, hal_inputs());
}

static void back_off(void) {
    pressed_at = motion_position();
    clear_once = false;
    enter(BACKING_OFF);
}

/* The switch has been reached for the first time, or a wire is broken. Determines how far the carriage
 * may move back; false when not at all. */
static bool bound(void) {
    int32_t here = motion_position(), farthest = 2 * (int32_t)search.clearance;
    if (!position_is_counted()) {
        /* As far from the switch as it can be pressed: the next homing believes no more of it. */
        here = search.clearance;
        motion_set_position(here);
        position_assume();
    } else if (here >= farthest) {
        farthest = began_at - back_off_steps; /* not expected here: not beyond where the carriage came from */
    }
    if (farthest > search.highest - back_off_steps) farthest = search.highest - back_off_steps;
    ceiling = here + search.clearance;
    if (ceiling > farthest) ceiling = farthest;
    return ceiling > here;
}

/* Waits until the switch has been quiet for long enough; true when it has. */
static bool switch_is_quiet(bool *open) {
    uint32_t now_ms = hal_millis();
    if (hal_inputs() & INPUT_MIN) open_since_ms = now_ms;
    *open = now_ms - open_since_ms >= QUIET_MS;
    return *open || now_ms - listen_since_ms >= 2u * QUIET_MS;
}

static void after_listening(void) {
    bool open;
    if (!switch_is_quiet(&open)) return;
    if (open && !clear_once) open_at = motion_position();
    if (found) {
        end(open ? STOP_DONE : STOP_STUCK);
    } else if (open && clear_once) {
        enter(TOUCHING);
    } else if (motion_position() >= ceiling + open) {
        end(STOP_STUCK);
    } else {
        clear_once = open;
        enter(BACKING_OFF);
    }
}

static bool lies_within(int32_t difference, uint16_t most) {
    return difference <= (int32_t)most && difference >= -(int32_t)most;
}

static void after_touching(void) {
    int32_t here = motion_position();
    uint16_t spread = search.clearance / SPREAD_SHARE + SPREAD_LEAST;
    bool is_real = here < open_at; /* not pressed where it has just read open for a while */
    if (agreeing > 0 && lies_within(here - touched_at, spread)) agreeing++;
    else agreeing = 1;
    if (agreeing == 1) touched_at = here;
    if (!is_real) agreeing = 0;
    touches++;
    if (agreeing == TOUCHES ||
        (is_real && search.is_known && lies_within(here, search.clearance))) {
        touched_at = here;
        enter(LEAVING);
    } else if (touches == TOUCHES_MOST || here >= ceiling) {
        end(STOP_SWITCH_FAULT);
    } else {
        back_off();
    }
}

void homing_poll(void) {
    if (phase == RESTING || motion_is_busy()) return;
    if (asked != STOP_NONE) {
        end(asked);
        return;
    }
    if (phase == LISTENING) {
        after_listening();
        return;
    }
    uint8_t code = motion_stop_code();
    bool seeks = phase == SEEKING || phase == TOUCHING;
    if (code == STOP_LIMIT_MAX) {
        end(STOP_SWITCH_FAULT); /* pressed at both ends */
    } else if (code != (seeks ? STOP_LIMIT_MIN : STOP_DONE)) {
        end(code == STOP_DONE ? STOP_NO_SWITCH : code);
    } else if (phase == SEEKING) {
        if (bound()) back_off();
        else end(STOP_STUCK);
    } else if (phase == TOUCHING) {
        after_touching();
    } else {
        enter(LISTENING);
    }
}

void homing_stop(uint8_t code) {
    if (phase == RESTING) return;
    if (asked == STOP_NONE) asked = code;
    motion_stop(code);
}

bool homing_is_busy(void) {
    return phase != RESTING;
}

uint8_t homing_stop_code(void) {
    return stop_code;
}

int32_t homing_touched_at(void) {
    return touched_at;
}
