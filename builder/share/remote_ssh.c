/* ssh://[user@]host[:port]/dir: the other side needs sshd, sh and the small programs of POSIX, no
 * rsync and nothing of ours. One connection is kept for all commands (ControlMaster). What is
 * shared is named by its digest and compressed, so there is nothing that rsync could spare: an
 * upload or download that broke off goes on behind the bytes that are there. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "share/box.h"
#include "share/remote_kinds.h"

#define PIECE ((size_t)1 << 18)
#define MISSING 44 /* exit status of our scripts for a file that isn't there */
#define SILENCE 30 /* seconds without a byte */
#define HURRIED_SILENCE 5
#define TEXT_LIMIT ((size_t)16 << 20)

typedef struct ssh { /* remote->more */
    iw_strings argv; /* ssh and its options, host last */
    char *folder;    /* with the socket */
} ssh;

/* Letters that neither a shell nor ssh reads anything into. */
static bool is_tame(const char *text, const char *more)
{
    for (const char *c = text; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr(more, *c)))
            return false;
    return *text && *text != '-';
}

/* IRONWHEEL_SSH: the program and options, split at spaces; "ssh" by default. */
static void add_program(iw_strings *argv)
{
    const char *given = getenv("IRONWHEEL_SSH");
    iw_slice rest = iw_slice_of(given && *given ? given : "ssh"), word;
    while (iw_slice_next(&rest, ' ', &word)) {
        iw_cleanup_free char *text = iw_strndup(word.data, word.length);
        if (*text) iw_strings_add(argv, text);
    }
}

static int ssh_open(iw_remote *remote, const char *where, iw_error *err)
{
    ssh *more = remote->more = iw_alloc(sizeof *more);
    const char *rest = where + strlen("ssh://"), *slash = strchr(rest, '/');
    iw_cleanup_free char *host = iw_strndup(rest, slash ? (size_t)(slash - rest) : strlen(rest));
    char *port = strrchr(host, ':');
    if (port) *port++ = 0;
    if (!slash || !is_tame(host, "@._-") || (port && !is_tame(port, "")) ||
        !is_tame(slash, "/._+~-"))
        return iw_fail(err, IW_E_USAGE,
                       "%s: an address is ssh://[user@]host[:port]/folder, without spaces and "
                       "quotes (/~/folder: in the home there)",
                       where);
    if (iw_temporary_folder("/tmp", "iw-ssh-", &more->folder, err) != 0) return -1;
    add_program(&more->argv);
    iw_strings_add_all(&more->argv,
                       (const char *const[]){"-o", "BatchMode=yes", "-o", "ControlMaster=auto",
                                             "-o", "ControlPersist=60", "-o", "ConnectTimeout=8",
                                             "-o", "ServerAliveInterval=10", NULL});
    iw_strings_add(&more->argv, "-o");
    iw_strings_add_format(&more->argv, "ControlPath=%s/s", more->folder);
    if (port) iw_strings_add_all(&more->argv, (const char *const[]){"-p", port, NULL});
    iw_strings_add(&more->argv, host);
    remote->where = iw_strdup(where);
    remote->base = iw_path_clean(iw_starts_with(slash, "/~/") ? slash + 3 : slash);
    return 0;
}

/* argv for one more command. */
static void command_line(const iw_remote *remote, const char *script, iw_strings *argv)
{
    const ssh *more = remote->more;
    iw_strings_add_all(argv, (const char *const *)more->argv.items);
    iw_strings_add(argv, script);
}

static void ssh_close(iw_remote *remote)
{
    ssh *more = remote->more;
    if (!more) return;
    if (more->folder && more->argv.count) {
        iw_cleanup_free char *socket = iw_path_join(more->folder, "s");
        iw_cleanup_strings iw_strings argv = {0};
        for (size_t i = 0; i + 1 < more->argv.count; i++)
            iw_strings_add(&argv, more->argv.items[i]);
        iw_strings_add_all(&argv,
                           (const char *const[]){"-O", "exit",
                                                 more->argv.items[more->argv.count - 1], NULL});
        if (iw_exists(socket))
            (void)!iw_run_capture((const char *const *)argv.items, NULL, 4096, NULL, NULL, NULL);
    }
    if (more->folder) iw_remove_tree(more->folder, NULL);
    iw_strings_free(&more->argv);
    free(more->folder);
    free(more);
}

