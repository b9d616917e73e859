#include "cli/context.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "ui/columns.h"

/* --- where things are ----------------------------------------------------- */

static char *program_folder(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return iw_strdup("/usr/local/bin");
    path[length] = 0;
    return iw_path_parent(path);
}

/* In a checkout out/<mode>/ironwheel has libexec/ beside it; installed, bin/ironwheel has
 * ../libexec/ironwheel. The whole program stands there itself. */
static char *helpers_folder(const char *program)
{
    const char *given = getenv("IRONWHEEL_LIBEXEC");
    if (given && *given) return iw_strdup(given);
    iw_cleanup_free char *here = iw_path_join(program, "iw-init");
    if (iw_exists(here)) return iw_strdup(program);
    char *beside = iw_path_join(program, "libexec");
    iw_cleanup_free char *probe = iw_path_join(beside, "iw-init");
    if (iw_exists(probe)) return beside;
    free(beside);
    iw_cleanup_free char *joined = iw_path_join(program, "../libexec/ironwheel");
    return iw_path_clean(joined);
}

static bool is_tree(const char *folder)
{
    iw_cleanup_free char *stacks = iw_path_join(folder, "recipes/stacks");
    return iw_exists(stacks);
}

/* The folder or the nearest above it that is a tree; NULL where there is none. */
static char *tree_above(const char *folder)
{
    char *at = iw_strdup(folder);
    for (;;) {
        if (is_tree(at)) return at;
        char *up = iw_path_parent(at);
        bool last = strcmp(up, at) == 0 || strcmp(up, ".") == 0;
        free(at);
        at = up;
        if (last) break;
    }
    free(at);
    return NULL;
}

static int find_root(iw_context *context, iw_error *err)
{
    const char *given = iw_text_option(context->arguments, "root"),
               *variable = getenv("IRONWHEEL_ROOT");
    if (!given && variable && *variable) given = variable;
    char here[4096];
    if (!getcwd(here, sizeof here))
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't tell the working folder");
    if (given) {
        iw_cleanup_free char *named = iw_path_join(here, given);
        if (is_tree(named))
            context->root = realpath(named, NULL); /* one name, however it is called */
        if (context->root) return 0;
        return iw_fail(err, IW_E_USAGE,
                       "%s holds no recipes/stacks; -C (or IRONWHEEL_ROOT) names the folder that "
                       "holds recipes/",
                       named);
    }
    context->root = tree_above(here);
    if (!context->root) context->root = tree_above(context->program);
    if (context->root) return 0;
    static const char *const shares[] = {"../share/ironwheel", "../../share/ironwheel"};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        iw_cleanup_free char *joined = iw_path_join(context->program, shares[i]);
        free(context->root);
        context->root = iw_path_clean(joined);
        if (is_tree(context->root)) return 0;
    }
    free(context->root);
    context->root = NULL;
    return iw_fail(err, IW_E_USAGE,
                   "no recipes here: neither %s nor a folder above it holds recipes/stacks; name "
                   "one with -C DIR",
                   here);
}

int iw_context_catalog(iw_context *context, iw_catalog **out, iw_error *err)
{
    if (!context->root && find_root(context, err) != 0) return -1;
    if (!context->catalog && iw_catalog_open(context->root, &context->catalog, err) != 0) return -1;
    *out = context->catalog;
    return 0;
}

int iw_context_profile(iw_context *context, const char *name, iw_error *err)
{
    iw_catalog *catalog;
    const iw_profile *profile;
    return iw_context_catalog(context, &catalog, err) != 0
               ? -1
               : iw_catalog_profile(catalog, name, &profile, err);
}

/* Beside recipes/ where that can be written, else in the user's cache folder. Caller frees. */
static char *default_cache(const char *root)
{
    if (root && access(root, W_OK) == 0) return iw_path_join(root, "cache");
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base == '/') return iw_path_join(base, "ironwheel");
    return iw_path_join(home && *home ? home : "/tmp", ".cache/ironwheel");
}

static int open_store(iw_context *context, iw_error *err)
{
    iw_cleanup_free char *fallback = default_cache(context->root);
    return iw_store_open(iw_text_option(context->arguments, "cache"), fallback, &context->store,
                         err);
}

int iw_context_store(iw_context *context, iw_store **out, iw_error *err)
{
    iw_catalog *catalog;
    if (!context->store &&
        (iw_context_catalog(context, &catalog, err) != 0 || open_store(context, err) != 0))
        return -1;
    *out = context->store;
    return 0;
}

int iw_context_store_alone(iw_context *context, iw_store **out, iw_error *err)
{
    iw_error none = IW_ERROR_INIT;
    if (!context->root) find_root(context, &none);
    iw_error_clear(&none);
    if (!context->store && open_store(context, err) != 0) return -1;
    *out = context->store;
    return 0;
}

