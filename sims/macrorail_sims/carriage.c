/* The mechanics at the board's pins: screw with play, carriage, end switches and their faults. */
#include "carriage.h"

#define EXPORT __attribute__((visibility("default")))
#define SAMPLE_TICKS 2000u

EXPORT void carriage_init(struct carriage *carriage, int64_t place, int64_t length) {
    *carriage = (struct carriage){
        .size = sizeof *carriage,
        .length = length,
        .overtravel = 1600,
        .screw = place,
        .place = place,
        .direction = -1,
        .noise = 0x9E3779B97F4A7C15u,
    };
}

static void add_sample(struct carriage *carriage, uint64_t tick) {
    struct carriage_sample *sample = &carriage->samples[carriage->sample_count % CARRIAGE_SAMPLES];
    sample->tick = tick;
    sample->place = carriage->place;
    carriage->sample_count++; /* last, because readers use every sample that is counted */
}

EXPORT void carriage_sample(struct carriage *carriage) {
    uint64_t count = carriage->sample_count;
    if (count > 0 && carriage->samples[(count - 1) % CARRIAGE_SAMPLES].place == carriage->place) {
        return;
    }
    add_sample(carriage, carriage->now);
}

static bool min_is_pressed(const struct carriage *carriage) {
    return carriage->place <= 0;
}

static bool max_is_pressed(const struct carriage *carriage) {
    return carriage->place >= carriage->length;
}

/* The nut follows the screw with `play` between its two flanks; a hard stop stalls the motor. */
static bool turn(struct carriage *carriage) {
    int64_t screw = carriage->screw + carriage->direction;
    int64_t place = carriage->place;
    if (place < screw - carriage->play) place = screw - carriage->play;
    if (place > screw) place = screw;
    if (place < -carriage->overtravel || place > carriage->length + carriage->overtravel) {
        carriage->collisions++;
        return false;
    }
    carriage->screw = screw;
    carriage->place = place;
    return true;
}

EXPORT void carriage_step(struct carriage *carriage) {
    bool forward = carriage->direction > 0;
    bool min_before = min_is_pressed(carriage), max_before = max_is_pressed(carriage);
    carriage->edges++;
    if (forward ? max_before : min_before) carriage->past_switch++;
    if (carriage->estop) carriage->past_estop++;
    carriage->interval = carriage->now - carriage->last_edge;
    carriage->last_edge = carriage->now;
    /* Record the position before a motion, so that the rest before it is not read as slow drift. */
    if (carriage->interval > 2 * SAMPLE_TICKS) add_sample(carriage, carriage->now);
    if (carriage->jam > 0) {
        carriage->jam--;
        carriage->lost++;
    } else if (!carriage->enabled || !turn(carriage)) {
        carriage->lost++;
    }
    if (min_is_pressed(carriage) != min_before) carriage->min_changed = carriage->now;
    if (max_is_pressed(carriage) != max_before) carriage->max_changed = carriage->now;
}

EXPORT void carriage_release(struct carriage *carriage, bool closed) {
    if (closed && !carriage->release) {
        carriage->pressed_at = carriage->now;
        carriage->presses++; /* last, because readers use pressed_at once the press is counted */
    }
    if (!closed && carriage->release) carriage->let_go_at = carriage->now;
    carriage->release = closed;
}

static bool chatter(struct carriage *carriage) {
    carriage->noise = carriage->noise * 6364136223846793005u + 1442695040888963407u;
    return carriage->noise >> 63;
}

static bool through_wire(struct carriage *carriage, uint64_t wire, bool pressed) {
    switch (wire) {
    case WIRE_PRESSED:
        return true;
    case WIRE_OPEN:
        return false;
    case WIRE_LOOSE:
        return carriage->loose_ticks == 0 ? chatter(carriage)
                                          : (carriage->now / carriage->loose_ticks) % 2 != 0;
    default:
        return pressed;
    }
}

static bool bounces(const struct carriage *carriage, uint64_t changed) {
    return changed > 0 && carriage->now - changed < carriage->bounce;
}

static bool min_reads(struct carriage *carriage) {
    return bounces(carriage, carriage->min_changed) ? chatter(carriage) : min_is_pressed(carriage);
}

static bool max_reads(struct carriage *carriage) {
    return bounces(carriage, carriage->max_changed) ? chatter(carriage) : max_is_pressed(carriage);
}

EXPORT bool carriage_min_reads_pressed(struct carriage *carriage) {
    bool pressed = carriage->swapped ? max_reads(carriage) : min_reads(carriage);
    return through_wire(carriage, carriage->min_wire, pressed);
}

EXPORT bool carriage_max_reads_pressed(struct carriage *carriage) {
    bool pressed = carriage->swapped ? min_reads(carriage) : max_reads(carriage);
    return through_wire(carriage, carriage->max_wire, pressed);
}

EXPORT bool carriage_estop_reads_pressed(struct carriage *carriage) {
    return through_wire(carriage, carriage->estop_wire, carriage->estop != 0);
}
