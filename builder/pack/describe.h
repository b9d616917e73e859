/* manifest.json and sbom.spdx.json. Internal to `pack`. */
#ifndef IW_PACK_DESCRIBE_H
#define IW_PACK_DESCRIBE_H

#include "pack/pack.h"

/* Both are deterministic: keys sorted, no times but SOURCE_DATE_EPOCH's. Caller frees. */
char *iw_manifest(const iw_plan *plan, const iw_floor *floor, const char *checks, const char *audit,
                  bool sandboxed, const char *stem);
char *iw_spdx(const iw_plan *plan, const char *stem);

#endif
