/* Making the toolchain's root ready after its packages were unpacked. Internal to `build`. */
#ifndef IW_BUILD_ROOT_H
#define IW_BUILD_ROOT_H

#include "base/error.h"
#include "base/text.h"

#define IW_ROOT_FORMAT "1" /* part of a root's stamp: changes when preparing gives another tree */
#define IW_REAL_FOLDER "usr/libexec/iw-real"

/* Before unpacking: the folders of usr/ and the links bin, sbin, lib, lib64, lib32, libx32 to them.
 */
int iw_root_skeleton(const char *root, iw_error *err);
/* After it: sh, cc, awk and the like where maintainer scripts would have made them, minimal /etc,
 * mount points, and the compilers moved aside. `names`: what the wrapper covers. */
int iw_root_prepare(const char *root, const iw_strings *names, iw_error *err);
/* Only the last part: each of `names` in usr/bin moves to IW_REAL_FOLDER and leaves an empty file;
 * IW_REAL_FOLDER/names lists them. */
int iw_root_cover(const char *root, const iw_strings *names, iw_error *err);
/* Gives every file and folder below `root` the time IW_ARCHIVE_TIME. */
int iw_root_settle(const char *root, iw_error *err);
/* Writes the stamp of a finished root: its content's digest, and what stat says of its files. */
int iw_root_stamp(const char *root, const char *path, iw_error *err);
/* The names that a prepared root has covered. */
int iw_root_covered(const char *root, iw_strings *names, iw_error *err);

#endif
