/* The core's interface to the hardware: hal_avr.c on the chip, hal_native.c on a computer. */
#ifndef MACRORAIL_HAL_H
#define MACRORAIL_HAL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __AVR__
#include <avr/pgmspace.h>
#else
#define PROGMEM
#define pgm_read_byte(address) (*(const uint8_t *)(address))
#define pgm_read_dword(address) (*(const uint32_t *)(address))
#endif

/* Bits of hal_inputs(): 1 = pressed. A broken wire reads as pressed. */
#define INPUT_MIN 1u   /* home end, away from the specimen */
#define INPUT_MAX 2u   /* specimen end */
#define INPUT_ESTOP 4u /* emergency stop */

#define STEP_TIMER_HZ 2000000UL

void hal_init(void);
uint8_t hal_inputs(void);
/* Whether the emergency stop was pressed in any millisecond since the last call. */
bool hal_estop_was_pressed(void);
uint8_t hal_reset_cause(void); /* enum cause_code */
uint32_t hal_millis(void);
uint32_t hal_micros(void); /* since the reset, wraps around after 71 minutes; in steps of 4 */

/* The step timer calls motion_interrupt() each time its interval (in ticks) is over. */
void hal_step_timer_start(uint16_t interval);
void hal_step_timer_set(uint16_t interval);
void hal_step_timer_stop(void);
void hal_step_begin(void);
void hal_step_end(void);
void hal_direction(bool towards_specimen);
void hal_enable(bool on);

/* The camera's cable. */
void hal_focus(bool closed);
void hal_release(bool closed);

/* Waits while the transmit buffer is full. */
void hal_serial_write(uint8_t byte);

#define HAL_EEPROM_SIZE 1024u
/* Only while no write is in progress. */
uint8_t hal_eeprom_read(uint16_t address);
/* Starts a write, which takes some milliseconds; only when ready. */
void hal_eeprom_write(uint16_t address, uint8_t byte);
bool hal_eeprom_is_ready(void);

/* Keeps interrupts away from data they share with the main loop. */
uint8_t hal_lock(void);
void hal_unlock(uint8_t lock);

/* Sleeps until an interrupt, unless a received byte is already waiting. */
void hal_idle(void);

#endif
