#include "build/worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/guard.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/process.h"

/* Lines from worker to parent: 'E' and an event's JSON, or 'R' and the result. */

/* --- in the worker -------------------------------------------------------- */

static void send_event(void *context, const iw_event *event)
{
    int fd = *(const int *)context;
    iw_cleanup_free char *json = iw_event_to_json(event);
    iw_cleanup_free char *line = iw_format("E%s\n", json);
    iw_write_all(fd, line, strlen(line), "events", NULL);
}

/* Text of a build's output may be no UTF-8; JSON must be. */
static json_t *any_text(const char *text)
{
    json_t *value = json_string(text);
    if (value || !text) return value ? value : json_null();
    iw_cleanup_free char *safe = iw_strdup(text);
    for (char *c = safe; *c; c++)
        if ((unsigned char)*c >= 128) *c = '?';
    return json_string(safe);
}

static void send_result(int fd, const iw_job_end *end, const iw_error *err)
{
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_integer(err->kind));
    json_object_set_new(object, "message", any_text(err->message));
    json_object_set_new(object, "reused", json_boolean(end->reused));
    json_object_set_new(object, "phase", any_text(end->phase));
    json_object_set_new(object, "log", any_text(end->log));
    iw_cleanup_free char *json = json_dumps(object, JSON_COMPACT);
    iw_cleanup_free char *line = iw_format("R%s\n", json ? json : "{}");
    json_decref(object);
    iw_write_all(fd, line, strlen(line), "result", NULL);
}

/* Sockets and epoll descriptors are the broker's: a copy here would keep connections open that the
 * parent has closed. */
static void close_sockets(void)
{
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char target[64];
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        if (iw_starts_with(target, "socket:") || strcmp(target, "anon_inode:[eventpoll]") == 0)
            close(atoi(entry->d_name));
    }
    if (dir) closedir(dir);
}

/* Nothing of the terminal or of the caller's limits may show in a build. Called with every signal
 * blocked, until the handlers are given up that write into the parent's pipe. */
static void settle_down(pid_t parent, const sigset_t *before)
{
    struct rlimit none = {0, 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    iw_signals_close();
    pthread_sigmask(SIG_SETMASK, before, NULL);
    iw_guard_adopt();
    close_sockets();
    setpgid(0, 0);
    umask(022);
    setrlimit(RLIMIT_CORE, &none);
}

static _Noreturn void work(const iw_store *parents, const iw_job *job, int events, int cancel)
{
    iw_error err = IW_ERROR_INIT;
    iw_job_end end = {.phase = "start"};
    iw_store *store = NULL;
    iw_job mine = *job;
    iw_sink sink = {send_event, &events};
    mine.sink = &sink;
    mine.cancel = cancel;
    int status = iw_store_open(iw_store_root(parents), NULL, &store, &err);
    if (status == 0) status = iw_package_build(store, &mine, &end, &err);
    send_result(events, &end, &err);
    iw_store_close(store);
    iw_guard_end_all(); /* where somebody killed a step's guard */
    _exit(status ? 1 : 0);
}

/* --- in the parent -------------------------------------------------------- */

int iw_worker_start(iw_worker *worker, const iw_store *store, const iw_job *job, iw_node *node,
                    iw_error *err)
{
    memset(worker, 0, sizeof *worker);
    worker->events = worker->cancel = -1;
    int events[2], cancel[2];
    if (pipe2(events, O_CLOEXEC)) return iw_fail_errno(err, IW_E_IO, "making a pipe for a worker");
    if (pipe2(cancel, O_CLOEXEC)) {
        iw_fail_errno(err, IW_E_IO, "making a pipe for a worker");
        close(events[0]);
        close(events[1]);
        return -1;
    }
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        settle_down(parent, &before);
        close(events[0]);
        close(cancel[1]);
        work(store, job, events[1], cancel[0]);
    }
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(events[1]);
    close(cancel[0]);
    worker->events = events[0];
    worker->cancel = cancel[1];
    worker->node = node;
    worker->pid = pid;
    worker->began = iw_now();
    worker->subject = iw_format("%s/%s", node->recipe->name, node->recipe->version);
    if (pid > 0)
        return fcntl(worker->events, F_SETFL, O_NONBLOCK)
                   ? iw_fail_errno(err, IW_E_IO, "a worker's pipe")
                   : 0;
    iw_worker_clear(worker);
    errno = saved;
    return iw_fail_errno(err, IW_E_IO, "starting a worker for %s", node->recipe->name);
}

static void take_result(iw_worker *worker, const char *line)
{
    json_t *object = json_loads(line, 0, NULL);
    if (!object) return;
    worker->told = true;
    iw_error_kind kind = (iw_error_kind)json_integer_value(json_object_get(object, "kind"));
    const char *message = iw_json_get(object, "message");
    if (kind != IW_E_NONE)
        iw_fail(&worker->error, kind, "%s", message ? message : "it failed without a word");
    worker->cancelled = kind == IW_E_CANCELLED;
    worker->reused = json_is_true(json_object_get(object, "reused"));
    worker->phase = iw_strdup(iw_json_get(object, "phase"));
    worker->log = iw_strdup(iw_json_get(object, "log"));
    json_decref(object);
}

static void take_line(iw_worker *worker, const char *line, const iw_sink *sink)
{
    iw_event event;
    void *holder = NULL;
    if (line[0] == 'R') take_result(worker, line + 1);
    if (line[0] != 'E' || iw_event_from_json(line + 1, &event, &holder, NULL)) return;
    iw_emit(sink, event);
    free(holder);
}

static void take(iw_worker *worker, const char *data, size_t length, const iw_sink *sink)
{
    while (length) {
        const char *end = memchr(data, '\n', length);
        size_t part = end ? (size_t)(end - data) : length;
        iw_buffer_add(&worker->partial, data, part);
        if (!end) return;
        if (worker->partial.length) take_line(worker, worker->partial.data, sink);
        iw_buffer_clear(&worker->partial);
        data += part + 1;
        length -= part + 1;
    }
}

/* The worker has closed its pipe: what became of it? */
static void conclude(iw_worker *worker)
{
    int status = 0;
    close(worker->events);
    worker->events = -1;
    iw_wait(worker->pid, &status, NULL);
    worker->pid = 0;
    if (worker->told) return;
    iw_cleanup_free char *how = iw_status_text(status);
    iw_fail(&worker->error, IW_E_BUILD,
            "its worker process died (%s): out of memory, or killed from outside?", how);
}

bool iw_worker_read(iw_worker *worker, const iw_sink *sink)
{
    char data[65536];
    ssize_t got = read(worker->events, data, sizeof data);
    if (got > 0) {
        take(worker, data, (size_t)got, sink);
        return false;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    conclude(worker);
    return true;
}

void iw_worker_cancel(iw_worker *worker)
{
    if (worker->cancel >= 0) iw_write_all(worker->cancel, "x", 1, "a worker's pipe", NULL);
}

void iw_worker_kill(iw_worker *worker)
{
    if (worker->pid > 0) kill(worker->pid, SIGKILL);
}

void iw_worker_clear(iw_worker *worker)
{
    if (worker->pid > 0) {
        kill(worker->pid, SIGKILL);
        iw_wait(worker->pid, &(int){0}, NULL);
    }
    if (worker->events >= 0) close(worker->events);
    if (worker->cancel >= 0) close(worker->cancel);
    free(worker->subject);
    free(worker->phase);
    free(worker->log);
    iw_buffer_free(&worker->partial);
    iw_error_clear(&worker->error);
    memset(worker, 0, sizeof *worker);
    worker->events = worker->cancel = -1;
}
