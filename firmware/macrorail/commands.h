/* Carries out each verb and writes its answer. */
#ifndef MACRORAIL_COMMANDS_H
#define MACRORAIL_COMMANDS_H

#include "protocol.h"
#include "report.h"

/* Carries a command out, once, and leaves the answer in *answer. */
void commands_execute(const struct command *command, struct report *answer);

#endif
