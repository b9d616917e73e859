/* Packages built for real, with every room: sources laid, patched, compiled in the sandbox through
 * the wrapper, finished, packed. The toolchain's root is a copy of what this host compiles with;
 * real builds take it from pinned packages. */
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
#include "build/build.h"
#include "build/root.h"
#include "wrap/names.h"

typedef struct place {
    char *folder, *tree, *cache;
    iw_buffer events;
} place;

static void run(const char *const *argv)
{
    iw_error err = IW_ERROR_INIT;
    if (iw_run_capture(argv, NULL, 1 << 20, NULL, NULL, &err)) fail_msg("%s", iw_error_text(&err));
}

/* The store gets a toolchain root of this host's files where `test`'s would be unpacked. */
static void make_root(place *p)
{
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog = NULL;
    const iw_toolchain *toolchain = NULL;
    iw_strings names = {0};
    if (iw_catalog_open(p->tree, &catalog, &err) ||
        iw_catalog_toolchain(catalog, "test", &toolchain, &err))
        fail_msg("%s", iw_error_text(&err));
    iw_cleanup_free char *folder = iw_format("%s/toolchains/%s", p->cache, toolchain->digest);
    iw_cleanup_free char *root = iw_path_join(folder, "root"),
                         *stamp = iw_path_join(folder, "stamp");
    assert_int_equal(iw_make_folders(root, 0755, NULL), 0);
    const char *const argv[] = {"sh", "tests/cases/build/host-root.sh", root, NULL};
    run(argv);
    iw_strings_add_all(&names, iw_wrapped_names());
    if (iw_root_skeleton(root, &err) || iw_root_prepare(root, &names, &err) ||
        iw_root_stamp(root, stamp, &err))
        fail_msg("%s", iw_error_text(&err));
    iw_strings_free(&names);
    iw_catalog_free(catalog);
}

static int group_setup(void **state)
{
    place *p = iw_alloc(sizeof *p);
    if (iw_temporary_folder("/tmp", "iw-build-", &p->folder, NULL)) return -1;
    p->tree = iw_path_join(p->folder, "tree");
    p->cache = iw_path_join(p->folder, "cache");
    const char *const argv[] = {"cp", "-r", "tests/cases/build/tree", p->tree, NULL};
    run(argv);
    make_root(p);
    *state = p;
    return 0;
}

static int group_teardown(void **state)
{
    place *p = *state;
    if (!getenv("IW_KEEP")) iw_remove_tree(p->folder, NULL);
    iw_buffer_free(&p->events);
    free(p->folder);
    free(p->tree);
    free(p->cache);
    free(p);
    return 0;
}

static void on_event(void *context, const iw_event *event)
{
    place *p = context;
    if (event->type == IW_EVENT_LINE || event->type == IW_EVENT_PROGRESS) return;
    iw_buffer_add_format(&p->events, "%s %s %s %s\n", iw_event_name(event->type),
                         event->subject ? event->subject : "-", event->phase ? event->phase : "-",
                         event->detail ? event->detail : "-");
}

/* Everything that stands open for one build. */
typedef struct session {
    iw_catalog *catalog;
    iw_store *store;
    iw_plan *plan;
    iw_sink sink;
    iw_build_options options;
    iw_error err;
} session;

static void open_session(place *p, const char *stack_name, session *s)
{
    *s = (session){.sink = {on_event, p}};
    const iw_stack *stack = NULL;
    iw_plan_options options = {.policy = "test"};
    iw_buffer_clear(&p->events);
    if (iw_catalog_open(p->tree, &s->catalog, &s->err) ||
        iw_store_open(p->cache, NULL, &s->store, &s->err) ||
        iw_catalog_stack(s->catalog, stack_name, &stack, &s->err) ||
        iw_plan_make(s->catalog, s->store, stack, &options, &s->plan, &s->err))
        fail_msg("%s", iw_error_text(&s->err));
    s->options = (iw_build_options){
        .jobs = 2, .helpers = getenv("IW_HELPERS"), .cancel = -1, .sink = &s->sink};
}

static void close_session(session *s)
{
    iw_plan_free(s->plan);
    iw_store_close(s->store);
    iw_catalog_free(s->catalog);
    iw_error_clear(&s->err);
}

static void expect_built(session *s)
{
    if (iw_build_plan(s->store, s->plan, &s->options, &s->err))
        fail_msg("%s", iw_error_text(&s->err));
}

static char *read_text(const char *folder, const char *name)
{
    iw_cleanup_free char *path = iw_path_join(folder, name);
    char *text = NULL;
    size_t length = 0;
    iw_error err = IW_ERROR_INIT;
    if (iw_read_file(path, 1 << 20, &text, &length, &err)) fail_msg("%s", iw_error_text(&err));
    return text;
}

