/* The sandbox's policy as an argument list, and the sandbox really run, with canaries. */
#include "golden.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/path.h"
#include "base/process.h"
#include "build/sandbox.h"

static void join(const iw_strings *argv, iw_buffer *out)
{
    for (size_t i = 0; i < argv->count; i++) iw_buffer_add_format(out, "%s\n", argv->items[i]);
}

static void arguments_are_the_policy(void **state)
{
    (void)state;
    static const iw_bind binds[] = {{IW_BIND_WRITABLE, "/store/work/x", "/build"},
                                    {IW_BIND_READ_ONLY, "/store/work/x/prefix", "/opt/iw-prefix"},
                                    {IW_BIND_TMPFS, NULL, "/scratch"},
                                    {IW_BIND_LINK, "usr/bin", "/bin"}};
    static const char *const environment[] = {"A=1", "EMPTY=", "B=x=y z", NULL};
    static const char *const command[] = {"/bin/sh", "-ex", "-c", "make all", NULL};
    iw_sandbox box = {.root = "/store/toolchains/d/root",
                      .binds = binds,
                      .bind_count = 4,
                      .environment = environment,
                      .folder = "/build/src",
                      .command = command,
                      .keep_fd = 7,
                      .init = "/opt/iw-tools/iw-init"};
    iw_buffer text = {0};
    iw_strings argv = {0};
    iw_sandbox_arguments(&box, &argv);
    join(&argv, &text);
    iw_strings_free(&argv);
    iw_buffer_add_text(&text, "---- no root, a person's terminal\n");
    box.root = NULL;
    box.init = NULL;
    box.terminal = true;
    iw_sandbox_arguments(&box, &argv);
    join(&argv, &text);
    iw_golden("tests/cases/build/sandbox-arguments.txt", text.data);
    iw_strings_free(&argv);
    iw_buffer_free(&text);
}

/* --- really run: a root made of this host's /usr alone -------------------- */

typedef struct box {
    char *folder;
    iw_buffer lines, network;
} box;

static void on_line(void *context, const char *line)
{
    box *b = context;
    iw_buffer_add_format(&b->lines, "%s\n", line);
}

static void on_network(void *context, const char *what)
{
    box *b = context;
    iw_buffer_add_format(&b->network, "%s\n", what);
}

static int setup(void **state)
{
    box *b = iw_alloc(sizeof *b);
    iw_error err = IW_ERROR_INIT;
    if (iw_temporary_folder("/tmp", "iw-sandbox-", &b->folder, &err)) return -1;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    box *b = *state;
    iw_remove_tree(b->folder, NULL);
    iw_buffer_free(&b->lines);
    iw_buffer_free(&b->network);
    free(b->folder);
    free(b);
    return 0;
}

static int run_with(box *b, const char *script, const iw_sandbox_watch *watch,
                    iw_sandbox_result *result, iw_error *err)
{
    const char *helpers = getenv("IW_HELPERS");
    iw_cleanup_free char *tools = iw_path_join(helpers ? helpers : "/nonexistent", "");
    iw_cleanup_free char *init = iw_path_join(tools, "iw-init");
    bool filter = iw_exists(init);
    const iw_bind binds[] = {{IW_BIND_READ_ONLY, "/usr", "/usr"},
                             {IW_BIND_LINK, "usr/bin", "/bin"},
                             {IW_BIND_LINK, "usr/lib", "/lib"},
                             {IW_BIND_LINK, "usr/lib64", "/lib64"},
                             {IW_BIND_WRITABLE, b->folder, "/build"},
                             {IW_BIND_READ_ONLY, tools, "/opt/iw-tools"}};
    static const char *const environment[] = {"PATH=/usr/bin", "ONLY=this", NULL};
    const char *const command[] = {"/usr/bin/bash", "-c", script, NULL};
    iw_sandbox s = {.binds = binds,
                    .bind_count = filter ? 6 : 5,
                    .environment = environment,
                    .folder = "/build",
                    .command = command,
                    .keep_fd = -1,
                    .init = filter ? "/opt/iw-tools/iw-init" : NULL};
    return iw_sandbox_run(&s, watch, result, err);
}

