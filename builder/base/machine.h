/* What this machine has to work with. */
#ifndef IW_BASE_MACHINE_H
#define IW_BASE_MACHINE_H

#include <stdint.h>

/* Processors that this process may run on; at least 1. */
unsigned iw_core_count(void);
/* MiB of memory that are free to use now (proc(5), MemAvailable), less a tenth; 2048 where that
 * can't be read. */
uint64_t iw_available_memory(void);

#endif
