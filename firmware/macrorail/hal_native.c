/* The hardware as a simulation in virtual time, on a computer; its mechanics are sims/macrorail_sims/carriage.c. */
#ifndef __AVR__

#include <stddef.h>
#include <string.h>

#include "board.h"
#include "carriage.h"
#include "codes.h"
#include "hal.h"
#include "inbox.h"
#include "motion.h"
#include "shoe.h"

#define EXPORT __attribute__((visibility("default")))
#define NEVER UINT64_MAX
#define TICKS_PER_MS 2000u
#define TICKS_PER_BYTE 174u /* 10 bits at 115200 baud */
#define TICKS_PER_EEPROM_BYTE 6800u
#define QUEUE 65536u

struct queue {
    uint8_t bytes[QUEUE];
    uint64_t ticks[QUEUE]; /* when each byte has been transmitted */
    uint32_t head, tail;
    uint64_t free_at; /* tick at which the line is free again */
};

static struct carriage *world;
static struct queue to_board, to_host;
static bool alive; /* false from a reset until the bootloader hands over */
static uint64_t boot_tick, millisecond_tick, step_tick;
static uint16_t step_interval;
static uint32_t milliseconds;
static bool estop_seen;
static uint8_t cause;
static bool shoe_was_closed;
static uint8_t eeprom[HAL_EEPROM_SIZE];
static uint16_t eeprom_address;
static uint8_t eeprom_new;
static uint64_t eeprom_ready_tick;

static void queue_put(struct queue *queue, uint8_t byte) {
    uint32_t next = (queue->head + 1u) % QUEUE;
    if (next == queue->tail) return;
    if (queue->free_at < world->now) queue->free_at = world->now;
    queue->free_at += TICKS_PER_BYTE;
    queue->bytes[queue->head] = byte;
    queue->ticks[queue->head] = queue->free_at;
    queue->head = next;
}

static uint64_t queue_tick(const struct queue *queue) {
    return queue->head == queue->tail ? NEVER : queue->ticks[queue->tail];
}

static uint8_t queue_take(struct queue *queue) {
    uint8_t byte = queue->bytes[queue->tail];
    queue->tail = (queue->tail + 1u) % QUEUE;
    return byte;
}

/* Functions called by the simulation. */

/* An interrupted write: erased or written as far as it had come. */
static void cut_eeprom_write(void) {
    if (world->now >= eeprom_ready_tick) return;
    uint8_t noise = (uint8_t)(world->now * 0x9E3779B97F4A7C15u >> 56);
    uint8_t *byte = &eeprom[eeprom_address];
    uint64_t left = eeprom_ready_tick - world->now;
    *byte = left > TICKS_PER_EEPROM_BYTE / 2 ? *byte | noise : eeprom_new | noise;
    eeprom_ready_tick = world->now;
}

static void finish_eeprom_write(void) {
    if (eeprom_ready_tick != 0 && world->now >= eeprom_ready_tick) {
        eeprom[eeprom_address] = eeprom_new;
        eeprom_ready_tick = 0;
    }
}

EXPORT void native_reset(uint8_t reset_cause, uint64_t bootloader_ticks) {
    finish_eeprom_write();
    cut_eeprom_write();
    eeprom_ready_tick = 0;
    alive = false;
    boot_tick = world->now + bootloader_ticks;
    step_tick = NEVER;
    cause = reset_cause;
    to_board.head = to_board.tail = to_host.head = to_host.tail = 0;
    world->enabled = world->focus = 0;
    carriage_release(world, false);
    world->resets++;
}

EXPORT void native_attach(struct carriage *carriage, uint64_t bootloader_ticks) {
    world = carriage;
    memset(eeprom, 0xFF, sizeof eeprom);
    native_reset(CAUSE_POWER, bootloader_ticks);
}

EXPORT void native_send(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) queue_put(&to_board, bytes[i]);
}

EXPORT uint32_t native_receive(uint8_t *bytes, uint32_t most) {
    uint32_t count = 0;
    while (count < most && queue_tick(&to_host) <= world->now) bytes[count++] = queue_take(&to_host);
    return count;
}

