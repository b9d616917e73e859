/* The pool of work: its pure core against a model, and the broker over real sockets. */
#include "kit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "wrap/broker.h"
#include "wrap/slots.h"

/* --- the core ------------------------------------------------------------- */

static bool granted(iw_slots *slots, size_t wanted)
{
    size_t request = SIZE_MAX;
    bool any = iw_slots_grant(slots, &request);
    if (any) assert_int_equal(request, wanted);
    return any;
}

static void test_cores(void **state)
{
    (void)state;
    iw_slots *slots = iw_slots_new(2, 1000);
    size_t a = iw_slots_want(slots, 10), b = iw_slots_want(slots, 10), c = iw_slots_want(slots, 10);
    assert_true(granted(slots, a));
    assert_true(granted(slots, b));
    assert_false(granted(slots, c));
    assert_int_equal(iw_slots_running(slots), 2);
    assert_int_equal(iw_slots_memory(slots), 20);
    iw_slots_release(slots, a);
    assert_true(granted(slots, c));
    iw_slots_release(slots, b);
    iw_slots_release(slots, c);
    iw_slots_release(slots, c); /* twice, or never asked for: nothing */
    iw_slots_release(slots, 999);
    assert_int_equal(iw_slots_running(slots), 0);
    assert_int_equal(iw_slots_memory(slots), 0);
    iw_slots_free(slots);
    iw_slots_free(NULL);
}

static void test_weights(void **state)
{
    (void)state;
    iw_slots *slots = iw_slots_new(8, 1000);
    size_t a = iw_slots_want(slots, 600), b = iw_slots_want(slots, 600),
           c = iw_slots_want(slots, 10);
    assert_true(granted(slots, a));
    assert_false(granted(slots, b)); /* and c waits behind it: a large job is never starved */
    iw_slots_release(slots, a);
    assert_true(granted(slots, b));
    assert_true(granted(slots, c));
    iw_slots_release(slots, b);
    iw_slots_release(slots, c);
    /* Larger than everything: alone. */
    size_t d = iw_slots_want(slots, 10), huge = iw_slots_want(slots, UINT64_MAX),
           e = iw_slots_want(slots, 10);
    assert_true(granted(slots, d));
    assert_false(granted(slots, huge));
    iw_slots_release(slots, d);
    assert_true(granted(slots, huge));
    assert_false(granted(slots, e));
    iw_slots_release(slots, huge);
    assert_true(granted(slots, e));
    iw_slots_free(slots);
}

static void test_leaving_the_queue(void **state)
{
    (void)state;
    iw_slots *slots = iw_slots_new(1, 100);
    size_t a = iw_slots_want(slots, 1), b = iw_slots_want(slots, 1), c = iw_slots_want(slots, 1),
           d = iw_slots_want(slots, 1);
    assert_true(granted(slots, a));
    iw_slots_release(slots, c); /* the middle */
    iw_slots_release(slots, d); /* the end */
    size_t e = iw_slots_want(slots, 1);
    iw_slots_release(slots, a);
    assert_true(granted(slots, b));
    iw_slots_release(slots, b);
    assert_true(granted(slots, e));
    assert_false(granted(slots, 0));
    iw_slots_free(slots);
}

/* Random asking, granting and releasing against a model that is a plain list. */
static void test_model(void **state)
{
    (void)state;
    enum { MOST = 64 };
    for (unsigned seed = 1; seed <= 60; seed++) {
        srand(seed);
        unsigned cores = 1 + (unsigned)rand() % 5, running = 0;
        uint64_t memory = 100, used = 0;
        iw_slots *slots = iw_slots_new(cores, memory);
        struct {
            size_t request;
            uint64_t mib;
            bool running;
        } list[MOST];
        size_t count = 0;
        for (int step = 0; step < 2000; step++) {
            if (rand() % 2 && count < MOST) {
                uint64_t mib = (uint64_t)(rand() % 10 ? rand() % 60 : rand() % 300);
                list[count].request = iw_slots_want(slots, mib);
                list[count].mib = mib, list[count].running = false, count++;
            } else if (count) {
                size_t at = (size_t)rand() % count;
                iw_slots_release(slots, list[at].request);
                if (list[at].running) running--, used -= list[at].mib;
                memmove(list + at, list + at + 1, (--count - at) * sizeof *list);
            }
            for (;;) { /* what the model would grant: the first that waits */
                size_t next = 0, request = SIZE_MAX;
                while (next < count && list[next].running) next++;
                bool may = next < count && running < cores &&
                           (running == 0 || used + list[next].mib <= memory);
                assert_int_equal(iw_slots_grant(slots, &request), may);
                if (!may) break;
                assert_int_equal(request, list[next].request);
                list[next].running = true, running++, used += list[next].mib;
            }
            assert_int_equal(iw_slots_running(slots), running);
            assert_int_equal(iw_slots_memory(slots), used);
        }
        iw_slots_free(slots);
    }
}

