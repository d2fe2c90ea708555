/* The position kept over a loss of power: records in turn all over the EEPROM, one clean at most. */
#include "store.h"

#include "hal.h"
#include "protocol.h"

/* A record: marker, sequence (2 bytes), position (4), check (2). The marker is written last and
 * spoiled first, so that a power cut at any instant leaves a true record or none. */
#define RECORD 9u
#define RECORDS (HAL_EEPROM_SIZE / RECORD)
#define CLEAN 0xA5u
#define SPOILED 0x00u

enum phase { RESTING, SAVING, SPOILING };

static enum phase phase;
static uint8_t record[RECORD];
static uint8_t next_byte; /* 1..RECORD-1, then 0: the marker */
static uint8_t slot;
static uint16_t sequence;
static bool marked; /* the slot's marker is clean on the chip, or is being written */
static bool clean;
static int32_t position;

static uint16_t address_of(uint8_t of_slot) {
    return (uint16_t)(of_slot * RECORD);
}

static void compose(uint16_t number, int32_t place) {
    uint32_t rest = (uint32_t)place, crc = CRC_START;
    record[0] = CLEAN;
    record[1] = (uint8_t)number;
    record[2] = (uint8_t)(number >> 8);
    for (uint8_t i = 3; i < 7; i++) {
        record[i] = (uint8_t)rest;
        rest >>= 8;
    }
    for (uint8_t i = 1; i < 7; i++) crc = crc_add(crc, record[i]);
    record[7] = (uint8_t)crc;
    record[8] = (uint8_t)(crc >> 8);
}

/* Reads a record; false when it is not whole. */
static bool read_record(uint8_t of_slot, uint16_t *number, int32_t *place) {
    uint8_t bytes[RECORD];
    for (uint8_t i = 0; i < RECORD; i++) {
        bytes[i] = hal_eeprom_read((uint16_t)(address_of(of_slot) + i));
    }
    uint32_t unsigned_place = 0;
    for (uint8_t i = 6; i > 2; i--) unsigned_place = unsigned_place << 8 | bytes[i];
    *number = (uint16_t)(bytes[1] | bytes[2] << 8);
    *place = (int32_t)unsigned_place;
    compose(*number, *place);
    record[0] = bytes[0];
    return bytes[7] == record[7] && bytes[8] == record[8];
}

void store_init(void) {
    bool any = false;
    phase = RESTING;
    slot = RECORDS - 1u;
    sequence = 0;
    clean = marked = false;
    position = 0;
    for (uint8_t i = 0; i < RECORDS; i++) {
        uint16_t number;
        int32_t place;
        if (!read_record(i, &number, &place)) continue;
        if (any && (int16_t)(number - sequence) <= 0) continue;
        any = true;
        slot = i;
        sequence = number;
        clean = record[0] == CLEAN;
        position = clean ? place : 0;
    }
    marked = clean;
}

bool store_is_clean(void) {
    return clean;
}

int32_t store_position(void) {
    return position;
}

void store_spoil(void) {
    clean = false;
    /* A save that has not come to its marker is simply given up. */
    phase = marked ? SPOILING : RESTING;
}

bool store_is_spoiled(void) {
    return phase == RESTING && !marked;
}

void store_save(int32_t place) {
    position = place;
    if (marked) { /* the motion was called off before the record was spoiled: it is true still */
        clean = true;
        phase = RESTING;
        return;
    }
    sequence++;
    slot = (uint8_t)(slot + 1u < RECORDS ? slot + 1u : 0u);
    compose(sequence, place);
    next_byte = 1;
    phase = SAVING;
}

static void save_byte(void) {
    if (next_byte == RECORD) {
        next_byte = 0;
        marked = true;
    }
    hal_eeprom_write((uint16_t)(address_of(slot) + next_byte), record[next_byte]);
    if (next_byte == 0) {
        clean = true;
        phase = RESTING;
    } else {
        next_byte++;
    }
}

void store_poll(void) {
    if (phase == RESTING || !hal_eeprom_is_ready()) return;
    if (phase == SAVING) {
        save_byte();
    } else if (marked) {
        marked = false;
        hal_eeprom_write(address_of(slot), SPOILED);
    } else {
        phase = RESTING; /* the marker has been written */
    }
}