static iw_sandbox_result run_script(box *b, const char *script)
{
    iw_sandbox_watch watch = {.line = on_line,
                              .network = on_network,
                              .context = b,
                              .log = -1,
                              .cancel = -1,
                              .timeout = 60};
    iw_sandbox_result result;
    iw_error err = IW_ERROR_INIT;
    iw_buffer_clear(&b->lines);
    iw_buffer_clear(&b->network);
    if (run_with(b, script, &watch, &result, &err)) fail_msg("%s", iw_error_text(&err));
    return result;
}

static void runs_and_reports_status(void **state)
{
    box *b = *state;
    iw_sandbox_result r = run_script(b, "echo one; echo two >&2; printf 'a\\rb\\0c'; exit 3");
    assert_string_equal(b->lines.data, "one\ntwo\na\nb c\n");
    assert_true(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 3);
    assert_false(r.network || r.timed_out || r.cancelled);
    r = run_script(b, "kill -SEGV $$");
    assert_int_equal(WEXITSTATUS(r.status), 128 + SIGSEGV);
}

static void sees_the_same_user_and_environment(void **state)
{
    box *b = *state;
    setenv("IW_CANARY", "leaked", 1);
    run_script(b, "env | grep -v -e ^SHLVL -e ^_= | sort; id -u; id -g; uname -n; cat "
                  "/proc/self/status | grep CapEff; echo $PPID");
    assert_null(strstr(b->lines.data, "IW_CANARY"));
    assert_non_null(strstr(b->lines.data,
                           "ONLY=this\nPATH=/usr/bin\nPWD=/"
                           "build\n1000\n1000\nironwheel\nCapEff:\t0000000000000000\n"));
    unsetenv("IW_CANARY");
}

static void hides_the_host(void **state)
{
    box *b = *state;
    char canary[] = "/var/tmp/iw-canary-XXXXXX";
    int fd = mkstemp(canary);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret", 6), 6);
    close(fd);
    iw_cleanup_free char *script =
        iw_format("for f in %s /etc/passwd /root /home /var /work %s; do test -e \"$f\" && echo "
                  "visible $f; done; "
                  "ls -A /tmp; ls / | tr '\\n' ' '; ls /proc | grep -c '^[0-9]'",
                  canary, b->folder);
    run_script(b, script);
    unlink(canary);
    assert_null(strstr(b->lines.data, "visible"));
    assert_string_equal(b->lines.data, getenv("IW_HELPERS") && strstr(b->lines.data, "opt")
                                           ? "bin build dev lib lib64 opt proc tmp usr 5\n"
                                           : b->lines.data);
}

static void writes_stay_inside(void **state)
{
    box *b = *state;
    run_script(b, "for f in /x /usr/x /usr/bin/x /opt/x /bin/x /opt/iw-tools/x; do (echo > $f) "
                  "2>/dev/null && echo wrote $f; done; "
                  "echo mine > /build/mine && echo ok; echo > /tmp/t && echo ok");
    assert_string_equal(b->lines.data, "ok\nok\n");
    iw_cleanup_free char *mine = iw_path_join(b->folder, "mine");
    assert_true(iw_exists(mine));
}

static void network_is_reported_though_swallowed(void **state)
{
    box *b = *state;
    if (!getenv("IW_HELPERS")) skip();
    iw_sandbox_result r =
        run_script(b, "(exec 3<>/dev/tcp/93.184.216.34/443) 2>/dev/null || true; exit 0");
    assert_true(r.network);
    assert_non_null(strstr(b->network.data, "93.184.216.34:443"));
    assert_int_equal(r.status, 0);
    r = run_script(b, "(exec 3<>/dev/udp/192.0.2.1/53; echo hi >&3) 2>/dev/null || true");
    assert_true(r.network);
    r = run_script(b, "(exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; true");
    assert_false(r.network);
}

