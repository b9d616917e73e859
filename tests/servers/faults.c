/* Preloaded into a program by tests: its disk is full, its folder is a FAT stick's or on an NFS
 * without locks, its time runs faster. By the environment:
 *
 *     FAULT_FULL=N         the N-th write to a file, and all that follow, fail: no space left
 *     FAULT_COUNT=PATH     how many such writes there were, written at the end
 *     FAULT_FAT=DIR        below DIR no links, and no byte of a file beyond FAULT_FAT_SIZE
 *     FAULT_NO_LOCKS=1     locks fail as where no lock daemon runs
 *     FAULT_FREE=N         every file system says that it has N bytes left
 *     FAULT_FAST=N         a second of waiting takes an N-th of one */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long writes;

static long number(const char *name)
{
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static int is_file(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static int is_fat(const char *path)
{
    const char *folder = getenv("FAULT_FAT");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_fat_file(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_fat(path);
}

/* 0, or the error of a write of so many bytes that would end at `end`. */
static int fault(int fd, off_t end)
{
    if (!is_file(fd)) return 0;
    long full = number("FAULT_FULL"), size = number("FAULT_FAT_SIZE");
    if (full && __sync_add_and_fetch(&writes, 1) >= full) return ENOSPC;
    if (!full) __sync_add_and_fetch(&writes, 1);
    return size && end > size && is_fat_file(fd) ? EFBIG : 0;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static void __attribute__((destructor)) tell(void)
{
    const char *path = getenv("FAULT_COUNT");
    FILE *out = path && writes ? fopen(path, "w") : NULL;
    if (!out) return;
    fprintf(out, "%ld\n", writes);
    fclose(out);
}

ssize_t write(int fd, const void *data, size_t length)
{
    int error = fault(fd, lseek(fd, 0, SEEK_CUR) + (off_t)length);
    return error ? refuse(error) : REAL(write)(fd, data, length);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at)
{
    int error = fault(fd, at + (off_t)length);
    return error ? refuse(error) : REAL(pwrite)(fd, data, length, at);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at)
{
    int error = fault(fd, at + (off_t)length);
    return error ? refuse(error) : REAL(pwrite64)(fd, data, length, at);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length,
                        unsigned flags)
{
    int error = fault(out, lseek(out, 0, SEEK_CUR) + (off_t)length);
    return error ? refuse(error) : REAL(copy_file_range)(in, in_at, out, out_at, length, flags);
}

int link(const char *from, const char *to)
{
    return is_fat(to) ? refuse(EPERM) : REAL(link)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return is_fat(to) || is_fat_file(to_folder)
               ? refuse(EPERM)
               : REAL(linkat)(from_folder, from, to_folder, to, flags);
}

int symlink(const char *text, const char *path)
{
    return is_fat(path) ? refuse(EPERM) : REAL(symlink)(text, path);
}

int flock(int fd, int how)
{
    return number("FAULT_NO_LOCKS") ? refuse(ENOLCK) : REAL(flock)(fd, how);
}

static int told(int status, struct statvfs *out)
{
    long left = number("FAULT_FREE");
    if (status == 0 && left) out->f_bavail = (fsblkcnt_t)left, out->f_frsize = 1;
    return status;
}

int statvfs(const char *path, struct statvfs *out)
{
    return told(REAL(statvfs)(path, out), out);
}

int statvfs64(const char *path, struct statvfs64 *out)
{
    return told(REAL(statvfs64)(path, out), (struct statvfs *)out);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    long fast = number("FAULT_FAST");
    int status = REAL(clock_gettime)(clock, out);
    if (!fast || clock != CLOCK_MONOTONIC || status != 0) return status;
    __int128 whole = ((__int128)out->tv_sec * 1000000000 + out->tv_nsec) * fast;
    out->tv_sec = (time_t)(whole / 1000000000);
    out->tv_nsec = (long)(whole % 1000000000);
    return 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    long fast = number("FAULT_FAST");
    return REAL(poll)(fds, count, fast && timeout > 0 ? (int)(timeout / fast) + 1 : timeout);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t length);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t length)
{
    (void)length;
    return poll(fds, count, timeout);
}
