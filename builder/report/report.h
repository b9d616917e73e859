/* The page about a bundle that `build` and `verify` write beside it: one file of HTML without
 * scripts, which loads nothing. */
#ifndef IW_REPORT_REPORT_H
#define IW_REPORT_REPORT_H

#include "base/error.h"

/* `manifest` is the text of a bundle's manifest.json. `details` is a JSON object (or NULL) with
 * what isn't part of the bundle; each key may be missing: file, sha256, bytes   the bundle as a
 * file by, when              the command, and the time as text problem               why the bundle
 * doesn't hold: the message of a failed proof profiles              {profile: what CPUs that is}
 *   audit                 in the place of the manifest's; `every` lists the files that are clean,
 * too: [{file, verdict, code_bytes, counts, top}] checks                in the place of the
 * manifest's, with `how` and `seconds` exceptions            [{package, file, symbol, features,
 * reason}]: what the recipes excuse packages              {name: {seconds: {phase: number},
 * started, flags}}: times of the build that made it; `started`, in seconds from the start of this
 * run, only where this run built it; `flags`: {flag: number} that the wrapper took out Both may be
 * hostile: everything is escaped, broken UTF-8 is replaced, and what would be too much is left out
 * and counted. *html owned by the caller, a few MB at the most. IW_E_FORMAT where one isn't a JSON
 * object. */
int iw_report_page(const char *manifest, const char *details, char **html, iw_error *err);

/* The page about a bump, from its report (upgrade/bump.h); the same care, the same errors. */
int iw_report_bump(const char *report, char **html, iw_error *err);

#endif
