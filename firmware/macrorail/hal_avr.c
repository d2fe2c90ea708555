/* The hardware of an ATmega328P at 16 MHz (Uno, Nano) with the pins of a CNC shield. */
#ifdef __AVR__

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

#include "codes.h"
#include "hal.h"
#include "inbox.h"
#include "motion.h"
#include "shoe.h"

/* D2 and D5: step and direction of the shield's X driver; D8: enable, low is on. */
#define STEP_BIT _BV(PD2)
#define DIRECTION_BIT _BV(PD5)
#define ENABLE_BIT _BV(PB0)
/* D9, D10, A0: normally closed switches to ground, so that a broken wire reads as pressed. */
#define MIN_BIT _BV(PB1)
#define MAX_BIT _BV(PB2)
#define ESTOP_BIT _BV(PC0)
/* D12, D11: focus and release line of the camera's cable, high is closed. Not D13: the bootloader blinks
 * there. A3: the hot shoe, to ground. */
#define FOCUS_BIT _BV(PB4)
#define RELEASE_BIT _BV(PB3)
#define SHOE_BIT _BV(PC3)

#define OUTBOX_SIZE 128u

static volatile uint8_t outbox[OUTBOX_SIZE];
static volatile uint8_t out_head, out_tail;
static volatile uint32_t milliseconds;
static volatile bool estop_seen;

