/* Feeds damaged lines to the wire's parser: `make -C firmware fuzz`, then build/fuzz COUNT SEED.
 *
 * A line that the parser accepts must, written down again, be that very line; anything else, and
 * anything that the sanitizers find, ends the program with an error. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codes.h"
#include "protocol.h"

static const char names[] = VERB_NAMES;
static const int counts[] = VERB_ARGUMENTS;
static uint64_t random_state;

static uint32_t pick(uint32_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % below;
}

static const char *name_of(int verb) {
    const char *name = names;
    while (verb-- > 0) name += strlen(name) + 1;
    return name;
}

static int32_t some_number(void) {
    int32_t number = (int32_t)(((uint32_t)pick(1u << 16) << 15 | pick(1u << 15)) >> pick(31));
    return pick(4) ? number : -number;
}

static void add_check(char *line) {
    uint32_t crc = CRC_START;
    for (const char *c = line; *c; c++) crc = crc_add(crc, (uint8_t)*c);
    sprintf(line + strlen(line), "*%08" PRIX32, (uint32_t)~crc);
}

static void write_line(char *line, unsigned sequence, int verb, int argument_count,
                       const int32_t *arguments) {
    line += sprintf(line, "%u %s", sequence, name_of(verb));
    for (int i = 0; i < argument_count; i++) line += sprintf(line, " %" PRId32, arguments[i]);
}

/* Damage before the check is added makes lines that are whole but strange. */
static size_t damage(char *line, size_t length, size_t room) {
    for (uint32_t times = pick(4); times > 0 && length > 0; times--) {
        size_t at = pick((uint32_t)length);
        switch (pick(4)) {
        case 0:
            line[at] = (char)(line[at] ^ 1 << pick(8));
            break;
        case 1:
            memmove(line + at, line + at + 1, length-- - at - 1);
            break;
        case 2:
            if (length == room) break;
            memmove(line + at + 1, line + at, length++ - at);
            break;
        default:
            line[at] = (char)pick(256);
        }
    }
    return length;
}

static void fail(const char *why, const char *line) {
    fprintf(stderr, "%s: '%s'\n", why, line);
    exit(1);
}

int main(int argument_count, char **arguments) {
    if (argument_count != 3) {
        fprintf(stderr, "usage: fuzz COUNT SEED\n");
        return 2;
    }
    uint64_t count = strtoull(arguments[1], NULL, 10);
    random_state = strtoull(arguments[2], NULL, 10) * 2654435761u + 1;
    uint64_t accepted = 0, refused = 0, whole = 0;
    protocol_init();
    for (uint64_t i = 0; i < count; i++) {
        char line[256] = "", again[256];
        int verb = (int)pick(VERB_COUNT);
        int32_t numbers[3] = {some_number(), some_number(), some_number()};
        write_line(line, 1 + pick(65535), verb, counts[verb], numbers);
        if (pick(2)) line[damage(line, strlen(line), 90)] = '\0';
        add_check(line);
        size_t intact = strlen(line), length = intact;
        bool is_whole = pick(2);
        if (!is_whole) length = damage(line, length, 120);
        line[length] = '\n';
        whole += is_whole;
        for (size_t at = 0; at <= length; at++) {
            struct command command;
            uint8_t error = ERROR_NONE;
            enum line_result result = protocol_feed((uint8_t)line[at], &command, &error);
            if (result == LINE_BAD) {
                refused++;
                if (error == ERROR_NONE || error >= ERROR_COUNT) fail("refused for nothing", line);
            }
            if (result != LINE_COMMAND) continue;
            accepted++;
            if (command.verb >= VERB_COUNT) continue;
            write_line(again, command.sequence, command.verb, command.argument_count,
                       command.arguments);
            add_check(again);
            size_t size = strlen(again);
            if (size > at || memcmp(line + at - size, again, size) != 0) {
                fail("accepted something else", again);
            }
        }
    }
    printf("%" PRIu64 " lines, %" PRIu64 " whole; %" PRIu64 " accepted, %" PRIu64 " refused\n",
           count, whole, accepted, refused);
    return 0;
}
