/* The position kept over a loss of power: records in turn all over the EEPROM, one clean at most. */
#include "store.h"

#include "hal.h"
#include "protocol.h"

/* A record: marker, sequence (2 bytes), position (4), check (2). The marker is written last and
 * spoiled first, so that a power cut at any instant leaves a true record or none. The check covers
 * the marker that is meant, so that a marker cut short never makes a doubted count a clean one. */
#define RECORD 9u
#define RECORDS (HAL_EEPROM_SIZE / RECORD)
#define CLEAN 0xA5u
#define DOUBTED 0x5Au
#define SPOILED 0x00u

enum phase { RESTING, SAVING, SPOILING };

static enum phase phase;
static uint8_t record[RECORD];
static uint8_t next_byte; /* 1..RECORD-1, then 0: the marker */
static uint8_t slot;
static uint16_t sequence;
static uint8_t marked;  /* the slot's marker on the chip or on its way there; SPOILED for none */
static uint8_t pending; /* the marker of a record to be saved once the last one is spoiled */
static uint8_t kept;    /* the marker of what is kept */
static int32_t position;

static uint16_t address_of(uint8_t of_slot) {
    return (uint16_t)(of_slot * RECORD);
}

static void compose(uint8_t marker, uint16_t number, int32_t place) {
    uint32_t rest = (uint32_t)place, crc = CRC_START;
    record[0] = marker;
    record[1] = (uint8_t)number;
    record[2] = (uint8_t)(number >> 8);
    for (uint8_t i = 3; i < 7; i++) {
        record[i] = (uint8_t)rest;
        rest >>= 8;
    }
    for (uint8_t i = 0; i < 7; i++) crc = crc_add(crc, record[i]);
    record[7] = (uint8_t)crc;
    record[8] = (uint8_t)(crc >> 8);
}

/* Reads a record; false when it is not whole. *marker is SPOILED unless it is the one meant. */
static bool read_record(uint8_t of_slot, uint8_t *marker, uint16_t *number, int32_t *place) {
    uint8_t bytes[RECORD];
    for (uint8_t i = 0; i < RECORD; i++) {
        bytes[i] = hal_eeprom_read((uint16_t)(address_of(of_slot) + i));
    }
    uint32_t unsigned_place = 0;
    for (uint8_t i = 6; i > 2; i--) unsigned_place = unsigned_place << 8 | bytes[i];
    *number = (uint16_t)(bytes[1] | bytes[2] << 8);
    *place = (int32_t)unsigned_place;
    for (uint8_t meant = CLEAN;; meant = DOUBTED) {
        compose(meant, *number, *place);
        if (bytes[7] == record[7] && bytes[8] == record[8]) {
            *marker = bytes[0] == meant ? meant : SPOILED;
            return true;
        }
        if (meant == DOUBTED) return false;
    }
}

void store_init(void) {
    bool any = false;
    phase = RESTING;
    slot = RECORDS - 1u;
    sequence = 0;
    marked = pending = SPOILED;
    position = 0;
    for (uint8_t i = 0; i < RECORDS; i++) {
        uint8_t marker;
        uint16_t number;
        int32_t place;
        if (!read_record(i, &marker, &number, &place)) continue;
        if (any && (int16_t)(number - sequence) <= 0) continue;
        any = true;
        slot = i;
        sequence = number;
        marked = marker;
        position = marker == SPOILED ? 0 : place;
    }
    kept = marked;
}

bool store_is_clean(void) {
    return kept == CLEAN;
}

bool store_is_counted(void) {
    return kept != SPOILED;
}

int32_t store_position(void) {
    return position;
}

void store_spoil(void) {
    kept = pending = SPOILED;
    /* A save that has not come to its marker is simply given up. */
    phase = marked == SPOILED ? RESTING : SPOILING;
}

bool store_is_spoiled(void) {
    return phase == RESTING && marked == SPOILED;
}

static void begin_save(void) {
    sequence++;
    slot = (uint8_t)(slot + 1u < RECORDS ? slot + 1u : 0u);
    compose(pending, sequence, position);
    pending = SPOILED;
    next_byte = 1;
    phase = SAVING;
}

void store_save(int32_t place, bool is_known) {
    uint8_t marker = is_known ? CLEAN : DOUBTED;
    bool is_same = marked == marker && position == place;
    position = place;
    if (is_same) { /* the motion was called off before the record was spoiled: it is true still */
        kept = marker;
        pending = SPOILED;
        phase = RESTING;
        return;
    }
    kept = SPOILED;
    pending = marker;
    if (marked == SPOILED) begin_save();
    else phase = SPOILING;
}

static void save_byte(void) {
    if (next_byte == RECORD) {
        next_byte = 0;
        marked = record[0];
    }
    hal_eeprom_write((uint16_t)(address_of(slot) + next_byte), record[next_byte]);
    if (next_byte == 0) {
        kept = marked;
        phase = RESTING;
    } else {
        next_byte++;
    }
}

void store_poll(void) {
    if (phase == RESTING || !hal_eeprom_is_ready()) return;
    if (phase == SAVING) {
        save_byte();
    } else if (marked != SPOILED) {
        marked = SPOILED;
        hal_eeprom_write(address_of(slot), SPOILED);
    } else if (pending != SPOILED) {
        begin_save();
    } else {
        phase = RESTING; /* the marker has been written */
    }
}