/* --- the user ------------------------------------------------------------- */

void iw_context_show(iw_context *context)
{
    if (context->ui) return;
    iw_ui_options options = {.mode = context->json    ? IW_UI_JSON
                                     : context->quiet ? IW_UI_QUIET
                                                      : IW_UI_AUTO,
                             .verbosity = context->quiet     ? -1
                                          : context->verbose ? 1
                                                             : 0,
                             .out = 1,
                             .error = 2,
                             .colour_allowed = true};
    context->ui = iw_ui_open(&options);
    context->sink = iw_ui_sink(context->ui);
}

void iw_print(iw_context *context, const char *format, ...)
{
    va_list arguments;
    if (context->ui) iw_ui_pause(context->ui);
    va_start(arguments, format);
    iw_cleanup_free char *text = iw_vformat(format, arguments),
                         *shown = isatty(1) ? iw_columns_lines(text) : NULL;
    va_end(arguments);
    fputs(shown ? shown : text, stdout);
    fflush(stdout);
    if (context->ui) iw_ui_resume(context->ui);
}

void iw_print_json(iw_context *context, json_t *line)
{
    iw_cleanup_free char *text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
    iw_print(context, "%s\n", text ? text : "{}");
    json_decref(line);
}

/* --- Ctrl-C --------------------------------------------------------------- */

struct iw_watch {
    pthread_t thread;
    int signals;
    int pipe[2]; /* cancel */
    int stop[2];
    iw_ui *ui;
};

static void on_stop_signal(struct iw_watch *watch, unsigned *seen)
{
    if ((*seen)++ == 0) {
        (void)!write(watch->pipe[1], "c", 1);
        return;
    }
    iw_ui_leave(watch->ui);
    _exit(130);
}

static void *watch_signals(void *argument)
{
    struct iw_watch *watch = argument;
    unsigned seen = 0;
    for (;;) {
        struct pollfd polled[2] = {{watch->signals, POLLIN, 0}, {watch->stop[0], POLLIN, 0}};
        if (poll(polled, 2, -1) < 0 && errno != EINTR) return NULL;
        if (polled[1].revents) return NULL;
        unsigned char number;
        while (read(watch->signals, &number, 1) == 1)
            if (number == SIGINT || number == SIGTERM || number == SIGHUP)
                on_stop_signal(watch, &seen);
    }
}

static int open_pipe(int ends[2], iw_error *err)
{
    return pipe2(ends, O_CLOEXEC) == 0 ? 0
                                       : iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make a pipe");
}

int iw_context_watch_signals(iw_context *context, iw_error *err)
{
    if (context->watch) return 0;
    struct iw_watch *watch = iw_alloc(sizeof *watch);
    watch->ui = context->ui;
    watch->pipe[0] = watch->pipe[1] = watch->stop[0] = watch->stop[1] = -1;
    context->watch = watch;
    if (iw_signals_open(&watch->signals, err) != 0 || open_pipe(watch->pipe, err) != 0 ||
        open_pipe(watch->stop, err) != 0)
        return -1;
    sigset_t all, before; /* signals go to the threads that had them */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&watch->thread, NULL, watch_signals, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        close(watch->stop[1]);
        watch->stop[1] = -1;
        return iw_fail(err, IW_E_ENVIRONMENT, "can't start a thread: %s", strerror(failed));
    }
    context->cancel = watch->pipe[0];
    return 0;
}

static void stop_watching(struct iw_watch *watch)
{
    if (!watch) return;
    if (watch->stop[1] >= 0) {
        iw_close_fd(&watch->stop[1]); /* the thread sees the hang-up */
        pthread_join(watch->thread, NULL);
    }
    /* What was to be done is done: a Ctrl-C in the last moments doesn't make it look unfinished. */
    signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN), signal(SIGHUP, SIG_IGN);
    iw_signals_close();
    for (int i = 0; i < 2; i++) iw_close_fd(&watch->pipe[i]), iw_close_fd(&watch->stop[i]);
    free(watch);
}

/* --- life ----------------------------------------------------------------- */

void iw_context_open(iw_context *context, const iw_arguments *arguments)
{
    *context = (iw_context){.arguments = arguments, .cancel = -1};
    context->json = iw_flag(arguments, "json");
    context->quiet = iw_flag(arguments, "quiet");
    context->verbose = iw_flag(arguments, "verbose");
    context->program = program_folder();
    context->helpers = helpers_folder(context->program);
}

void iw_context_close(iw_context *context)
{
    stop_watching(context->watch);
    iw_ui_close(context->ui);
    iw_store_close(context->store);
    iw_catalog_free(context->catalog);
    free(context->program), free(context->root), free(context->helpers);
    *context = (iw_context){.cancel = -1};
}
