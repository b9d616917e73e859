/* What the tests of `fetch` share: a fresh folder, a server on 127.0.0.1 (tests/servers/serve.py)
 * for files below it, checks that print errors. */
#ifndef IW_TESTS_FETCH_KIT_H
#define IW_TESTS_FETCH_KIT_H

#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "fetch/fetch.h"
#include "store/store.h"

typedef struct kit {
    char *folder; /* everything of a test program; `files` in it is what the server serves */
    char *files, *log;
    char *url; /* "http://127.0.0.1:PORT" */
    pid_t server;
    iw_store *store; /* made by kit_store */
    iw_buffer events;
    iw_sink sink;
} kit;

static inline void kit_event(void *context, const iw_event *event)
{
    kit *k = context;
    iw_buffer_add_format(&k->events, "%s %s %llu/%llu %s\n", iw_event_name(event->type),
                         event->subject ? event->subject : "-", (unsigned long long)event->count,
                         (unsigned long long)event->total, event->detail ? event->detail : "");
}

/* The server's port is its first line. */
static inline int kit_serve(kit *k)
{
    int ends[2];
    const char *argv[] = {"python3", "-B", "tests/servers/serve.py", k->files, k->log, NULL};
    if (pipe2(ends, O_CLOEXEC)) return -1;
    iw_error err = IW_ERROR_INIT;
    iw_command command = {
        .argv = argv, .in = -1, .out = ends[1], .error = 2, .die_with_parent = true};
    int status = iw_spawn(&command, &k->server, &err);
    if (status) print_error("%s\n", iw_error_text(&err));
    iw_error_clear(&err);
    close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    int port = 0;
    if (status || fscanf(in, "%d", &port) != 1) status = -1;
    fclose(in);
    k->url = iw_format("http://127.0.0.1:%d", port);
    return status;
}

static inline int kit_group_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    kit *k = iw_alloc(sizeof *k);
    static const char *const unset[] = {"http_proxy",
                                        "https_proxy",
                                        "all_proxy",
                                        "HTTP_PROXY",
                                        "HTTPS_PROXY",
                                        "ALL_PROXY",
                                        "PIP_INDEX_URL",
                                        "PIP_EXTRA_INDEX_URL",
                                        "PIP_CERT",
                                        "PIP_CONFIG_FILE",
                                        "XDG_CONFIG_HOME",
                                        "CARGO_HOME",
                                        "IRONWHEEL_DEBIAN_MIRROR",
                                        "IRONWHEEL_DEBIAN_SNAPSHOT",
                                        "IRONWHEEL_DEBIAN_KEYRING",
                                        "IRONWHEEL_CRATES_INDEX"};
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++) unsetenv(unset[i]);
    setenv("no_proxy", "127.0.0.1", 1);
    if (iw_temporary_folder(parent && *parent ? parent : "/tmp", "iw-fetch-", &k->folder, NULL))
        return -1;
    k->files = iw_path_join(k->folder, "files");
    k->log = iw_path_join(k->folder, "requests");
    k->sink = (iw_sink){kit_event, k};
    *state = k;
    return mkdir(k->files, 0755) || kit_serve(k);
}

static inline int kit_group_teardown(void **state)
{
    kit *k = *state;
    if (k->server > 0) {
        kill(k->server, SIGKILL);
        waitpid(k->server, NULL, 0);
    }
    iw_store_close(k->store);
    iw_buffer_free(&k->events);
    iw_remove_tree(k->folder, NULL);
    free(k->folder), free(k->files), free(k->log), free(k->url);
    free(k);
    return 0;
}

/* An empty store for this test. */
static inline iw_store *kit_store(kit *k)
{
    iw_error err = IW_ERROR_INIT;
    iw_store_close(k->store);
    k->store = NULL;
    iw_cleanup_free char *path = iw_path_join(k->folder, "store");
    kit_ok(iw_remove_tree(path, &err));
    kit_ok(iw_store_open(path, NULL, &k->store, &err));
    return k->store;
}

static inline char *kit_path(const kit *k, const char *name)
{
    return iw_path_join(k->folder, name);
}

static inline void kit_write(const kit *k, const char *name, const void *data, size_t length)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = kit_path(k, name), *parent = iw_path_parent(path);
    kit_ok(iw_make_folders(parent, 0755, &err));
    kit_ok(iw_write_file(path, data, length, 0644, &err));
}

static inline void kit_text(const kit *k, const char *name, const char *text)
{
    kit_write(k, name, text, strlen(text));
}

static inline char *kit_read(const char *path)
{
    iw_error err = IW_ERROR_INIT;
    char *text = NULL;
    kit_ok(iw_read_file(path, 1 << 24, &text, NULL, &err));
    return text;
}

/* Bytes that look like nothing, the same every time; caller frees. */
static inline char *kit_noise(size_t length, unsigned seed)
{
    char *data = iw_alloc(length + 1);
    uint64_t x = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < length; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        data[i] = (char)(x >> 32);
    }
    return data;
}

/* How many requests so far have `part` in their line. */
static inline unsigned kit_requests(const kit *k, const char *part)
{
    char *text = NULL;
    unsigned count = 0;
    if (iw_read_file(k->log, 1 << 24, &text, NULL, NULL)) return 0;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line))
        count += memmem(line.data, line.length, part, strlen(part)) != NULL;
    free(text);
    return count;
}

static inline void kit_forget(kit *k)
{
    unlink(k->log);
    iw_buffer_clear(&k->events);
    if (k->events.data) k->events.data[0] = 0;
}

static inline char *kit_hex(const char *text)
{
    iw_buffer out = {0};
    for (; *text; text++) iw_buffer_add_format(&out, "%02x", (unsigned char)*text);
    return iw_buffer_take(&out);
}

static inline double kit_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Runs a program to its end; it must succeed. Caller frees the output. */
static inline char *kit_run(const char *const *argv, const char *const *environment)
{
    iw_error err = IW_ERROR_INIT;
    char *out = NULL;
    kit_ok(iw_run_capture(argv, environment, 1 << 20, &out, NULL, &err));
    return out;
}

#endif
