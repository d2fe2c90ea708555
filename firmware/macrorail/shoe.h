/* The hot shoe's contact (or the PC socket): it closes when a picture is really being taken. */
#ifndef MACRORAIL_SHOE_H
#define MACRORAIL_SHOE_H

#include <stdbool.h>
#include <stdint.h>

void shoe_init(void);
/* Called by an interrupt whenever the contact has changed. */
void shoe_changed(bool closed);

/* How often it closed since the reset, and when it did last, microseconds. */
void shoe_read(uint16_t *count, uint32_t *closed_us);

#endif
