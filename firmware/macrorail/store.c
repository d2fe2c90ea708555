/* The position kept over a loss of power: records in turn all over the EEPROM, one clean at most. */
#include "store.h"

#include "hal.h"
#include "protocol.h"

/* A record: marker, sequence (2 bytes), position (4), checksum (2). The marker is blanked first and
 * written last, so that after an interrupted save the previous record is still the newest one. The
 * marker is spoiled before a motion, so that a power cut at any instant leaves a true record or none.
 * The checksum covers the intended marker, so that an incompletely written marker cannot make a count in
 * doubt look clean. */
#define RECORD 9u
#define RECORDS (HAL_EEPROM_SIZE / RECORD)
#define CLEAN 0xA5u
#define DOUBTED 0x5Au
#define SPOILED 0x00u
#define BLANK 0xFFu

#define NO_SLOT 0xFFu

static uint8_t record[RECORD];
static bool saving;
static uint8_t target;    /* slot of the record being saved */
static uint8_t next_byte; /* 0 blanks the marker, RECORD writes it */
static bool spoiling;     /* the newest record has to be spoiled */
static uint8_t slot;      /* of the newest whole record */
static uint8_t marked;    /* its marker on the chip or on its way there; SPOILED for none */
static uint8_t stale;     /* slot of an older record whose marker has to be spoiled, or NO_SLOT */
static uint16_t sequence;
static uint8_t kept; /* the marker of what is kept */
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

/* Reads a record; false when it is not whole, or its save was not finished. */
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
            *marker = bytes[0];
            return bytes[0] == meant || bytes[0] == SPOILED;
        }
        if (meant == DOUBTED) return false;
    }
}

void store_init(void) {
    bool any = false;
    saving = spoiling = false;
    slot = RECORDS - 1u;
    stale = NO_SLOT;
    sequence = 0;
    marked = SPOILED;
    position = 0;
    for (uint8_t i = 0; i < RECORDS; i++) {
        uint8_t marker;
        uint16_t number;
        int32_t place;
        if (!read_record(i, &marker, &number, &place)) continue;
        if (any && (int16_t)(number - sequence) <= 0) {
            if (marker != SPOILED) stale = i;
            continue;
        }
        if (marked != SPOILED) stale = slot;
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
    kept = SPOILED;
    saving = false; /* a save that has not reached its marker is abandoned */
    spoiling = marked != SPOILED || stale != NO_SLOT;
}

bool store_is_spoiled(void) {
    return !saving && !spoiling;
}

void store_save(int32_t place, bool is_known) {
    uint8_t marker = is_known ? CLEAN : DOUBTED;
    bool is_same = marked == marker && position == place;
    position = place;
    kept = SPOILED;
    spoiling = false;
    if (is_same) { /* the motion was cancelled before the record was invalidated: it is still true */
        kept = marker;
        return;
    }
    /* An older record stays valid until the new one is, so that a count is always kept. */
    target = (uint8_t)(slot + 1u < RECORDS ? slot + 1u : 0u);
    compose(marker, ++sequence, place);
    next_byte = 0;
    saving = true;
}

static void save_byte(void) {
    uint8_t at = next_byte++;
    uint8_t byte = record[at < RECORD ? at : 0];
    if (at == 0) {
        byte = BLANK;
    } else if (at == RECORD) {
        at = 0;
        saving = false;
        if (marked != SPOILED) stale = slot;
        slot = target;
        kept = marked = byte;
    }
    hal_eeprom_write((uint16_t)(address_of(target) + at), byte);
}

void store_poll(void) {
    if (!hal_eeprom_is_ready()) return;
    if (saving) {
        save_byte();
    } else if (stale != NO_SLOT) {
        hal_eeprom_write(address_of(stale), SPOILED);
        stale = NO_SLOT;
    } else if (spoiling && marked != SPOILED) {
        hal_eeprom_write(address_of(slot), SPOILED);
        marked = SPOILED;
    } else {
        spoiling = false; /* the marker has been written */
    }
}