/* --- running one script there --------------------------------------------- */

typedef struct run {
    iw_remote *remote;
    const char *label, *phase; /* progress; NULL: none */
    int in;                    /* our file that becomes its input, or -1 */
    uint64_t in_from, in_size;
    const char *text; /* or this text */
    size_t text_length;
    int out;                /* file for its output, or -1: `answer` */
    uint64_t out_limit;     /* bytes */
    iw_buffer answer, said; /* output; what it said on standard error */
    uint64_t sent, got;
    bool over;
} run;

static int pump_in(run *r, int *pipe, iw_error *err)
{
    char *buffer = iw_alloc(PIECE);
    uint64_t total = r->in >= 0 ? r->in_size : r->text_length;
    ssize_t piece = 0;
    if (r->in >= 0) {
        piece = pread(r->in, buffer, PIECE, (off_t)(r->in_from + r->sent));
        if (piece < 0) iw_fail_errno(err, IW_E_IO, "can't read %s", r->label);
    } else if (r->text && r->sent < r->text_length) {
        piece = (ssize_t)(r->text_length - r->sent < PIECE ? r->text_length - r->sent : PIECE);
        memcpy(buffer, r->text + r->sent, (size_t)piece);
    }
    ssize_t wrote = piece > 0 ? write(*pipe, buffer, (size_t)piece) : 0;
    free(buffer);
    if (wrote > 0) r->sent += (uint64_t)wrote;
    if (wrote > 0 && r->label)
        iw_remote_tell(r->remote, r->label, r->phase, r->in_from + r->sent, total);
    if (piece <= 0 || (wrote < 0 && errno != EAGAIN && errno != EINTR)) iw_close_fd(pipe);
    return piece < 0 ? -1 : 0;
}

static int pump_out(run *r, int *pipe, iw_error *err)
{
    char *buffer = iw_alloc(PIECE);
    ssize_t got = read(*pipe, buffer, PIECE);
    int status = 0;
    if (got > 0) r->got += (uint64_t)got;
    r->over = r->got > r->out_limit;
    if (got > 0 && !r->over && r->out >= 0)
        status = iw_write_all(r->out, buffer, (size_t)got, r->label, err);
    else if (got > 0 && !r->over) iw_buffer_add(&r->answer, buffer, (size_t)got);
    free(buffer);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN) || r->over) iw_close_fd(pipe);
    if (got > 0 && r->label && r->out >= 0)
        iw_remote_tell(r->remote, r->label, r->phase, r->got, r->out_limit);
    return status;
}

static void pump_said(run *r, int *pipe)
{
    char text[2048];
    ssize_t got = read(*pipe, text, sizeof text);
    if (got > 0 && r->said.length < 8192) iw_buffer_add(&r->said, text, (size_t)got);
    if (got == 0 || (got < 0 && errno != EINTR)) iw_close_fd(pipe);
}

/* Until its output ends. -1 with err, also when it is silent for too long. */
static int pump(run *r, int *in, int *out, int *said, iw_error *err)
{
    int silence = r->remote->options.hurried ? HURRIED_SILENCE : SILENCE;
    while (*out >= 0) {
        struct pollfd fds[4] = {{*out, POLLIN, 0},
                                {*said, POLLIN, 0},
                                {*in, POLLOUT, 0},
                                {r->remote->options.cancel, POLLIN, 0}};
        int ready = poll(fds, 4, silence * 1000);
        if (ready < 0 && errno != EINTR) return iw_fail_errno(err, IW_E_IO, "waiting for ssh");
        if (ready == 0)
            return iw_fail(err, IW_E_NETWORK, "%s: nothing came for %d seconds", r->remote->where,
                           silence);
        if (fds[3].revents) return iw_fail(err, IW_E_CANCELLED, "stopped");
        if (fds[0].revents && pump_out(r, out, err) != 0) return -1;
        if (fds[1].revents) pump_said(r, said);
        if (fds[2].revents && pump_in(r, in, err) != 0) return -1;
    }
    return 0;
}