/* True when nothing happens until the host sends something. */
EXPORT bool native_is_quiet(void) {
    return alive && step_tick == NEVER && queue_tick(&to_board) == NEVER &&
           queue_tick(&to_host) == NEVER;
}

static void boot(void) {
    alive = true;
    milliseconds = 0;
    estop_seen = false;
    shoe_was_closed = world->shoe;
    millisecond_tick = world->now + TICKS_PER_MS;
    board_setup();
    board_loop();
}

static void pass_millisecond(void) {
    millisecond_tick += TICKS_PER_MS;
    milliseconds++;
    if (carriage_estop_reads_pressed(world)) estop_seen = true;
    carriage_sample(world);
}

static void pass_byte(void) {
    uint8_t byte = queue_take(&to_board);
    if (alive) inbox_receive(byte); /* otherwise the bootloader discards it */
}

static void pass_step(void) {
    step_tick += step_interval;
    motion_interrupt();
}

static void look_at_shoe(void) {
    if (shoe_was_closed == (world->shoe != 0)) return;
    shoe_was_closed = world->shoe;
    shoe_changed(shoe_was_closed);
}

EXPORT void native_run(uint64_t until) {
    for (;;) {
        if (alive) look_at_shoe();
        uint64_t byte_tick = queue_tick(&to_board);
        uint64_t next = alive ? millisecond_tick : boot_tick;
        if (step_tick < next) next = step_tick;
        if (byte_tick < next) next = byte_tick;
        if (next > until) break;
        if (next > world->now) world->now = next;
        if (next == step_tick) pass_step();
        else if (next == byte_tick) pass_byte();
        else if (alive) pass_millisecond();
        else boot();
        if (alive) board_loop();
    }
    if (until > world->now) world->now = until;
}

/* Functions called by the firmware's core. */

void hal_init(void) {}

uint8_t hal_inputs(void) {
    uint8_t inputs = 0;
    if (carriage_min_reads_pressed(world)) inputs |= INPUT_MIN;
    if (carriage_max_reads_pressed(world)) inputs |= INPUT_MAX;
    if (carriage_estop_reads_pressed(world)) inputs |= INPUT_ESTOP;
    return inputs;
}

bool hal_estop_was_pressed(void) {
    bool was = estop_seen;
    estop_seen = false;
    return was;
}

uint8_t hal_reset_cause(void) {
    return cause;
}

uint32_t hal_millis(void) {
    return milliseconds;
}

uint32_t hal_micros(void) {
    uint64_t ticks = world->now - (millisecond_tick - TICKS_PER_MS);
    return milliseconds * 1000u + (uint32_t)(ticks / 8u * 4u);
}

void hal_step_timer_start(uint16_t interval) {
    step_interval = interval;
    step_tick = world->now + interval;
}

void hal_step_timer_set(uint16_t interval) {
    /* As on the chip, the new interval counts from the step that is being made. */
    step_interval = interval;
    step_tick = world->now + interval;
}

void hal_step_timer_stop(void) {
    step_tick = NEVER;
}

void hal_step_begin(void) {
    carriage_step(world);
}

void hal_step_end(void) {}

void hal_direction(bool towards_specimen) {
    world->direction = towards_specimen ? 1 : -1;
}

void hal_enable(bool on) {
    world->enabled = on;
}

void hal_focus(bool closed) {
    world->focus = closed;
}

void hal_release(bool closed) {
    carriage_release(world, closed);
}

void hal_serial_write(uint8_t byte) {
    queue_put(&to_host, byte);
}

uint8_t hal_eeprom_read(uint16_t address) {
    return eeprom[address];
}

void hal_eeprom_write(uint16_t address, uint8_t byte) {
    eeprom_address = address;
    eeprom_new = byte;
    eeprom_ready_tick = world->now + TICKS_PER_EEPROM_BYTE;
}

bool hal_eeprom_is_ready(void) {
    finish_eeprom_write();
    return eeprom_ready_tick == 0;
}

uint8_t hal_lock(void) {
    return 0;
}

void hal_unlock(uint8_t lock) {
    (void)lock;
}

void hal_idle(void) {}

#else
typedef int not_for_the_board;
#endif
