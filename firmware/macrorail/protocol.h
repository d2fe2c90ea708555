/* The serial protocol: converts received bytes to checked commands. Independent of motion. */
#ifndef MACRORAIL_PROTOCOL_H
#define MACRORAIL_PROTOCOL_H

#include <stdint.h>

#define WIRE_VERSION 1
#define LINE_LONGEST 64u
#define ARGUMENTS_MOST 3u

#define CRC_START 0xFFFFFFFFUL

struct command {
    uint16_t sequence; /* 1..65535 */
    uint8_t verb;      /* enum verb_code; VERB_COUNT when unknown */
    uint8_t argument_count;
    int32_t arguments[ARGUMENTS_MOST];
    uint32_t crc; /* of the whole line: distinguishes a repeated command from another one */
};

enum line_result {
    LINE_NOTHING, /* no line is complete yet */
    LINE_COMMAND, /* *command holds it */
    LINE_BAD,     /* *error says why */
    LINE_EMERGENCY
};

void protocol_init(void);
enum line_result protocol_feed(uint8_t byte, struct command *command, uint8_t *error);

/* CRC-32 as in IEEE 802.3 and zlib, before its final inversion. */
uint32_t crc_add(uint32_t crc, uint8_t byte);

#endif
