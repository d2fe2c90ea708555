/* The mechanics at the board's pins. The struct is shared memory, which
 * sims/macrorail_sims/carriage.py reads and writes. That file repeats the layout of the struct; a
 * test compares the two. */
#ifndef MACRORAIL_CARRIAGE_H
#define MACRORAIL_CARRIAGE_H

#include <stdbool.h>
#include <stdint.h>

#define CARRIAGE_SAMPLES 1024u

/* State of the wire to a switch. With a broken wire the switch reads as pressed (WIRE_PRESSED); with
 * a wire that touches ground it reads as open (WIRE_OPEN). */
enum wire_fault { WIRE_WHOLE, WIRE_PRESSED, WIRE_OPEN, WIRE_LOOSE };

struct carriage_sample {
    uint64_t tick;
    int64_t place;
};

/* Ticks are half microseconds of world time. Places are positions in microsteps from the home
 * switch, growing towards the specimen. */
struct carriage {
    uint64_t size; /* of this struct in bytes */

    /* Commands: written by the simulated world. */
    int64_t length;       /* distance between the two switches */
    int64_t overtravel;   /* distance from a switch to the hard stop behind it */
    int64_t play;         /* play of the screw's nut */
    int64_t jam;          /* number of the next steps that are lost */
    uint64_t bounce;      /* ticks for which a switch bounces after a change */
    uint64_t estop;       /* 1 while the emergency stop is pressed */
    uint64_t reset;       /* counts the requested resets of the board */
    uint64_t shoe;        /* 1 while the hot shoe's contact is closed */
    uint64_t min_wire;    /* enum wire_fault of the home switch */
    uint64_t max_wire;    /* enum wire_fault of the far switch */
    uint64_t estop_wire;  /* enum wire_fault of the emergency stop */
    uint64_t swapped;     /* 1: the wires of the two switches are swapped */
    uint64_t loose_ticks; /* ticks for which a loose wire reads open, then pressed; 0: random */

    /* The truth: written by the simulation. */
    uint64_t now;         /* tick that the simulation has reached */
    int64_t screw;        /* position to which the screw has been turned */
    int64_t place;        /* position of the carriage */
    int64_t direction;    /* level of the DIR pin: 1 towards the specimen, -1 away */
    uint64_t enabled;     /* level of the ENABLE pin: 1 when the motor holds */
    uint64_t focus;       /* 1 while the camera's focus line is closed */
    uint64_t release;     /* 1 while the camera's release line is closed */
    uint64_t presses;     /* how often the release line has been closed */
    uint64_t pressed_at;  /* tick at which the release line was last closed */
    uint64_t let_go_at;   /* tick at which the release line was last opened */
    uint64_t edges;       /* number of steps requested from the motor */
    uint64_t lost;        /* steps without effect: jammed, not enabled or at a hard stop */
    uint64_t past_switch; /* steps towards a switch that was already pressed */
    uint64_t past_estop;  /* steps with the emergency stop pressed */
    uint64_t collisions;  /* steps against a hard stop */
    uint64_t last_edge;   /* tick of the last step */
    uint64_t interval;    /* ticks between the last two steps */
    uint64_t resets;      /* number of resets of the board */
    uint64_t min_changed; /* tick at which the home switch changed */
    uint64_t max_changed; /* tick at which the far switch changed */
    uint64_t noise;       /* state of the random numbers for bouncing switches and loose wires */

    /* Positions of the carriage with their ticks: a ring buffer, written about every millisecond
     * while the carriage moves. */
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