static void append(const place *p, const char *file_name, const char *text)
{
    iw_cleanup_free char *path = iw_path_join(p->tree, file_name);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void builds_a_stack(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "good", &s);
    expect_built(&s);
    iw_cleanup_free char *env = iw_path_join(p->folder, "moved here");
    assert_int_equal(iw_make_folders(env, 0755, NULL), 0);
    for (size_t i = 0; i < s.plan->node_count; i++) {
        assert_true(iw_is_sha256(s.plan->nodes[i].artifact.content));
        if (iw_store_lay_artifact(s.store, &s.plan->nodes[i].artifact, env, NULL, &s.err))
            fail_msg("%s", iw_error_text(&s.err));
    }
    iw_cleanup_free char *program = iw_path_join(env, "bin/hello");
    const char *const argv[] = {program, NULL};
    iw_cleanup_free char *out = NULL;
    if (iw_run_capture(argv, NULL, 4096, &out, NULL, &s.err)) fail_msg("%s", iw_error_text(&s.err));
    assert_string_equal(out,
                        "hello, wheel! avx=0\n"); /* patched; the Makefile's -mavx2 was taken out */
    iw_cleanup_free char *motto = read_text(env, "share/motto.txt"),
                         *installer = read_text(env, "share/installer");
    assert_string_equal(motto, "Old wheels still turn.\n");
    assert_string_equal(installer, "ironwheel\n");
    iw_cleanup_free char *junk = iw_path_join(env, "share/junk1"),
                         *who = read_text(env, "share/who");
    assert_false(iw_exists(junk));
    assert_string_equal(who, "1000\nironwheel\n");
    iw_cleanup_free char *seen = read_text(env, "share/environment");
    assert_null(strstr(seen, "IW_HELPERS"));
    assert_non_null(strstr(seen, "LC_ALL=C.UTF-8\n"));
    close_session(&s);
}

static void has_nothing_to_do_again(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "good", &s);
    for (size_t i = 0; i < s.plan->node_count; i++)
        assert_int_equal(s.plan->nodes[i].action, IW_ACTION_REUSE);
    expect_built(&s);
    assert_null(strstr(p->events.data ? p->events.data : "", "started"));
    close_session(&s);
}

static void remembers_how_it_was_built(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "good", &s);
    iw_node *greet = iw_plan_find(s.plan, "greet", NULL);
    assert_non_null(greet);
    const char *facts = greet->artifact.facts;
    assert_non_null(strstr(facts, "0001-greet-by-name.patch"));
    assert_null(strstr(facts, "Greet the wheel")); /* its words may change: they are in manifests */
    assert_non_null(strstr(facts, "-mavx2"));
    iw_measure measure;
    bool found = false;
    assert_int_equal(iw_store_measured(s.store, "greet", "1.0", "compile", &measure, &found, NULL),
                     0);
    assert_true(found && measure.seconds > 0);
    char *log = NULL;
    assert_int_equal(iw_build_log_path(s.store, "greet", NULL, "compile", &log, NULL), 0);
    iw_cleanup_free char *held = log, *text = read_text("/", log);
    assert_non_null(strstr(text, "make -j"));
    assert_int_equal(iw_build_log_path(s.store, "greet", "1.1", NULL, &log, &s.err), -1);
    close_session(&s);
}

/* A change that gives the same bytes stops there. */
static void stops_where_bytes_are_the_same(void **state)
{
    place *p = *state;
    session s;
    append(p, "recipes/greet/files/greet/Makefile", "# nothing that matters\n");
    open_session(p, "good", &s);
    expect_built(&s);
    assert_non_null(strstr(p->events.data, "finished greet/1.0 - built\n"));
    assert_non_null(strstr(p->events.data, "finished hello/2.1 - reused\n"));
    assert_null(strstr(p->events.data, "started hello"));
    close_session(&s);
}

static void tells_what_failed(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "broken", &s);
    assert_int_equal(iw_build_plan(s.store, s.plan, &s.options, &s.err), -1);
    assert_int_equal(s.err.kind, IW_E_BUILD);
    static const char *const parts[] = {"broken/1", "`compile`", "two_is_not_declared",
                                        "compile.log", "ironwheel shell broken"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(s.err.message, parts[i])) fail_msg("no \"%s\" in: %s", parts[i], s.err.message);
    iw_node *broken = iw_plan_find(s.plan, "broken", NULL);
    iw_cleanup_free char *kept =
        iw_format("%s/work/broken-1-%.12s/build/src/one.o", p->cache, broken->plan_key);
    assert_true(iw_exists(kept));
    close_session(&s);
}

