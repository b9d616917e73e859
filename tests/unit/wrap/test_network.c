/* The network filter: questions to name servers, and iw-init with a program in it that tries
 * addresses. No packet leaves: what is outside of loopback is refused before it is sent. */
#include "kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/process.h"
#include "wrap/network.h"

/* --- names ---------------------------------------------------------------- */

#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define QUESTION                                                                                   \
    HEADER "\x07"                                                                                  \
           "example\x03"                                                                           \
           "org\x00\x00\x01\x00\x01"

static void test_dns_names(void **state)
{
    (void)state;
    char name[256];
    assert_true(iw_dns_name((const unsigned char *)QUESTION, sizeof QUESTION - 1, name));
    assert_string_equal(name, "example.org");
    /* Cut anywhere: no name, and no byte behind it is read. */
    for (size_t length = 0; length < sizeof QUESTION - 1; length++) {
        unsigned char *exact = malloc(length ? length : 1);
        memcpy(exact, QUESTION, length);
        bool found = iw_dns_name(exact, length, name);
        if (found && length < 12 + 13) fail_msg("a name in %zu bytes", length);
        free(exact);
    }
    static const struct {
        const char *data;
        size_t length;
    } no[] = {{"\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"
               "a\x00\x00\x01\x00\x01",
               19}, /* an answer */
              {"\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
               "a\x00\x00\x01\x00\x01",
               19},                                    /* no question */
              {HEADER "\x00\x00\x01\x00\x01", 17},     /* the root */
              {HEADER "\xc0\x0c\x00\x01\x00\x01", 18}, /* a pointer */
              {"GET / HTTP/1.0\r\n\r\nand more", 26},
              /* a service's message: `W`, its length, a protobuf */
              {"W\x1d\x00\x00\x00\x0a\x05local\x12\x12"
               "a summary of run5\x00\x18\x01",
               34},
              {"\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01"
               "a\x00\x00\x01\x00\x01",
               19}, /* answered already */
              {HEADER "\x01"
                      "a\x00\x00\x01\x00\x07",
               19}}; /* of no class */
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (iw_dns_name((const unsigned char *)no[i].data, no[i].length, name))
            fail_msg("case %zu: %s", i, name);
    assert_true(iw_dns_name((const unsigned char *)HEADER "\x03"
                                                          "a\nb\x00\x00\x01\x00\x01",
                            21, name));
    assert_string_equal(name, "a?b"); /* nothing that a terminal would obey */
    iw_buffer most = {0};
    iw_buffer_add(&most, HEADER, 12);
    for (int i = 0; i < 10; i++) {
        iw_buffer_add_char(&most, 40);
        for (int k = 0; k < 40; k++) iw_buffer_add_char(&most, 'x');
    }
    iw_buffer_add(&most, "\0\0\1\0\1", 5);
    assert_false(iw_dns_name((const unsigned char *)most.data, most.length,
                             name)); /* longer than names can be */
    iw_buffer_free(&most);
}

static void test_receive(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    int pair[2], listener = 5;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    close(pair[1]);
    kit_ok(iw_network_receive(pair[0], &listener,
                              &err)); /* the other end closed: there is no filter */
    assert_int_equal(listener, -1);
    close(pair[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[1], "n", 1), 1); /* a byte without a descriptor */
    kit_ok(iw_network_receive(pair[0], &listener, &err));
    assert_int_equal(listener, -1);
    close(pair[0]), close(pair[1]);
    assert_int_equal(iw_network_receive(pair[0], &listener, &err), -1);
    kit_has(iw_error_text(&err), "did not come");
    iw_error_clear(&err);
}

/* --- iw-init with this program again as its command: what it tries -------- */

static int udp_to(const char *address, int port, const void *data, size_t length)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return sendto(fd, data, length, 0, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

static int connect_to(int type, const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    return connect(socket(AF_INET, type, 0), (struct sockaddr *)&to, sizeof to) != 0 ? errno : 0;
}

static int connect_to_6(const char *address, int port)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, address, &to.sin6_addr);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0) return ECONNREFUSED; /* a host without IPv6 */
    return connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ? errno : 0;
}

