/* Paths as text; nothing here touches the file system. Results are owned by the caller. */
#ifndef IW_BASE_PATH_H
#define IW_BASE_PATH_H

#include <stdbool.h>

char *iw_path_join(const char *folder,
                   const char *name); /* an absolute `name` is returned as it is */
char *iw_path_join3(const char *folder, const char *a, const char *b);
char *iw_path_parent(const char *path);     /* "/" or "." at the end */
const char *iw_path_base(const char *path); /* borrowed: after the last `/` */
char *iw_path_clean(const char *path);      /* "a//b/./c/../d" gives "a/b/d"; `..` at the start of a
                                               relative path stays */
/* What of `path` stands below `folder`; all of it where it lies elsewhere. Borrowed. */
const char *iw_path_below(const char *path, const char *folder);
/* True for a relative path that stays below its start: not empty, not absolute, no `..` component,
 * no NUL, no control characters. */
bool iw_path_is_inside(const char *path);

#endif
