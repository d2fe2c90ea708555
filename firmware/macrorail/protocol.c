/* The serial protocol: converts received bytes to checked commands. Independent of motion. */
#include "protocol.h"

#include "codes.h"
#include "hal.h"

#define CRC_DIGITS 8u

static const char verb_names[] PROGMEM = VERB_NAMES;

/* The CRC of each half byte, polynomial 0x04C11DB7 reflected. */
static const uint32_t crc_table[16] PROGMEM = {
    0x00000000UL, 0x1DB71064UL, 0x3B6E20C8UL, 0x26D930ACUL, 0x76DC4190UL, 0x6B6B51F4UL,
    0x4DB26158UL, 0x5005713CUL, 0xEDB88320UL, 0xF00F9344UL, 0xD6D6A3E8UL, 0xCB61B38CUL,
    0x9B64C2B0UL, 0x86D3D2D4UL, 0xA00AE278UL, 0xBDBDF21CUL,
};

static struct {
    char text[LINE_LONGEST];
    uint8_t length;
    bool too_long;
} line;

void protocol_init(void) {
    line.length = 0;
    line.too_long = false;
}

uint32_t crc_add(uint32_t crc, uint8_t byte) {
    crc ^= byte;
    crc = (crc >> 4) ^ pgm_read_dword(&crc_table[crc & 15u]);
    return (crc >> 4) ^ pgm_read_dword(&crc_table[crc & 15u]);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads the CRC digits that end the line; false when they are not capital hexadecimal. */
static bool read_crc(uint8_t at, uint32_t *crc) {
    *crc = 0;
    for (uint8_t i = 0; i < CRC_DIGITS; i++) {
        char c = line.text[at + i];
        uint8_t value;
        if (is_digit(c)) value = (uint8_t)(c - '0');
        else if (c >= 'A' && c <= 'F') value = (uint8_t)(c - 'A' + 10);
        else return false;
        *crc = *crc << 4 | value;
    }
    return true;
}

/* Reads digits without a leading zero up to `most`; false when there are none or too many. */
static bool read_number(uint8_t *at, uint8_t end, uint32_t most, uint32_t *value) {
    uint8_t start = *at;
    *value = 0;
    while (*at < end && is_digit(line.text[*at])) {
        uint8_t digit = (uint8_t)(line.text[*at] - '0');
        if (*at - start >= 10 || *value > (most - digit) / 10u) return false;
        *value = *value * 10u + digit;
        (*at)++;
    }
    uint8_t digits = (uint8_t)(*at - start);
    return digits == 1 || (digits > 1 && line.text[start] != '0');
}

/* Returns the verb whose name begins at `start`, or VERB_COUNT. */
static uint8_t find_verb(uint8_t start, uint8_t end) {
    const char *name = verb_names;
    for (uint8_t verb = 0; verb < VERB_COUNT; verb++) {
        uint8_t i = start;
        bool same = true;
        char c;
        while ((c = (char)pgm_read_byte(name++)) != '\0') {
            if (i >= end || line.text[i] != c) same = false;
            i++;
        }
        if (same && i == end) return verb;
    }
    return VERB_COUNT;
}

static bool read_command(uint8_t end, struct command *command) {
    uint8_t at = 0;
    uint32_t value;
    if (!read_number(&at, end, 65535UL, &value) || value == 0) return false;
    command->sequence = (uint16_t)value;
    if (at >= end || line.text[at++] != ' ') return false;
    uint8_t verb_start = at;
    while (at < end && line.text[at] >= 'A' && line.text[at] <= 'Z') at++;
    if (at == verb_start) return false;
    command->verb = find_verb(verb_start, at);
    command->argument_count = 0;
    while (at < end) {
        if (line.text[at++] != ' ' || command->argument_count == ARGUMENTS_MOST) return false;
        bool negative = at < end && line.text[at] == '-';
        if (negative) at++;
        if (!read_number(&at, end, 2147483647UL, &value) || (negative && value == 0)) return false;
        command->arguments[command->argument_count++] = negative ? -(int32_t)value : (int32_t)value;
    }
    return true;
}

static enum line_result finish_line(struct command *command, uint8_t *error) {
    if (line.length == 1 && line.text[0] == '!') return LINE_EMERGENCY;
    *error = ERROR_CRC;
    if (line.length <= CRC_DIGITS) return LINE_BAD;
    uint8_t star = (uint8_t)(line.length - CRC_DIGITS - 1u);
    uint32_t given;
    if (line.text[star] != '*' || !read_crc((uint8_t)(star + 1u), &given)) return LINE_BAD;
    uint32_t crc = CRC_START;
    for (uint8_t i = 0; i < star; i++) crc = crc_add(crc, (uint8_t)line.text[i]);
    if ((uint32_t)~crc != given) return LINE_BAD;
    command->crc = given;
    *error = ERROR_SYNTAX;
    return read_command(star, command) ? LINE_COMMAND : LINE_BAD;
}

enum line_result protocol_feed(uint8_t byte, struct command *command, uint8_t *error) {
    if (byte != '\n' && byte != '\r') {
        if (line.length < LINE_LONGEST) line.text[line.length++] = (char)byte;
        else line.too_long = true;
        return LINE_NOTHING;
    }
    enum line_result result = LINE_NOTHING;
    if (line.too_long) {
        *error = ERROR_LONG;
        result = LINE_BAD;
    } else if (line.length > 0) {
        result = finish_line(command, error);
    }
    protocol_init();
    return result;
}
