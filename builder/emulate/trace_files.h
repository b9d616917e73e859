/* iw-trace's part that shows the emulated CPU's files (iw-cpu) where a program asks the kernel for
 * its processors: /proc/cpuinfo and what is below /sys/devices/system/cpu. */
#ifndef IW_EMULATE_TRACE_FILES_H
#define IW_EMULATE_TRACE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* The tracee's memory; false where it isn't all there. */
bool iw_trace_peek(pid_t pid, uint64_t address, void *out, size_t length);
bool iw_trace_poke(pid_t pid, uint64_t address, const void *data, size_t length);
/* A NUL-terminated string of at most PATH_MAX bytes. */
bool iw_trace_peek_string(pid_t pid, uint64_t address, char *out);

/* From here on this process and its children stop (seccomp RET_TRACE) at each call that looks a
 * file up by name. -1 with errno. */
int iw_trace_filter_files(void);

/* At such a stop: where the path is one of those, the call's own is put in its place, from
 * `folder`. True: it was, and `before` is what the registers must hold again after the call. */
bool iw_trace_show_file(pid_t pid, const char *folder, struct user_regs_struct *before);

#endif
