/* The speed profile of a move: levels of speed in equal increments. Pure computation. */
#ifndef MACRORAIL_RAMP_H
#define MACRORAIL_RAMP_H

#include <stdbool.h>
#include <stdint.h>

#define SPEED_LOWEST 50u      /* steps/s */
#define SPEED_HIGHEST 20000u  /* steps/s */
#define ACCELERATION_LOWEST 100u      /* steps/s^2 */
#define ACCELERATION_HIGHEST 200000UL /* steps/s^2 */

/* Level k runs at k*rise steps/s and, while speeding up, lasts k*base steps. Every level then lasts
 * base/rise seconds, so the acceleration is rise*rise/base, and stopping from level k takes
 * base*(1 + 2 + .. k-1) steps through the same levels. The top level runs at exactly the speed that
 * was asked for, at most one rise above the level below it. */
struct pace {
    uint16_t rise;  /* steps/s */
    uint8_t base;   /* steps */
    uint16_t top;   /* highest level, >= 1 */
    uint16_t speed; /* of the highest level, steps/s */
};

struct ramp {
    struct pace pace;
    uint32_t remaining; /* steps not yet handed out */
    uint32_t below;     /* steps that stopping from the present level takes */
    uint16_t level;     /* 0 before the first segment */
    uint16_t left;      /* steps of the present level not yet handed out */
    uint16_t interval;  /* timer ticks between the steps of the present level */
};

struct segment {
    uint16_t interval; /* timer ticks */
    uint16_t steps;
};

/* Speed in steps/s and acceleration in steps/s^2, both inside the limits above. */
struct pace ramp_pace(uint16_t speed, uint32_t acceleration);
/* One constant speed without a ramp. */
struct pace ramp_crawl(uint16_t speed);

void ramp_start(struct ramp *ramp, const struct pace *pace, uint32_t steps);
/* The next segment; false when every step has been handed out. */
bool ramp_next(struct ramp *ramp, struct segment *segment);
/* Ends the move as early as the ramp down allows. */
void ramp_shorten(struct ramp *ramp);

#endif