/* The second message of two goes outside. */
static int send_many(void)
{
    struct sockaddr_in inside = {.sin_family = AF_INET, .sin_port = htons(9)},
                       outside = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, "127.0.0.1", &inside.sin_addr);
    inet_pton(AF_INET, "203.0.113.5", &outside.sin_addr);
    struct iovec part = {(char *)"x", 1};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_name = &inside,
                                               .msg_namelen = sizeof inside,
                                               .msg_iov = &part,
                                               .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_name = &outside,
                                               .msg_namelen = sizeof outside,
                                               .msg_iov = &part,
                                               .msg_iovlen = 1}}};
    return sendmmsg(socket(AF_INET, SOCK_DGRAM, 0), messages, 2, 0) < 0 ? errno : 0;
}

static int ask_connected(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) return errno;
    struct iovec part = {(char *)QUESTION, sizeof QUESTION - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return sendmsg(fd, &message, 0) < 0 ? errno : 0;
}

static int connect_local(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to) != 0 ? errno
                                                                                            : 0;
}

static int bad_memory(void)
{
    return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)(uintptr_t)8, 16) != 0
               ? errno
               : 0;
}

/* The exit status is errno. */
static int try(const char *what)
{
    if (strcmp(what, "tcp") == 0) return connect_to(SOCK_STREAM, "192.0.2.1", 443);
    if (strcmp(what, "udp") == 0) return udp_to("198.51.100.7", 123, "x", 1);
    if (strcmp(what, "tcp6") == 0) return connect_to_6("2001:db8::1", 80);
    if (strcmp(what, "mapped") == 0) return connect_to_6("::ffff:192.0.2.9", 80);
    if (strcmp(what, "question") == 0)
        return udp_to("127.0.0.53", 53, QUESTION, sizeof QUESTION - 1);
    if (strcmp(what, "connected") == 0) return ask_connected();
    if (strcmp(what, "many") == 0) return send_many();
    if (strcmp(what, "memory") == 0) return bad_memory();
    if (strcmp(what, "loopback") == 0) return connect_to(SOCK_STREAM, "127.0.0.1", 1);
    if (strcmp(what, "loopback6") == 0) return connect_to_6("::1", 1);
    if (strcmp(what, "this-host") == 0) return connect_to(SOCK_STREAM, "0.0.0.0", 1);
    if (strcmp(what, "route") == 0) return connect_to(SOCK_DGRAM, "192.0.2.1", 0);
    if (strcmp(what, "local") == 0) return connect_local();
    if (strcmp(what, "swallow") == 0) {
        connect_to(SOCK_STREAM, "192.0.2.1", 443);
        return 0;
    }
    return 99;
}

static void on_report(void *context, const char *what)
{
    iw_buffer_add_format(context, "%s\n", what);
}

