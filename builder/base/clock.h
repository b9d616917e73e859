/* Time that only goes on: for measuring and waiting, never for dates. */
#ifndef IW_BASE_CLOCK_H
#define IW_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: seconds, and milliseconds. */
double iw_now(void);
int64_t iw_now_ms(void);

#endif
