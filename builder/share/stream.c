#include "share/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "store/archive_in.h"

struct iw_stream {
    const char *part, *name, *folder;
    const iw_packed *expected;
    pthread_t thread;
    pthread_mutex_t mutex; /* for what follows, and while the part file is read */
    pthread_cond_t changed;
    int fd;
    uint64_t good;
    bool absent, stopped; /* the rest won't come; it isn't wanted */
    int status;
    iw_error err;
};

/* Under the mutex: a piece that is being read doesn't change. */
static ssize_t read_good(iw_stream *s, void *buffer, size_t size, uint64_t at)
{
    uint64_t left = s->good - at;
    if (s->fd < 0) s->fd = open(s->part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd < 0) return -1;
    ssize_t got = pread(s->fd, buffer, left < size ? (size_t)left : size, (off_t)at);
    if (got == 0) errno = EIO; /* it was cut by somebody else */
    return got > 0 ? got : -1;
}

static ssize_t read_part(void *context, void *buffer, size_t size, uint64_t at)
{
    iw_stream *s = context;
    ssize_t got = 0;
    pthread_mutex_lock(&s->mutex);
    while (s->good <= at && at < s->expected->file_size && !s->absent && !s->stopped)
        pthread_cond_wait(&s->changed, &s->mutex);
    if (s->good > at && !s->stopped) {
        got = read_good(s, buffer, size, at);
    } else if (at < s->expected->file_size) {
        errno = ECANCELED;
        got = -1;
    }
    int sys = errno;
    pthread_mutex_unlock(&s->mutex);
    errno = sys;
    return got;
}

static void stop(void *context)
{
    iw_stream *s = context;
    pthread_mutex_lock(&s->mutex);
    s->stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

static void *run(void *context)
{
    iw_stream *s = context;
    const iw_archive_source source = {.read = read_part, .stop = stop, .context = s};
    s->status = iw_archive_lay_from(&source, s->name, s->folder, s->expected, &s->err);
    if (s->status != 0) stop(s);
    return NULL;
}

iw_stream *iw_stream_start(const char *part, const char *name, const char *folder,
                           const iw_packed *expected)
{
    iw_stream *s = iw_alloc(sizeof *s);
    *s = (iw_stream){.part = part, .name = name, .folder = folder, .expected = expected, .fd = -1};
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (pthread_create(&s->thread, NULL, run, s) != 0) abort();
    return s;
}

bool iw_stream_verified(void *stream, uint64_t bytes)
{
    iw_stream *s = stream;
    pthread_mutex_lock(&s->mutex);
    if (bytes < s->good) iw_close_fd(&s->fd), s->fd = -1; /* perhaps another file, next time */
    s->good = bytes;
    bool wanted = !s->stopped;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    return wanted;
}

int iw_stream_finish(iw_stream *stream, bool whole, iw_error *err)
{
    iw_stream *s = stream;
    if (whole) {
        (void)iw_stream_verified(s, s->expected->file_size);
    } else {
        pthread_mutex_lock(&s->mutex);
        s->absent = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->mutex);
    }
    pthread_join(s->thread, NULL);
    int status = s->status;
    if (status != 0 && s->err.sys == ECANCELED) s->err.kind = IW_E_CANCELLED;
    if (status != 0) iw_error_move(err, &s->err);
    iw_error_clear(&s->err);
    iw_close_fd(&s->fd);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
    return status;
}