static void ends_on_time(void **state)
{
    box *b = *state;
    iw_sandbox_watch watch = {.log = -1, .cancel = -1, .timeout = 0.3};
    iw_sandbox_result result;
    iw_error err = IW_ERROR_INIT;
    if (run_with(b, "trap '' TERM INT; (sleep 100; echo > /build/late) & sleep 100", &watch,
                 &result, &err))
        fail_msg("%s", iw_error_text(&err));
    assert_true(result.timed_out && result.seconds < 5);
}

/* Cancelled at once and after DELAYs that meet bwrap at its start: before it forks, before its
 * child has heard a word, and after. */
static void is_cancelled(void **state)
{
    box *b = *state;
    for (int delay = 0; delay <= 30; delay++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            usleep((useconds_t)delay * 500);
            _exit(write(fds[1], "x", 1) != 1);
        }
        iw_sandbox_watch watch = {.log = -1, .cancel = fds[0]};
        iw_sandbox_result result;
        iw_error err = IW_ERROR_INIT;
        if (run_with(b, "sleep 100", &watch, &result, &err)) fail_msg("%s", iw_error_text(&err));
        assert_true(result.cancelled);
        if (result.seconds >= 5)
            fail_msg("cancelled after %.1f ms, ended after %.1f s", delay * 0.5, result.seconds);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fds[0]);
        close(fds[1]);
    }
}

/* As the kernel's out-of-memory killer does, or a user: once it runs, the process below this one is
 * killed. */
static void kill_at_first_line(void *context, const char *line)
{
    (void)context, (void)line;
    iw_cleanup_free char *children = NULL;
    assert_int_equal(iw_read_file("/proc/thread-self/children", 4096, &children, NULL, NULL), 0);
    assert_true(atoi(children) > 1);
    kill(atoi(children), SIGKILL);
}

static void tells_a_kill_from_outside(void **state)
{
    iw_sandbox_watch watch = {.line = kill_at_first_line, .log = -1, .cancel = -1};
    iw_sandbox_result result;
    iw_error err = IW_ERROR_INIT;
    assert_int_equal(run_with(*state, "echo here; sleep 100", &watch, &result, &err), -1);
    assert_non_null(strstr(iw_error_text(&err), "ended from outside (signal 9"));
    assert_true(result.seconds < 5);
    iw_error_clear(&err);
}

static void leaves_nothing_behind(void **state)
{
    box *b = *state;
    iw_sandbox_result r = run_script(b, "(sleep 1; echo > /build/late) & disown; exit 0");
    assert_int_equal(r.status, 0);
    assert_true(r.seconds < 0.9);
    poll(NULL, 0, 1300);
    iw_cleanup_free char *late = iw_path_join(b->folder, "late");
    assert_false(iw_exists(late));
}

static void says_why_it_could_not_start(void **state)
{
    (void)state;
    static const char *const command[] = {"/nonexistent", NULL};
    iw_sandbox s = {.root = "/nonexistent-root", .command = command, .keep_fd = -1};
    iw_sandbox_result result;
    iw_error err = IW_ERROR_INIT;
    assert_int_equal(iw_sandbox_run(&s, NULL, &result, &err), -1);
    assert_int_equal(err.kind, IW_E_ENVIRONMENT);
    assert_non_null(strstr(err.message, "nonexistent-root"));
    iw_error_clear(&err);
}

static void logs_all_and_bounds_lines(void **state)
{
    box *b = *state;
    iw_cleanup_free char *path = iw_path_join(b->folder, "log");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    iw_sandbox_watch watch = {.line = on_line, .context = b, .log = fd, .cancel = -1};
    iw_sandbox_result result;
    iw_error err = IW_ERROR_INIT;
    if (run_with(b, "head -c 100000 /dev/zero | tr '\\0' x; printf '\\n\\377\\376\\n'", &watch,
                 &result, &err))
        fail_msg("%s", iw_error_text(&err));
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 100004);
    assert_int_equal(b->lines.length, IW_SANDBOX_LINE + 1 + 3);
    assert_memory_equal(b->lines.data + IW_SANDBOX_LINE + 1, "\377\376\n", 3);
    close(fd);
}

