/* The board as a whole: actions once after a reset, and the main loop. */
#ifndef MACRORAIL_BOARD_H
#define MACRORAIL_BOARD_H

#ifdef __cplusplus
extern "C" {
#endif

void board_setup(void);
void board_loop(void);

#ifdef __cplusplus
}
#endif

#endif
