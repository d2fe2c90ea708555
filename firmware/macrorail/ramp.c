/* The speed profile of a move: levels of speed in equal increments. Pure computation. */
#include "ramp.h"

#include "hal.h"

/* Keeps the longest interval within the timer's 16 bits and the first step short. */
#define RISE_LOWEST 64u

static uint16_t square_root(uint32_t x) {
    uint32_t root = 0, bit = 1UL << 30;
    while (bit > x) bit >>= 2;
    for (; bit != 0; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint16_t)root;
}

struct pace ramp_pace(uint16_t speed, uint32_t acceleration) {
    uint32_t base = 1;
    while (acceleration * base < (uint32_t)RISE_LOWEST * RISE_LOWEST) base++;
    struct pace pace = {square_root(acceleration * base), (uint8_t)base, 1, speed};
    if (speed <= pace.rise) return ramp_crawl(speed);
    pace.top = (uint16_t)((speed - 1u) / pace.rise + 1u); /* rounded up */
    return pace;
}

struct pace ramp_crawl(uint16_t speed) {
    struct pace pace = {speed, 1, 1, speed};
    return pace;
}

void ramp_start(struct ramp *ramp, const struct pace *pace, uint32_t steps) {
    ramp->pace = *pace;
    ramp->remaining = steps;
    ramp->below = 0;
    ramp->level = 0;
    ramp->left = 0;
    ramp->interval = 0;
}

static void enter_level(struct ramp *ramp, uint16_t level) {
    uint32_t speed = level < ramp->pace.top ? (uint32_t)level * ramp->pace.rise : ramp->pace.speed;
    ramp->level = level;
    ramp->interval = (uint16_t)((STEP_TIMER_HZ + speed / 2u) / speed);
}

/* Chooses the next level when the present one is used up. */
static void choose_level(struct ramp *ramp) {
    uint32_t here = (uint32_t)ramp->level * ramp->pace.base;
    uint32_t above = here + ramp->pace.base;
    if (ramp->level == 0) {
        enter_level(ramp, 1);
        ramp->left = (uint16_t)(ramp->remaining < above ? ramp->remaining : above);
    } else if (ramp->level < ramp->pace.top && ramp->remaining >= ramp->below + here + above) {
        ramp->below += here;
        enter_level(ramp, (uint16_t)(ramp->level + 1u));
        ramp->left = (uint16_t)above;
    } else if (ramp->remaining > ramp->below) {
        uint32_t spare = ramp->remaining - ramp->below;
        ramp->left = (uint16_t)(spare < here ? spare : here);
    } else {
        enter_level(ramp, (uint16_t)(ramp->level - 1u));
        ramp->left = (uint16_t)(here - ramp->pace.base);
        ramp->below -= ramp->left;
    }
}

bool ramp_next(struct ramp *ramp, struct segment *segment) {
    if (ramp->remaining == 0) return false;
    if (ramp->left == 0) choose_level(ramp);
    /* At most about 4 ms, so that a stop does not wait long for segments already queued. */
    uint32_t most = ((uint32_t)ramp->level * ramp->pace.rise >> 8) + 1u;
    segment->interval = ramp->interval;
    segment->steps = ramp->left < most ? ramp->left : (uint16_t)most;
    ramp->left = (uint16_t)(ramp->left - segment->steps);
    ramp->remaining -= segment->steps;
    return true;
}

void ramp_shorten(struct ramp *ramp) {
    uint32_t shortest = ramp->below + ramp->left;
    if (ramp->remaining > shortest) ramp->remaining = shortest;
}