static int explain(const run *r, int status, const char *path, iw_error *err)
{
    iw_cleanup_free char *how = iw_status_text(status);
    iw_slice said = iw_slice_trim((iw_slice){r->said.data ? r->said.data : "", r->said.length});
    if (r->over)
        return iw_fail(err, IW_E_FORMAT, "%s/%s sends more than the %llu bytes expected",
                       r->remote->where, path, (unsigned long long)r->out_limit);
    if (WIFEXITED(status) && WEXITSTATUS(status) == MISSING)
        return iw_fail(err, IW_E_NOT_FOUND, "%s holds no %s", r->remote->where, path);
    bool connection = WIFEXITED(status) && WEXITSTATUS(status) == 255;
    return iw_fail(err, connection ? IW_E_NETWORK : IW_E_IO, "%s: %.*s (%s)", r->remote->where,
                   (int)(said.length < 600 ? said.length : 600), said.data, how);
}

static int start(run *r, const char *script, int pipes[3][2], pid_t *pid, iw_error *err)
{
    iw_cleanup_strings iw_strings argv = {0};
    command_line(r->remote, script, &argv);
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0) return iw_fail_errno(err, IW_E_IO, "making a pipe");
    iw_command command = {.argv = (const char *const *)argv.items,
                          .in = pipes[0][0],
                          .out = pipes[1][1],
                          .error = pipes[2][1],
                          .own_group = true};
    r->remote->requests++;
    if (iw_spawn(&command, pid, err) != 0) return -1;
    iw_close_fd(&pipes[0][0]), iw_close_fd(&pipes[1][1]), iw_close_fd(&pipes[2][1]);
    (void)!fcntl(pipes[0][1], F_SETFL, O_NONBLOCK);
    return 0;
}

/* `script` with `path` for messages. */
static int run_script(run *r, const char *script, const char *path, iw_error *err)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, ended = 0;
    pid_t pid = -1;
    if (!r->out_limit) r->out_limit = TEXT_LIMIT;
    int status = start(r, script, pipes, &pid, err);
    if (status == 0) status = pump(r, &pipes[0][1], &pipes[1][0], &pipes[2][0], err);
    if (pid > 0 && (status != 0 || r->over)) kill(pid, SIGTERM);
    for (int i = 0; i < 6; i++) iw_close_fd(&pipes[i / 2][i % 2]);
    if (pid > 0 && iw_wait(pid, &ended, status == 0 ? err : NULL) != 0) status = -1;
    if (status == 0 && (ended != 0 || r->over)) status = explain(r, ended, path, err);
    iw_buffer_free(&r->said);
    return status;
}

static int run_plain(iw_remote *remote, const char *script, const char *path, iw_error *err)
{
    run r = {.remote = remote, .in = -1, .out = -1};
    int status = run_script(&r, script, path, err);
    iw_buffer_free(&r.answer);
    return status;
}

/* --- what a remote does --------------------------------------------------- */

static int ssh_read(iw_remote *remote, const char *path, uint64_t offset, size_t limit, bool part,
                    char **out, size_t *length, iw_error *err)
{
    iw_cleanup_free char *script =
        part ? iw_format("cd %s && tail -c +%llu %s | head -c %zu", remote->base,
                         (unsigned long long)offset + 1, path, limit)
             : iw_format("cd %s || exit 1; test -f %s || exit %d; cat %s", remote->base, path,
                         MISSING, path);
    run r = {.remote = remote, .in = -1, .out = -1, .out_limit = limit};
    int status = run_script(&r, script, path, err);
    if (status == 0) {
        *length = r.answer.length;
        *out = iw_buffer_take(&r.answer);
    }
    iw_buffer_free(&r.answer);
    return status;
}

