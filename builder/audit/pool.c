#include "audit/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { OPEN_FILES = 64, MAX_THREADS = 256 };

enum state { STATE_NEW, STATE_OPENING, STATE_READY, STATE_DONE, STATE_FAILED, STATE_TELLING };

typedef struct job {
    struct job *next;
    iw_bytes *bytes;
    size_t offset, size;
    char *name;
    enum state state;
    iw_scan scan;
    size_t taken, finished; /* chunks */
    iw_error error;
} job;

struct iw_pool {
    const iw_audit_options *options;
    iw_coder *coder;
    iw_audit_summary *summary;
    iw_tally total;
    uint64_t left; /* findings that may still be told */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job *first, *last;
    unsigned count;
    bool closing;
    iw_error error;
    pthread_t threads[MAX_THREADS];
    unsigned thread_count;
};

/* --- bytes ---------------------------------------------------------------- */

int iw_bytes_map(int fd, const char *name, iw_bytes **out, iw_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't read %s", name);
    if (!S_ISREG(status.st_mode))
        return iw_fail(err, IW_E_FORMAT, "%s: not a regular file; name a file or a folder", name);
    void *data = NULL;
    if (status.st_size > 0) {
        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) return iw_fail_errno(err, IW_E_IO, "can't map %s", name);
    }
    *out = iw_alloc(sizeof **out);
    **out = (iw_bytes){data, (size_t)status.st_size, status.st_size > 0, 1};
    return 0;
}

iw_bytes *iw_bytes_borrow(const void *data, size_t size)
{
    iw_bytes *bytes = iw_alloc(sizeof *bytes);
    *bytes = (iw_bytes){data, size, false, 1};
    return bytes;
}

static void drop_locked(iw_bytes *bytes)
{
    if (--bytes->users > 0) return;
    if (bytes->mapped) munmap((void *)(uintptr_t)bytes->data, bytes->size);
    free(bytes);
}

void iw_bytes_drop(iw_pool *pool, iw_bytes *bytes)
{
    pthread_mutex_lock(&pool->lock);
    drop_locked(bytes);
    pthread_mutex_unlock(&pool->lock);
}

/* --- jobs; the lock is held unless said otherwise ------------------------- */

static void keep_error(iw_pool *pool, iw_error *err)
{
    if (pool->error.kind == IW_E_NONE) iw_error_move(&pool->error, err);
    else iw_error_clear(err);
}

static void open_job(iw_pool *pool, job *work)
{
    work->state = STATE_OPENING;
    pthread_mutex_unlock(&pool->lock);
    int status = iw_scan_open(&work->scan, (const uint8_t *)work->bytes->data + work->offset,
                              work->size, work->name, pool->options, pool->coder, &work->error);
    pthread_mutex_lock(&pool->lock);
    work->state = status ? STATE_FAILED : work->scan.chunk_count ? STATE_READY : STATE_DONE;
}

static void run_chunk(iw_pool *pool, job *work)
{
    size_t index = work->taken++;
    pthread_mutex_unlock(&pool->lock);
    iw_scan_chunk(&work->scan, index);
    pthread_mutex_lock(&pool->lock);
    if (++work->finished == work->scan.chunk_count) work->state = STATE_DONE;
}

/* The first job of all: tells it and lets it go. */
static void tell_job(iw_pool *pool, job *work)
{
    bool failed = work->state == STATE_FAILED;
    work->state = STATE_TELLING;
    pthread_mutex_unlock(&pool->lock);
    if (!failed) {
        iw_scan_finish(&work->scan, &pool->left, pool->summary, &pool->total);
        iw_scan_close(&work->scan);
    }
    pthread_mutex_lock(&pool->lock);
    if (failed) keep_error(pool, &work->error);
    drop_locked(work->bytes);
    pool->first = work->next;
    if (!pool->first) pool->last = NULL;
    pool->count--;
    free(work->name);
    free(work);
}

/* Does one piece of work, if there is any: telling first, that makes room; then chunks in order,
 * then new files. */
static bool work_once(iw_pool *pool)
{
    job *head = pool->first, *fresh = NULL;
    if (head && (head->state == STATE_DONE || head->state == STATE_FAILED)) {
        tell_job(pool, head);
        return true;
    }
    for (job *each = head; each; each = each->next) {
        if (each->state == STATE_READY && each->taken < each->scan.chunk_count) {
            run_chunk(pool, each);
            return true;
        }
        if (each->state == STATE_NEW && !fresh) fresh = each;
    }
    if (fresh) open_job(pool, fresh);
    return fresh != NULL;
}

static void *worker(void *context)
{
    iw_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (pool->first || !pool->closing)
        if (work_once(pool)) pthread_cond_broadcast(&pool->changed);
        else if (pool->first || !pool->closing) pthread_cond_wait(&pool->changed, &pool->lock);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

iw_pool *iw_pool_open(const iw_audit_options *options, unsigned threads, iw_audit_summary *summary)
{
    iw_pool *pool = iw_alloc(sizeof *pool);
    iw_isa_rules rules;
    iw_isa_rules_make(&options->profile->usable, &rules);
    memset(summary, 0, sizeof *summary);
    pool->options = options;
    pool->coder = iw_coder_new(&rules);
    pool->summary = summary;
    pool->left = options->max_findings;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    for (unsigned i = 0; i < threads && i < MAX_THREADS; i++)
        if (pthread_create(&pool->threads[pool->thread_count], NULL, worker, pool) == 0)
            pool->thread_count++;
    return pool;
}

void iw_pool_add(iw_pool *pool, iw_bytes *bytes, size_t offset, size_t size, const char *name)
{
    job *work = iw_alloc(sizeof *work);
    *work = (job){.bytes = bytes,
                  .offset = offset,
                  .size = size,
                  .name = iw_strdup(name),
                  .error = IW_ERROR_INIT};
    pthread_mutex_lock(&pool->lock);
    while (pool->thread_count && pool->count >= OPEN_FILES)
        pthread_cond_wait(&pool->changed, &pool->lock);
    bytes->users++;
    if (pool->last) pool->last->next = work;
    else pool->first = work;
    pool->last = work;
    pool->count++;
    pthread_cond_broadcast(&pool->changed);
    while (!pool->thread_count && work_once(pool))
        ;
    pthread_mutex_unlock(&pool->lock);
}

void iw_pool_fail(iw_pool *pool, iw_error *err)
{
    pthread_mutex_lock(&pool->lock);
    keep_error(pool, err);
    pthread_mutex_unlock(&pool->lock);
}

int iw_pool_close(iw_pool *pool, iw_error *err)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) pthread_join(pool->threads[i], NULL);
    pool->summary->counts =
        iw_tally_counts(&pool->total, iw_coder_rules(pool->coder), &pool->summary->count_count);
    int status = pool->error.kind == IW_E_NONE ? 0 : -1;
    if (status && err) iw_error_move(err, &pool->error);
    iw_error_clear(&pool->error);
    iw_coder_free(pool->coder);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    return status;
}