/* The package starts from its sources again, and gets back what was compiled. */
static void gets_objects_back(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "broken", &s);
    assert_int_equal(iw_build_plan(s.store, s.plan, &s.options, &s.err), -1);
    iw_node *broken = iw_plan_find(s.plan, "broken", NULL);
    iw_cleanup_free char *folder =
        iw_format("%s/work/broken-1-%.12s/build", p->cache, broken->plan_key);
    iw_cleanup_free char *log = read_text(folder, "wrapper.log");
    assert_non_null(strstr(log, "hit one.c"));
    assert_null(strstr(log, "miss one.c"));
    close_session(&s);
}

/* Two runs at once on one store: each package is built by one of them, the other takes it. */
static void two_runs_share_the_work(void **state)
{
    place *p = *state;
    int built = 0;
    pid_t pids[2];
    append(p, "recipes/greet/files/greet/greet.c",
           "int more(void);\nint more(void) { return 2; }\n");
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i]) continue;
        session s;
        open_session(p, "good", &s);
        int bad = iw_build_plan(s.store, s.plan, &s.options, &s.err);
        const char *events = p->events.data;
        _exit(bad ? 100
                  : !!strstr(events, "finished greet/1.0 - built\n") +
                        2 * !!strstr(events, "finished hello/2.1 - built\n"));
    }
    for (int i = 0; i < 2; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 4);
        built += WEXITSTATUS(status);
    }
    assert_int_equal(built, 3);
}

static void sees_the_network_tried(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "reaching", &s);
    assert_int_equal(iw_build_plan(s.store, s.plan, &s.options, &s.err), -1);
    assert_non_null(strstr(s.err.message, "192.0.2.7:80"));
    close_session(&s);
}

static void lets_steps_call_their_own_host(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "calling-home", &s);
    expect_built(&s);
    close_session(&s);
}

static off_t beats(const place *p, const char *key)
{
    iw_cleanup_free char *path = iw_format("%s/work/slow-1-%.12s/build/beat", p->cache, key);
    struct stat status;
    return stat(path, &status) ? 0 : status.st_size;
}

static bool wait_for_beat(const place *p, const char *key)
{
    for (int i = 0; i < 500 && beats(p, key) == 0; i++) poll(NULL, 0, 20);
    return beats(p, key) > 0;
}

/* SIGKILL of the orchestrator: worker, sandbox and everything inside die, and the tree's lock is
 * free. */
static void dies_with_its_parent(void **state)
{
    place *p = *state;
    session s;
    open_session(p, "slow", &s);
    iw_cleanup_free char *key = iw_strdup(s.plan->nodes[0].plan_key);
    close_session(&s);
    pid_t pid = fork();
    if (pid == 0) {
        open_session(p, "slow", &s);
        iw_build_plan(s.store, s.plan, &s.options, &s.err);
        _exit(0);
    }
    assert_true(wait_for_beat(p, key));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    iw_cleanup_free char *lock = iw_format("%s/work/slow-1-%.12s.lock", p->cache, key);
    int fd = -1;
    for (int i = 0; i < 100 && fd < 0; i++) {
        poll(NULL, 0, 20);
        assert_int_equal(iw_lock_file(lock, true, false, &fd, NULL), 0);
    }
    assert_true(fd >= 0);
    close(fd);
    poll(NULL, 0, 100);
    off_t before = beats(p, key);
    poll(NULL, 0, 200);
    assert_int_equal(before, beats(p, key));
}

static void stops_when_told(void **state)
{
    place *p = *state;
    session s;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    open_session(p, "slow", &s);
    iw_cleanup_free char *key = iw_strdup(s.plan->nodes[0].plan_key);
    s.options.cancel = fds[0];
    pid_t pid = fork();
    if (pid == 0) {
        poll(NULL, 0, 1500);
        _exit(write(fds[1], "x", 1) == 1 ? 0 : 1);
    }
    assert_int_equal(iw_build_plan(s.store, s.plan, &s.options, &s.err), -1);
    assert_int_equal(s.err.kind, IW_E_CANCELLED);
    waitpid(pid, NULL, 0);
    off_t before = beats(p, key);
    poll(NULL, 0, 200);
    assert_int_equal(before, beats(p, key));
    close(fds[0]);
    close(fds[1]);
    close_session(&s);
}

int main(void)
{
    if (!getenv("IW_HELPERS")) return 77;
    const struct CMUnitTest tests[] = {cmocka_unit_test(builds_a_stack),
                                       cmocka_unit_test(has_nothing_to_do_again),
                                       cmocka_unit_test(remembers_how_it_was_built),
                                       cmocka_unit_test(stops_where_bytes_are_the_same),
                                       cmocka_unit_test(stops_when_told),
                                       cmocka_unit_test(dies_with_its_parent),
                                       cmocka_unit_test(tells_what_failed),
                                       cmocka_unit_test(gets_objects_back),
                                       cmocka_unit_test(two_runs_share_the_work),
                                       cmocka_unit_test(sees_the_network_tried),
                                       cmocka_unit_test(lets_steps_call_their_own_host)};
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