static int bring(iw_remote *remote, iw_remote_want *want, iw_error *err)
{
    uint64_t have = iw_remote_have(want);
    iw_cleanup_fd int out =
        open(want->part, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", want->part);
    iw_cleanup_free char *script =
        iw_format("cd %s || exit 1; test -f %s || exit %d; tail -c +%llu %s", remote->base,
                  want->path, MISSING, (unsigned long long)have + 1, want->path);
    run r = {.remote = remote,
             .in = -1,
             .out = out,
             .out_limit = want->size - have,
             .label = want->label,
             .phase = "fetch"};
    if (want->size == have) return 0;
    return run_script(&r, script, want->path, err);
}

static int ssh_fetch(iw_remote *remote, iw_remote_want *wants, size_t count, iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (bring(remote, &wants[i], &wants[i].err) == 0) iw_remote_judge(&wants[i], remote->where);
        if (wants[i].err.kind == IW_E_CANCELLED) {
            iw_error_move(err, &wants[i].err);
            return -1;
        }
    }
    return 0;
}

static int size_there(iw_remote *remote, const char *path, bool *found, uint64_t *size,
                      iw_error *err)
{
    iw_cleanup_free char *script =
        iw_format("cd %s 2>/dev/null && test -f %s && wc -c < %s || echo none", remote->base, path,
                  path);
    run r = {.remote = remote, .in = -1, .out = -1, .out_limit = 4096};
    int status = run_script(&r, script, path, err);
    iw_slice text = iw_slice_trim((iw_slice){r.answer.data ? r.answer.data : "", r.answer.length});
    iw_cleanup_free char *line = iw_strndup(text.data, text.length);
    *found = status == 0 && iw_parse_unsigned(line, UINT64_MAX >> 1, size);
    iw_buffer_free(&r.answer);
    return status;
}

static int put(iw_remote *remote, const char *path, run *r, const char *how, iw_error *err)
{
    iw_cleanup_free char *parent = iw_path_parent(path);
    iw_cleanup_free char *script =
        iw_format("mkdir -p %s/%s && cd %s && cat %s %s.part && { sync %s.part 2>/dev/null || "
                  "true; } && mv %s.part %s",
                  remote->base, parent, remote->base, how, path, path, path, path);
    int status = run_script(r, script, path, err);
    iw_buffer_free(&r->answer);
    return status;
}

static int ssh_write(iw_remote *remote, const char *path, const void *data, size_t length,
                     iw_error *err)
{
    run r = {.remote = remote, .in = -1, .out = -1, .text = data, .text_length = length};
    return put(remote, path, &r, ">", err);
}

/* Where a part is there, it may be longer than ours or of other bytes: the read-back tells, and
 * then it is sent whole. */