/* Read and cleared before main(): a watchdog left running would reset the board again while it starts. */
static uint8_t reset_flags __attribute__((section(".noinit")));
void keep_reset_flags(void) __attribute__((naked, used, section(".init3")));
void keep_reset_flags(void) {
    reset_flags = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

void hal_init(void) {
    cli();
    PORTB |= ENABLE_BIT;
    DDRB |= ENABLE_BIT | FOCUS_BIT | RELEASE_BIT;
    DDRD |= STEP_BIT | DIRECTION_BIT;
    PORTB |= MIN_BIT | MAX_BIT;
    PORTC |= ESTOP_BIT | SHOE_BIT;
    PCMSK1 = SHOE_BIT;
    PCICR = _BV(PCIE1);
    /* 115200 baud */
    UBRR0 = 16;
    UCSR0A = _BV(U2X0);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    /* Timer 2: an interrupt every millisecond */
    TCCR2A = _BV(WGM21);
    TCCR2B = _BV(CS22);
    OCR2A = 249;
    TIMSK2 = _BV(OCIE2A);
    /* Timer 1: stopped until a motion starts */
    TCCR1A = 0;
    TCCR1B = 0;
    TIMSK1 = 0;
    set_sleep_mode(SLEEP_MODE_IDLE);
#ifdef WATCHDOG
    wdt_enable(WDTO_1S);
#endif
    sei();
}

uint8_t hal_inputs(void) {
    uint8_t b = PINB, inputs = 0;
    if (b & MIN_BIT) inputs |= INPUT_MIN;
    if (b & MAX_BIT) inputs |= INPUT_MAX;
    if (PINC & ESTOP_BIT) inputs |= INPUT_ESTOP;
    return inputs;
}

bool hal_estop_was_pressed(void) {
    if (!estop_seen) return false;
    estop_seen = false;
    return true;
}

uint8_t hal_reset_cause(void) {
    if (reset_flags & _BV(WDRF)) return CAUSE_WATCHDOG;
    if (reset_flags & _BV(PORF)) return CAUSE_POWER;
    if (reset_flags & _BV(BORF)) return CAUSE_BROWNOUT;
    if (reset_flags & _BV(EXTRF)) return CAUSE_PIN;
    return CAUSE_UNKNOWN;
}

uint32_t hal_millis(void) {
    uint8_t lock = hal_lock();
    uint32_t now_ms = milliseconds;
    hal_unlock(lock);
    return now_ms;
}

uint32_t hal_micros(void) {
    uint8_t lock = hal_lock();
    uint32_t now_ms = milliseconds;
    uint8_t ticks = TCNT2;
    /* The millisecond may be over although its interrupt has not run yet. */
    if ((TIFR2 & _BV(OCF2A)) && ticks < 249) now_ms++;
    hal_unlock(lock);
    return now_ms * 1000u + (uint16_t)(ticks * 4u);
}

void hal_step_timer_start(uint16_t interval) {
    uint8_t lock = hal_lock();
    TCNT1 = 0;
    OCR1A = interval - 1u;
    TIFR1 = _BV(OCF1A);
    TIMSK1 = _BV(OCIE1A);
    TCCR1B = _BV(WGM12) | _BV(CS11);
    hal_unlock(lock);
}

void hal_step_timer_set(uint16_t interval) {
    OCR1A = interval - 1u;
}

void hal_step_timer_stop(void) {
    TCCR1B = 0;
    TIMSK1 = 0;
}

void hal_step_begin(void) {
    PORTD |= STEP_BIT;
}

void hal_step_end(void) {
    PORTD &= (uint8_t)~STEP_BIT;
}

void hal_direction(bool towards_specimen) {
    if (towards_specimen) PORTD |= DIRECTION_BIT;
    else PORTD &= (uint8_t)~DIRECTION_BIT;
}

void hal_enable(bool on) {
    if (on) PORTB &= (uint8_t)~ENABLE_BIT;
    else PORTB |= ENABLE_BIT;
}

void hal_focus(bool closed) {
    if (closed) PORTB |= FOCUS_BIT;
    else PORTB &= (uint8_t)~FOCUS_BIT;
}

void hal_release(bool closed) {
    if (closed) PORTB |= RELEASE_BIT;
    else PORTB &= (uint8_t)~RELEASE_BIT;
}

void hal_serial_write(uint8_t byte) {
    uint8_t next = (uint8_t)((out_head + 1u) & (OUTBOX_SIZE - 1u));
    while (next == out_tail) {}
    outbox[out_head] = byte;
    out_head = next;
    UCSR0B |= _BV(UDRIE0);
}

uint8_t hal_eeprom_read(uint16_t address) {
    while (EECR & _BV(EEPE)) {} /* a write continues during a reset */
    EEAR = address;
    EECR |= _BV(EERE);
    return EEDR;
}

void hal_eeprom_write(uint16_t address, uint8_t byte) {
    uint8_t lock = hal_lock(); /* the second bit has to follow the first within four cycles */
    EEAR = address;
    EEDR = byte;
    EECR |= _BV(EEMPE);
    EECR |= _BV(EEPE);
    hal_unlock(lock);
}

bool hal_eeprom_is_ready(void) {
    return !(EECR & _BV(EEPE));
}

uint8_t hal_lock(void) {
    uint8_t lock = SREG;
    cli();
    return lock;
}

void hal_unlock(uint8_t lock) {
    SREG = lock;
}

void hal_idle(void) {
#ifdef WATCHDOG
    wdt_reset();
#endif
    cli();
    if (!inbox_is_empty()) {
        sei();
        return;
    }
    sleep_enable();
    sei(); /* the instruction after it is carried out before any interrupt */
    sleep_cpu();
    sleep_disable();
}

ISR(TIMER1_COMPA_vect) {
    motion_interrupt();
}

ISR(TIMER2_COMPA_vect) {
    milliseconds++;
    if (PINC & ESTOP_BIT) estop_seen = true;
}

ISR(PCINT1_vect) {
    shoe_changed(!(PINC & SHOE_BIT));
}

ISR(USART_RX_vect) {
    inbox_receive(UDR0);
}

ISR(USART_UDRE_vect) {
    UDR0 = outbox[out_tail];
    out_tail = (uint8_t)((out_tail + 1u) & (OUTBOX_SIZE - 1u));
    if (out_tail == out_head) UCSR0B &= (uint8_t)~_BV(UDRIE0);
}

#else
typedef int not_for_this_machine;
#endif
