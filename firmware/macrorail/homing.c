/* Finding the home switch: seek it, back off, touch it again slowly, rest clear of it. */
#include "homing.h"

#include "codes.h"
#include "hal.h"
#include "motion.h"

/* A step lasts longer than a switch bounces, so that each step is judged on a quiet switch. */
#define TOUCH_SPEED 100u /* steps/s */
#define QUIET_MS 20u     /* a switch counts as open after reading open for so long */
#define BITE 32          /* steps of one back-off */
#define BITES_MOST 64u

enum phase { RESTING, SEEKING, BACKING_OFF, LISTENING, TOUCHING, LEAVING };

static enum phase phase;
static bool found;      /* the switch was touched slowly: position 0 is known */
static bool clear_once; /* the back-off has found the switch open and goes one bite further */
static uint8_t bites;
static uint8_t asked; /* STOP_NONE until somebody wants homing to end */
static uint8_t stop_code;
static int32_t touched_at;
static uint16_t clearance;
static uint32_t open_since_ms, listen_since_ms;
static struct pace pace;

static void enter(enum phase next) {
    phase = next;
    int32_t here = motion_position();
    struct pace touch = ramp_crawl(TOUCH_SPEED);
    switch (next) {
    case BACKING_OFF:
        bites++;
        motion_start(here + BITE, &pace);
        break;
    case LISTENING:
        open_since_ms = listen_since_ms = hal_millis();
        break;
    case TOUCHING:
        motion_start(here - BITE * ((int32_t)bites + 1), &touch);
        break;
    case LEAVING:
        found = true;
        touched_at = here;
        motion_set_position(0);
        motion_start(clearance, &pace);
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

void homing_start(uint32_t search, const struct pace *with, uint16_t rest_at) {
    pace = *with;
    clearance = rest_at;
    bites = 0;
    found = clear_once = false;
    asked = stop_code = STOP_NONE;
    phase = SEEKING;
    /* Pressed already: motion_poll() reports the switch without a step, and the back-off follows. */
    motion_start(motion_position() - (int32_t)search, &pace);
}

/* Waits until the switch has been quiet; true when that is decided. */
static bool switch_is_quiet(bool *open) {
    uint32_t now_ms = hal_millis();
    if (hal_inputs() & INPUT_MIN) open_since_ms = now_ms;
    *open = now_ms - open_since_ms >= QUIET_MS;
    return *open || now_ms - listen_since_ms >= 2u * QUIET_MS;
}

static void after_listening(void) {
    bool open;
    if (!switch_is_quiet(&open)) return;
    if (found) {
        end(open ? STOP_DONE : STOP_STUCK);
    } else if (open && clear_once) {
        enter(TOUCHING);
    } else if (bites == BITES_MOST) {
        end(STOP_STUCK);
    } else {
        clear_once = open;
        enter(BACKING_OFF);
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
    if (code != (seeks ? STOP_LIMIT_MIN : STOP_DONE)) {
        end(code == STOP_DONE ? STOP_NO_SWITCH : code);
    } else if (phase == SEEKING) {
        enter(BACKING_OFF);
    } else if (phase == TOUCHING) {
        enter(LEAVING);
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
