/* What a user put into an installed bundle's folder: told by its times, for every file of a bundle
 * has IW_ARCHIVE_TIME. Internal to `share`. */
#ifndef IW_SHARE_ADDED_H
#define IW_SHARE_ADDED_H

#include "base/error.h"
#include "base/text.h"

typedef struct iw_added {
    iw_strings
        requirements; /* "f5-tts==1.1.7", "x @ https://…", "-e /home/me/y": as pip takes them */
    iw_strings files; /* further ones, added or changed; relative */
} iw_added;

void iw_added_clear(iw_added *added);
int iw_added_find(const char *environment, iw_added *out, iw_error *err);
/* A requirements file, with the other files as comments. Caller frees. */
char *iw_added_text(const iw_added *added, const char *folder);
/* Installs the requirements of `list` (a file) into the environment with its own pip, under its
 * constraints. Network as pip is configured. IW_E_CHECK with pip's last words where that fails. */
int iw_added_carry(const char *environment, const char *list, iw_error *err);

#endif