/* --- the broker ----------------------------------------------------------- */

typedef struct place {
    char *folder, *path;
    iw_slots *slots;
    iw_broker *broker;
} place;

static int setup(void **state)
{
    place *p = iw_alloc(sizeof *p);
    iw_error err = IW_ERROR_INIT;
    if (iw_temporary_folder("/tmp", "iw-broker-", &p->folder, NULL) != 0) return -1;
    p->path = iw_path_join(p->folder, "broker");
    p->slots = iw_slots_new(2, 1000);
    kit_ok(iw_broker_open(p->slots, &p->broker, &err));
    kit_ok(iw_broker_listen(p->broker, p->path, 7, 100, 400, &err));
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    place *p = *state;
    iw_broker_close(p->broker);
    iw_slots_free(p->slots);
    int status = iw_remove_tree(p->folder, NULL);
    free(p->folder), free(p->path), free(p);
    return status;
}

/* Lets the broker do all that is to be done. */
static void serve(place *p)
{
    struct pollfd fd = {.fd = iw_broker_fd(p->broker), .events = POLLIN};
    while (poll(&fd, 1, 20) == 1) iw_broker_handle(p->broker);
}

static int call(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static void say(int fd, const char *message)
{
    assert_int_equal(send(fd, message, strlen(message), MSG_NOSIGNAL), strlen(message));
}

static int ask(place *p, const char *message)
{
    int fd = call(p->path);
    assert_true(fd >= 0);
    say(fd, message);
    serve(p);
    return fd;
}

/* "go", "" (closed) or NULL (nothing yet). */
static const char *answer(int fd)
{
    static char text[32];
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return NULL;
    text[got > 0 ? got : 0] = 0;
    return text;
}

static void test_grant_and_close(void **state)
{
    place *p = *state;
    int a = ask(p, "want compile 0"), b = ask(p, "want compile 0"), c = ask(p, "want compile 0");
    assert_string_equal(answer(a), "go");
    assert_string_equal(answer(b), "go");
    assert_null(answer(c));
    assert_int_equal(iw_slots_memory(p->slots), 200); /* 0: the package's own measure */
    close(a);                                         /* a killed compiler says nothing more */
    serve(p);
    assert_string_equal(answer(c), "go");
    close(b), close(c);
    serve(p);
    assert_int_equal(iw_slots_running(p->slots), 0);
    assert_int_equal(iw_slots_memory(p->slots), 0);
}

static void test_kinds_and_sizes(void **state)
{
    place *p = *state;
    int a = ask(p, "want link 0"), b = ask(p, "want other 700"), c = -1;
    assert_string_equal(answer(a), "go");
    assert_int_equal(iw_slots_memory(p->slots), 400);
    assert_null(answer(b)); /* 1100 MiB together */
    close(a);
    serve(p);
    assert_string_equal(answer(b), "go");
    close(b);
    serve(p);
    c = ask(p, "want link 99999999");
    assert_string_equal(answer(c), "go"); /* alone */
    close(c);
    serve(p);
}

static void test_waiting_client_goes(void **state)
{
    place *p = *state;
    int a = ask(p, "want other 900"), b = ask(p, "want other 900"), c = ask(p, "want other 100");
    assert_string_equal(answer(a), "go");
    assert_null(answer(b));
    assert_null(answer(c));
    close(b); /* killed while it waits: the next one's turn */
    serve(p);
    assert_string_equal(answer(c), "go");
    close(a), close(c);
    serve(p);
    assert_int_equal(iw_slots_running(p->slots), 0);
}

static void test_nonsense(void **state)
{
    place *p = *state;
    static const char *const messages[] = {"",
                                           "want",
                                           "want compile",
                                           "hello",
                                           "want compile x",
                                           "go",
                                           "want compilecompilecompilecompile"};
    for (size_t i = 1; i < sizeof messages / sizeof *messages; i++) {
        int fd = ask(p, messages[i]);
        if (!answer(fd) || *answer(fd)) fail_msg("not dropped: %s", messages[i]);
        close(fd);
    }
    int a =
        ask(p, "want compile 1"); /* a second wish on one socket would lose the first one's slot */
    assert_string_equal(answer(a), "go");
    say(a, "want compile 1");
    serve(p);
    assert_string_equal(answer(a), "");
    assert_int_equal(iw_slots_running(p->slots), 0);
    close(a);
    iw_buffer long_one = {0};
    for (int i = 0; i < 5000; i++) iw_buffer_add_text(&long_one, "want compile 1 ");
    int b = ask(p, long_one.data);
    const char *got = answer(b); /* cut, and read as what it starts with */
    assert_true(got && (!*got || strcmp(got, "go") == 0));
    close(b);
    serve(p);
    iw_buffer_free(&long_one);
    assert_int_equal(iw_slots_running(p->slots), 0);
}

static void test_counts(void **state)
{
    place *p = *state;
    static const struct {
        const char *want, *used;
    } jobs[] = {{"want compile 0", "used 120"},
                {"want compile 0", "used 80"},
                {"want link 0", "used 900"},
                {"want compile 0", NULL}};
    for (size_t i = 0; i < 4; i++) {
        int fd = ask(p, jobs[i].want);
        assert_string_equal(answer(fd), "go");
        if (jobs[i].used) say(fd, jobs[i].used);
        serve(p);
        close(fd);
        serve(p);
    }
    int liar = ask(p, "used 5000"); /* holds no slot */
    close(liar);
    serve(p);
    iw_broker_count count = iw_broker_counted(p->broker, 7);
    assert_int_equal(count.compiles, 2);
    assert_int_equal(count.links, 1);
    assert_int_equal(count.compile_peak, 120);
    assert_int_equal(count.link_peak, 900);
    assert_int_equal(iw_broker_counted(p->broker, 8).compiles, 0);
}

static void test_forget(void **state)
{
    place *p = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *other = iw_path_join(p->folder, "other");
    kit_ok(iw_broker_listen(p->broker, other, 8, 50, 50, &err));
    int a = ask(p, "want compile 0"), b = ask(p, "want compile 0"), c = call(other);
    say(c, "want compile 0");
    serve(p);
    assert_null(answer(c));
    iw_broker_forget(p->broker,
                     7); /* its package failed: its compilers' slots go to the other one */
    assert_string_equal(answer(c), "go");
    assert_int_equal(iw_slots_running(p->slots), 1);
    assert_int_equal(iw_slots_memory(p->slots), 50);
    assert_int_equal(call(p->path), -1);
    assert_false(iw_exists(p->path));
    close(a), close(b), close(c);
    serve(p);
}

static void test_long_path(void **state)
{
    place *p = *state;
    iw_error err = IW_ERROR_INIT;
    char path[200] = "/tmp/";
    memset(path + 5, 'a', 150);
    assert_int_equal(iw_broker_listen(p->broker, path, 9, 1, 1, &err), -1);
    kit_has(iw_error_text(&err), "too long for a socket");
    iw_error_clear(&err);
    assert_int_equal(iw_broker_listen(p->broker, "/nonexistent/broker", 9, 1, 1, &err), -1);
    kit_has(iw_error_text(&err), "/nonexistent/broker");
    iw_error_clear(&err);
}

/* Forty processes that are killed at random moments: no slot is lost, never more run than may. */
static void test_killed_clients(void **state)
{
    place *p = *state;
    enum { CLIENTS = 40 };
    pid_t clients[CLIENTS];
    srand(3);
    for (int i = 0; i < CLIENTS; i++) {
        unsigned pause = (unsigned)rand() % 20000;
        bool dies = rand() % 2;
        clients[i] = fork();
        if (clients[i] > 0) continue;
        char text[16];
        int fd = call(p->path);
        if (fd < 0) _exit(1);
        say(fd, "want compile 0");
        if (dies) usleep(pause), kill(getpid(), SIGKILL);
        if (recv(fd, text, sizeof text, 0) != 2) _exit(2);
        usleep(pause);
        send(fd, "used 3", 6, MSG_NOSIGNAL);
        _exit(0);
    }
    for (int left = CLIENTS; left > 0;) {
        struct pollfd fd = {.fd = iw_broker_fd(p->broker), .events = POLLIN};
        if (poll(&fd, 1, 50) == 1) iw_broker_handle(p->broker);
        assert_true(iw_slots_running(p->slots) <= 2);
        int status;
        while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) {
            left--;
            assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        }
    }
    serve(p);
    assert_int_equal(iw_slots_running(p->slots), 0);
    assert_int_equal(iw_slots_memory(p->slots), 0);
    assert_true(iw_broker_counted(p->broker, 7).compiles > 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cores),
                                       cmocka_unit_test(test_weights),
                                       cmocka_unit_test(test_leaving_the_queue),
                                       cmocka_unit_test(test_model),
                                       T(test_grant_and_close),
                                       T(test_kinds_and_sizes),
                                       T(test_waiting_client_goes),
                                       T(test_nonsense),
                                       T(test_counts),
                                       T(test_forget),
                                       T(test_long_path),
                                       T(test_killed_clients)};
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
