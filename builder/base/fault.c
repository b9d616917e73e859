#include "base/fault.h"

#include <errno.h>

static struct {
    unsigned after;
    int sys;
} faults[IW_FAULT_POINTS];

void iw_fault_set(iw_fault_point point, unsigned after, int sys)
{
    faults[point].after = after;
    faults[point].sys = sys;
}

bool iw_fault(iw_fault_point point)
{
    if (faults[point].after == 0 || --faults[point].after != 0) return false;
    errno = faults[point].sys;
    return true;
}
