#include "base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"

unsigned iw_core_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}

uint64_t iw_available_memory(void)
{
    iw_cleanup_free char *text = NULL;
    unsigned long long kib = 0;
    if (iw_read_file("/proc/meminfo", 1 << 16, &text, NULL, NULL) == 0) {
        const char *line = strstr(text, "MemAvailable:");
        if (line) sscanf(line, "MemAvailable: %llu", &kib);
    }
    return kib ? kib / 1024 / 10 * 9 : 2048;
}