static int ssh_upload(iw_remote *remote, const char *path, const char *file, uint64_t size,
                      iw_error *err)
{
    iw_cleanup_free char *part = iw_format("%s.part", path);
    iw_cleanup_fd int in = open(file, O_RDONLY | O_CLOEXEC);
    bool found = false;
    uint64_t have = 0;
    if (in < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", file);
    if (size_there(remote, part, &found, &have, err) != 0) return -1;
    if (!found || have > size) have = 0;
    run r = {.remote = remote,
             .in = in,
             .in_from = have,
             .in_size = size,
             .out = -1,
             .label = iw_path_base(file),
             .phase = "push"};
    return put(remote, path, &r, have ? ">>" : ">", err);
}

static int ssh_alias(iw_remote *remote, const char *path, const char *name, bool *done,
                     iw_error *err)
{
    iw_cleanup_free char *script =
        iw_format("cd %s && rm -f %s.new && { ln %s %s.new 2>/dev/null || cp %s %s.new; } && mv -f "
                  "%s.new %s && rm -f %s.new",
                  remote->base, name, path, name, path, name, name, name, name);
    *done = run_plain(remote, script, name, err) == 0;
    return *done ? 0 : -1;
}

/* Lines "SIZE TIME NAME". */
static int each_line(iw_slice line, int (*each)(void *, const iw_remote_entry *, iw_error *),
                     void *context, iw_error *err)
{
    iw_slice size, when;
    iw_slice_next(&line, ' ', &size);
    iw_slice_next(&line, ' ', &when);
    iw_cleanup_free char *bytes = iw_strndup(size.data, size.length),
                         *time = iw_strndup(when.data, when.length),
                         *name = iw_strndup(line.data, line.length);
    uint64_t a, b;
    if (!iw_parse_unsigned(bytes, UINT64_MAX >> 1, &a) ||
        !iw_parse_unsigned(time, UINT64_MAX >> 1, &b) || !is_tame(name, "+-._~"))
        return 0;
    return each(context, &(iw_remote_entry){name, a, (int64_t)b}, err);
}

static int ssh_list(iw_remote *remote, const char *folder,
                    int (*each)(void *context, const iw_remote_entry *entry, iw_error *err),
                    void *context, iw_error *err)
{
    iw_cleanup_free char *script = iw_format(
        "cd %s/%s 2>/dev/null || exit 0; for f in *; do test -f \"$f\" && stat -c '%%s %%Y %%n' "
        "\"$f\"; done; true",
        remote->base, folder);
    run r = {.remote = remote, .in = -1, .out = -1};
    int status = run_script(&r, script, folder, err);
    iw_slice rest = {r.answer.data ? r.answer.data : "", r.answer.length}, line;
    while (status == 0 && iw_slice_next(&rest, '\n', &line))
        status = each_line(line, each, context, err);
    iw_buffer_free(&r.answer);
    return status;
}

static int ssh_remove(iw_remote *remote, const char *path, iw_error *err)
{
    iw_cleanup_free char *script = iw_format("cd %s && rm -f %s", remote->base, path);
    return run_plain(remote, script, path, err);
}

static int ssh_touch(iw_remote *remote, const char *path, iw_error *err)
{
    iw_cleanup_free char *script =
        iw_format("cd %s && { test ! -f %s || touch %s; }", remote->base, path, path);
    return run_plain(remote, script, path, err);
}

const iw_remote_kind iw_remote_ssh = {
    .scheme = "ssh://",
    .open = ssh_open,
    .close = ssh_close,
    .read = ssh_read,
    .fetch = ssh_fetch,
    .stat = size_there,
    .write = ssh_write,
    .upload = ssh_upload,
    .alias = ssh_alias,
    .list = ssh_list,
    .remove = ssh_remove,
    .touch = ssh_touch,
};

/* --- a program over there (box.h) ----------------------------------------- */

#define LINE_LIMIT ((size_t)1 << 20)
#define SAID_KEPT ((size_t)2048)
#define FAREWELL 10 /* seconds for it to end once its input has */

typedef struct there {
    iw_remote *remote;
    const iw_box_run *run;
    iw_buffer line, said;
    bool stopped;
} there;

static int take_lines(there *t, const char *data, size_t length, iw_error *err)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != '\n') {
            iw_buffer_add_char(&t->line, data[i]);
            continue;
        }
        if (t->run->line) t->run->line(t->run->context, t->line.data ? t->line.data : "");
        iw_buffer_clear(&t->line);
    }
    return t->line.length <= LINE_LIMIT
               ? 0
               : iw_fail(err, IW_E_FORMAT, "%s: a line without an end", t->remote->where);
}