/* Its exit status; `said` gets what was reported. */
static int run_filtered(const char *const *command, iw_buffer *said)
{
    iw_error err = IW_ERROR_INIT;
    const char *helpers = getenv("IW_HELPERS");
    if (!helpers) fail_msg("IW_HELPERS names the folder with iw-init");
    iw_cleanup_free char *init = iw_path_join(helpers, "iw-init");
    int pair[2], listener = -1, status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    iw_cleanup_free char *number = iw_format("%d", pair[1]);
    const char *argv[16] = {init, "--socket", number, "--"};
    for (size_t i = 0; command[i]; i++) argv[4 + i] = command[i];
    const int keep[] = {pair[1], -1};
    pid_t pid;
    kit_ok(iw_spawn(&(iw_command){.argv = argv, .in = -1, .out = 1, .error = 2, .keep = keep}, &pid,
                    &err));
    close(pair[1]);
    kit_ok(iw_network_receive(pair[0], &listener, &err));
    assert_true(listener >= 0);
    bool alive = true;
    while (alive) {
        struct pollfd fd = {.fd = listener, .events = POLLIN};
        int ready = poll(&fd, 1, 10000);
        if (ready != 1 || !(fd.revents & POLLIN))
            break; /* POLLHUP: no process has the filter any more */
        alive = iw_network_handle(listener, on_report, said);
    }
    kit_ok(iw_wait(pid, &status, &err));
    close(listener);
    close(pair[0]);
    if (!said->data) iw_buffer_add_text(said, "");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define ANY -2 /* what the host says: it may have no route, or no IPv6 */

static void expect(const char *what, int status, const char *report)
{
    char self[4096] = {0};
    iw_buffer said = {0};
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    int got = run_filtered((const char *const[]){self, "--try", what, NULL}, &said);
    if ((status != ANY && got != status) || strcmp(said.data, report) != 0)
        fail_msg("%s: status %d, \"%s\"; wanted %d, \"%s\"", what, got, said.data, status, report);
    iw_buffer_free(&said);
}

static void test_outside(void **state)
{
    (void)state;
    expect("tcp", ENETUNREACH, "tried to reach 192.0.2.1:443\n");
    expect("udp", ENETUNREACH, "tried to reach 198.51.100.7:123\n");
    expect("many", ENETUNREACH, "tried to reach 203.0.113.5:9\n");
    expect("question", ENETUNREACH, "tried to resolve example.org\n");
    expect("connected", ENETUNREACH, "tried to resolve example.org\n");
    expect("memory", ENETUNREACH, "made a call with an address that could not be read\n");
}

static void test_outside_6(void **state)
{
    (void)state;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0;
    if (has) close(fd);
    expect("tcp6", has ? ENETUNREACH : ECONNREFUSED,
           has ? "tried to reach [2001:db8::1]:80\n" : "");
    expect("mapped", has ? ENETUNREACH : ECONNREFUSED,
           has ? "tried to reach [::ffff:192.0.2.9]:80\n" : "");
}

/* A step that swallows the error is reported all the same. */
static void test_swallowed(void **state)
{
    (void)state;
    expect("swallow", 0, "tried to reach 192.0.2.1:443\n");
}

static void test_inside(void **state)
{
    (void)state;
    expect("loopback", ECONNREFUSED, "");
    expect("loopback6", ANY, "");
    expect("this-host", ECONNREFUSED, "");
    expect("local", ENOENT, "");
    expect("route", ANY, ""); /* glibc asks the routing table so, and nothing is sent */
}

static void test_children(void **state)
{
    (void)state;
    char self[4096] = {0};
    iw_buffer said = {0};
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    const char *const command[] = {
        "/bin/sh", "-c", "\"$0\" --try tcp; \"$0\" --try loopback; \"$0\" --try udp & wait; exit 4",
        self, NULL};
    assert_int_equal(run_filtered(command, &said), 4);
    assert_string_equal(said.data,
                        "tried to reach 192.0.2.1:443\ntried to reach 198.51.100.7:123\n");
    iw_buffer_free(&said);
}

static void test_status(void **state)
{
    (void)state;
    iw_buffer said = {0};
    assert_int_equal(run_filtered((const char *const[]){"/bin/sh", "-c", "kill -9 $$", NULL},
                                  &said),
                     128 + 9);
    assert_int_equal(run_filtered((const char *const[]){"/nonexistent/program", NULL}, &said), 127);
    assert_int_equal(run_filtered((const char *const[]){"true", NULL}, &said), 0);
    iw_buffer_free(&said);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--try") == 0) return try(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_names), cmocka_unit_test(test_receive),
        cmocka_unit_test(test_outside),   cmocka_unit_test(test_outside_6),
        cmocka_unit_test(test_swallowed), cmocka_unit_test(test_inside),
        cmocka_unit_test(test_children),  cmocka_unit_test(test_status)};
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
