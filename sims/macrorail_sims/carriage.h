/* The mechanics at the board's pins. The struct is shared memory: sims/macrorail_sims/carriage.py reads and
 * commands it, so that its layout stands there too (a test compares the two). */
#ifndef MACRORAIL_CARRIAGE_H
#define MACRORAIL_CARRIAGE_H

#include <stdbool.h>
#include <stdint.h>

#define CARRIAGE_SAMPLES 1024u

/* What a switch's wire does: a broken one reads pressed, one that touches ground reads open. */
enum wire_fault { WIRE_WHOLE, WIRE_PRESSED, WIRE_OPEN, WIRE_LOOSE };

struct carriage_sample {
    uint64_t tick;
    int64_t place;
};

/* Ticks are half microseconds of world time. Places are microsteps from the home switch, growing
 * towards the specimen. */
struct carriage {
    uint64_t size; /* of this struct in bytes */

    /* Commands: written by the simulated world. */
    int64_t length;       /* between the two switches */
    int64_t overtravel;   /* from a switch to the hard stop behind it */
    int64_t play;         /* of the screw's nut */
    int64_t jam;          /* so many of the next steps are lost */
    uint64_t bounce;      /* ticks that a switch chatters after it has changed */
    uint64_t estop;       /* 1 while the emergency stop is pressed */
    uint64_t reset;       /* counts up: the board is to be reset */
    uint64_t shoe;        /* 1 while the hot shoe's contact is closed */
    uint64_t min_wire;    /* enum wire_fault of the home switch */
    uint64_t max_wire;    /* of the far switch */
    uint64_t estop_wire;  /* of the emergency stop */
    uint64_t swapped;     /* 1: the wires of the two switches stand in each other's place */
    uint64_t loose_ticks; /* a loose wire reads open and pressed in turn for so long each; 0: at random */

    /* The truth: written by the simulation. */
    uint64_t now;         /* tick that has been reached */
    int64_t screw;        /* where the screw has been turned to */
    int64_t place;        /* where the carriage is */
    int64_t direction;    /* level of the DIR pin: 1 towards the specimen, -1 away */
    uint64_t enabled;     /* level of the ENABLE pin: 1 when the motor holds */
    uint64_t focus;       /* 1 while the camera's focus line is closed */
    uint64_t release;     /* 1 while its release line is */
    uint64_t presses;     /* how often the release line has been closed */
    uint64_t pressed_at;  /* tick at which it was closed last */
    uint64_t let_go_at;   /* and opened */
    uint64_t edges;       /* steps asked of the motor, ever */
    uint64_t lost;        /* of them not followed: jammed, not enabled or at a hard stop */
    uint64_t past_switch; /* of them towards a switch that was pressed already */
    uint64_t past_estop;  /* of them with the emergency stop pressed */
    uint64_t collisions;  /* of them against a hard stop */
    uint64_t last_edge;   /* tick */
    uint64_t interval;    /* ticks between the last two edges */
    uint64_t resets;      /* of the board so far */
    uint64_t min_changed; /* tick at which the home switch changed */
    uint64_t max_changed;
    uint64_t noise;       /* state of the chatter */

    /* Where the carriage was when: a ring, written about every millisecond while it moves. */
    uint64_t sample_count;
    struct carriage_sample samples[CARRIAGE_SAMPLES];
};

void carriage_init(struct carriage *carriage, int64_t place, int64_t length);
void carriage_step(struct carriage *carriage);
void carriage_release(struct carriage *carriage, bool closed);
/* Called every millisecond of world time. */
void carriage_sample(struct carriage *carriage);
bool carriage_min_reads_pressed(struct carriage *carriage);
bool carriage_max_reads_pressed(struct carriage *carriage);
bool carriage_estop_reads_pressed(struct carriage *carriage);

#endif
