/* The board as a whole: what happens once after a reset, and then forever. */
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
