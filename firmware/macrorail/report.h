/* The lines that the board sends: built in a buffer, completed by a checksum, and sent. */
#ifndef MACRORAIL_REPORT_H
#define MACRORAIL_REPORT_H

#include <stdint.h>

#include "protocol.h"

#define REPORT_LONGEST 88u

struct report {
    char text[REPORT_LONGEST];
    uint8_t length;
};

/* Starts "<sequence> ok <VERB> <arguments>", the echo of a command that was accepted. */
void report_ok(struct report *report, const struct command *command);
/* Starts "<sequence> er <error> <VERB> <arguments>", the echo of one that was refused. */
void report_error(struct report *report, const struct command *command, uint8_t error);
/* Starts "! boot <cause>" and "! bad <error>", the lines that answer no command. */
void report_boot(struct report *report, uint8_t cause);
void report_bad(struct report *report, uint8_t error);

void report_number(struct report *report, int32_t number);
void report_state(struct report *report, uint8_t state);
void report_stop(struct report *report, uint8_t stop);
void report_cause(struct report *report, uint8_t cause);
void report_kept(struct report *report, uint8_t kept);
/* Adds a word, at most as long as a name. */
void report_word(struct report *report, const char *word_in_flash);

/* Sends the line with its checksum; may be called again to repeat it. */
void report_send(const struct report *report);

#endif
