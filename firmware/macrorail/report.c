/* The lines that the board sends: built in a buffer, completed by a checksum, and sent. */
#include "report.h"

#include "codes.h"
#include "hal.h"

static const char verb_names[] PROGMEM = VERB_NAMES;
static const char error_names[] PROGMEM = ERROR_NAMES;
static const char stop_names[] PROGMEM = STOP_NAMES;
static const char state_names[] PROGMEM = STATE_NAMES;
static const char kept_names[] PROGMEM = KEPT_NAMES;
static const char cause_names[] PROGMEM = CAUSE_NAMES;

/* Every line fits: the longest echo has 55 characters, with at most 25 around it. */
static void add(struct report *report, char c) {
    if (report->length < REPORT_LONGEST) report->text[report->length++] = c;
}

static void add_space(struct report *report) {
    if (report->length > 0) add(report, ' ');
}

void report_word(struct report *report, const char *word) {
    add_space(report);
    char c;
    while ((c = (char)pgm_read_byte(word++)) != '\0') add(report, c);
}

static void add_name(struct report *report, const char *names, uint8_t code) {
    while (code > 0) {
        if (pgm_read_byte(names++) == '\0') code--;
    }
    report_word(report, names);
}

void report_number(struct report *report, int32_t number) {
    char digits[10];
    uint8_t count = 0;
    uint32_t rest = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
    add_space(report);
    if (number < 0) add(report, '-');
    do {
        digits[count++] = (char)('0' + rest % 10u);
        rest /= 10u;
    } while (rest > 0);
    while (count > 0) add(report, digits[--count]);
}

static void add_echo(struct report *report, const struct command *command) {
    if (command->verb >= VERB_COUNT) return;
    add_name(report, verb_names, command->verb);
    for (uint8_t i = 0; i < command->argument_count; i++) {
        report_number(report, command->arguments[i]);
    }
}

void report_ok(struct report *report, const struct command *command) {
    static const char ok[] PROGMEM = "ok";
    report->length = 0;
    report_number(report, command->sequence);
    report_word(report, ok);
    add_echo(report, command);
}

void report_error(struct report *report, const struct command *command, uint8_t error) {
    static const char er[] PROGMEM = "er";
    report->length = 0;
    report_number(report, command->sequence);
    report_word(report, er);
    add_name(report, error_names, error);
    add_echo(report, command);
}

void report_boot(struct report *report, uint8_t cause) {
    static const char boot[] PROGMEM = "! boot";
    report->length = 0;
    report_word(report, boot);
    report_cause(report, cause);
}

void report_bad(struct report *report, uint8_t error) {
    static const char bad[] PROGMEM = "! bad";
    report->length = 0;
    report_word(report, bad);
    add_name(report, error_names, error);
}

void report_state(struct report *report, uint8_t state) {
    add_name(report, state_names, state);
}

void report_stop(struct report *report, uint8_t stop) {
    add_name(report, stop_names, stop);
}

void report_cause(struct report *report, uint8_t cause) {
    add_name(report, cause_names, cause);
}

void report_kept(struct report *report, uint8_t kept) {
    add_name(report, kept_names, kept);
}

void report_send(const struct report *report) {
    uint32_t crc = CRC_START;
    for (uint8_t i = 0; i < report->length; i++) {
        uint8_t byte = (uint8_t)report->text[i];
        crc = crc_add(crc, byte);
        hal_serial_write(byte);
    }
    crc = ~crc;
    hal_serial_write('*');
    for (uint8_t i = 0; i < 8; i++) {
        uint8_t digit = (uint8_t)(crc >> 28);
        hal_serial_write((uint8_t)(digit < 10 ? '0' + digit : 'A' + digit - 10));
        crc <<= 4;
    }
    hal_serial_write('\n');
}