/* The last of what it said. */
static void take_said(there *t, const char *data, size_t length)
{
    iw_buffer_add(&t->said, data, length);
    if (t->said.length < 4 * SAID_KEPT) return;
    memmove(t->said.data, t->said.data + t->said.length - SAID_KEPT, SAID_KEPT + 1);
    t->said.length = SAID_KEPT;
}

/* False at its end. */
static bool drain(there *t, int *fd, bool output, iw_error *err)
{
    char data[1 << 14];
    ssize_t got = read(*fd, data, sizeof data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) {
        iw_close_fd(fd);
        return false;
    }
    if (!output) take_said(t, data, (size_t)got);
    else if (take_lines(t, data, (size_t)got, err) != 0) return false;
    return true;
}

/* Until its output ends; its input is closed where the user stops, and then it has some seconds. */
static int follow(there *t, int *in, int *out, int *said, iw_error *err)
{
    while (*out >= 0) {
        unsigned patience = t->stopped ? FAREWELL : t->run->patience;
        struct pollfd fds[3] = {{*out, POLLIN, 0},
                                {*said, POLLIN, 0},
                                {t->stopped ? -1 : t->remote->options.cancel, POLLIN, 0}};
        int ready = poll(fds, 3, patience ? (int)patience * 1000 : -1);
        if (ready < 0 && errno != EINTR) return iw_fail_errno(err, IW_E_IO, "waiting for ssh");
        if (ready == 0)
            return iw_fail(err, IW_E_NETWORK, "it doesn't answer: nothing came for %u seconds",
                           patience);
        if (ready > 0 && fds[2].revents) {
            t->stopped = true;
            iw_close_fd(in);
        }
        if (ready > 0 && fds[1].revents) drain(t, said, false, NULL);
        if (ready > 0 && fds[0].revents && !drain(t, out, true, err) && *out >= 0) return -1;
    }
    /* What else it said is there by now; somebody left behind may hold the other end for long. */
    while (*said >= 0 && poll(&(struct pollfd){*said, POLLIN, 0}, 1, 1000) > 0)
        drain(t, said, false, NULL);
    return 0;
}

/* What a script of ours, or the program in it, ended with. */
static int judge_end(const there *t, int ended, int *status, iw_error *err)
{
    iw_slice said = iw_slice_trim((iw_slice){t->said.data ? t->said.data : "", t->said.length});
    if (status) *status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    if (ended == 0) return 0;
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) == 255)
        return iw_fail(err, IW_E_NETWORK, "%.*s", said.length ? (int)said.length : 21,
                       said.length ? said.data : "the connection broke");
    iw_cleanup_free char *how = iw_status_text(ended);
    return iw_fail(err, IW_E_BUILD, "%.*s (%s)", (int)said.length, said.data, how);
}

int iw_box_run_there(iw_remote *remote, const iw_box_run *how, int *status, iw_error *err)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, ended = 0;
    pid_t pid = -1;
    there t = {.remote = remote, .run = how};
    run r = {.remote = remote};
    if (remote->kind != &iw_remote_ssh)
        return iw_fail(err, IW_E_USAGE, "%s: a box is ssh://[user@]host[:port][/folder]",
                       remote->where);
    iw_cleanup_free char *script =
        iw_format("mkdir -p %s && cd %s || exit 1\n%s", remote->base, remote->base, how->script);
    int done = start(&r, script, pipes, &pid, err);
    if (done == 0) done = follow(&t, &pipes[0][1], &pipes[1][0], &pipes[2][0], err);
    if (pid > 0 && done != 0) kill(pid, SIGTERM);
    for (int i = 0; i < 6; i++) iw_close_fd(&pipes[i / 2][i % 2]);
    if (pid > 0 && iw_wait(pid, &ended, done == 0 ? err : NULL) != 0) done = -1;
    if (t.stopped) done = iw_fail(err, IW_E_CANCELLED, "stopped, there too");
    else if (done == 0) done = judge_end(&t, ended, status, err);
    iw_buffer_free(&t.line);
    iw_buffer_free(&t.said);
    return done;
}
