/* The contact of the hot shoe (or PC socket), which closes when the camera exposes. */
#ifndef MACRORAIL_SHOE_H
#define MACRORAIL_SHOE_H

#include <stdbool.h>
#include <stdint.h>

void shoe_init(void);
/* Called by an interrupt whenever the contact has changed. */
void shoe_changed(bool closed);

/* How often it has closed since the reset, and when it last closed, microseconds. */
void shoe_read(uint16_t *count, uint32_t *closed_us);

#endif
