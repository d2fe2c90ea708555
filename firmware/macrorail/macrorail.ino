// The sketch for Arduino Uno and Nano: open this folder in the Arduino IDE, or run `make avr`.
#include "board.h"

void setup() {
    board_setup();
}

void loop() {
    board_loop();
}