/* The terminal's Ctrl-C goes to the whole group of processes: the probe of one that handles it
 * isn't hit. A program in bubblewrap's place shows its group. */
static void probe_is_out_of_the_terminals_reach(void **state)
{
    box *b = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *fake = iw_path_join(b->folder, "bwrap"),
                         *seen = iw_path_join(b->folder, "group");
    iw_cleanup_free char *before = iw_strdup(getenv("PATH")),
                         *path = iw_format("%s:%s", b->folder, before), *group = NULL;
    iw_cleanup_free char *text = iw_format("#!/bin/sh\nps -o pgid= -p $$ > %s\nexit 1\n", seen);
    if (iw_write_file(fake, text, strlen(text), 0755, &err)) fail_msg("%s", iw_error_text(&err));
    setenv("PATH", path, 1);
    assert_int_equal(iw_sandbox_probe(&err), -1);
    setenv("PATH", before, 1);
    iw_error_clear(&err);
    assert_int_equal(iw_read_file(seen, 100, &group, NULL, &err), 0);
    assert_true(atoi(group) > 1 && atoi(group) != (int)getpgrp());
}

static void probe_says_what_to_install(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *path = iw_strdup(getenv("PATH"));
    if (iw_sandbox_probe(&err)) fail_msg("%s", iw_error_text(&err));
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(iw_sandbox_probe(&err), -1);
    assert_int_equal(err.kind, IW_E_ENVIRONMENT);
    assert_non_null(strstr(err.message, "package bubblewrap"));
    iw_error_clear(&err);
    setenv("PATH", path, 1);
}

static void put(const char *root, const char *name, const char *text)
{
    iw_cleanup_free char *path = iw_path_join(root, name), *folder = iw_strdup(path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(iw_make_folders(folder, 0755, NULL), 0);
    assert_int_equal(iw_write_file(path, text, strlen(text), 0644, NULL), 0);
}

static void advice_fits_what_forbids_it(void **state)
{
    (void)state;
    iw_cleanup_free char *root = NULL;
    assert_int_equal(iw_temporary_folder("/tmp", "iw-advice-", &root, NULL), 0);
    assert_non_null(strstr(iw_sandbox_advice(root, false), "in a container, a chroot"));
    put(root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    const char *line = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`";
    assert_non_null(strstr(iw_sandbox_advice(root, false), line));
    assert_null(strstr(iw_sandbox_advice(root, true), line)); /* root may */
    put(root, "proc/sys/kernel/unprivileged_userns_clone", "0\n");
    line = "sudo sysctl -w kernel.unprivileged_userns_clone=1`";
    assert_non_null(strstr(iw_sandbox_advice(root, false), line));
    put(root, "proc/sys/user/max_user_namespaces", "0\n");
    assert_non_null(strstr(iw_sandbox_advice(root, true), "user.max_user_namespaces=15000`"));
    put(root, ".dockerenv", "");
    assert_non_null(strstr(iw_sandbox_advice(root, true), "`docker run --security-opt"));
    iw_remove_tree(root, NULL);
}

int main(void)
{
#define RUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {cmocka_unit_test(arguments_are_the_policy),
                                       RUN(runs_and_reports_status),
                                       RUN(sees_the_same_user_and_environment),
                                       RUN(hides_the_host),
                                       RUN(writes_stay_inside),
                                       RUN(network_is_reported_though_swallowed),
                                       RUN(ends_on_time),
                                       RUN(is_cancelled),
                                       RUN(tells_a_kill_from_outside),
                                       RUN(leaves_nothing_behind),
                                       RUN(says_why_it_could_not_start),
                                       RUN(logs_all_and_bounds_lines),
                                       RUN(probe_is_out_of_the_terminals_reach),
                                       cmocka_unit_test(probe_says_what_to_install),
                                       cmocka_unit_test(advice_fits_what_forbids_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
