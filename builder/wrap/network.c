#include "wrap/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

int iw_network_receive(int socket_fd, int *listener, iw_error *err)
{
    char byte, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    *listener = -1;
    ssize_t got;
    do got = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "the network filter's descriptor did not come");
    struct cmsghdr *header = got == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS) memcpy(listener, CMSG_DATA(header), sizeof(int));
    return 0;
}

/* --- the caller's memory -------------------------------------------------- */

static bool peek(pid_t pid, uint64_t address, void *out, size_t length)
{
    struct iovec local = {out, length}, remote = {(void *)(uintptr_t)address, length};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

/* What a call names: its address, and the start of what it sends. */
struct attempt {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        unsigned char bytes[128];
    } address;
    size_t address_length;
    unsigned char data[512];
    size_t data_length;
    bool readable; /* false: the memory could not be read */
};

static bool read_address(struct attempt *attempt, pid_t pid, uint64_t where, uint64_t length)
{
    if (!where || length == 0) return true;
    attempt->address_length =
        length < sizeof attempt->address ? (size_t)length : sizeof attempt->address;
    return peek(pid, where, &attempt->address, attempt->address_length);
}

static bool read_data(struct attempt *attempt, pid_t pid, uint64_t where, uint64_t length)
{
    attempt->data_length = length < sizeof attempt->data ? (size_t)length : sizeof attempt->data;
    return attempt->data_length == 0 || peek(pid, where, attempt->data, attempt->data_length);
}

static bool read_message(struct attempt *attempt, pid_t pid, uint64_t where)
{
    struct msghdr message = {0};
    struct iovec part = {0};
    if (!peek(pid, where, &message, sizeof message)) return false;
    if (!read_address(attempt, pid, (uintptr_t)message.msg_name, message.msg_namelen)) return false;
    if (message.msg_iovlen == 0) return true;
    return peek(pid, (uintptr_t)message.msg_iov, &part, sizeof part) &&
           read_data(attempt, pid, (uintptr_t)part.iov_base, part.iov_len);
}

/* The `index`-th thing that the call names; only sendmmsg has more than one. */
static void read_attempt(struct attempt *attempt, const struct seccomp_notif *call, unsigned index)
{
    const __u64 *arguments = call->data.args;
    pid_t pid = (pid_t)call->pid;
    switch (call->data.nr) {
    case SYS_connect:
        attempt->readable = read_address(attempt, pid, arguments[1], arguments[2]);
        break;
    case SYS_sendto:
        attempt->readable = read_address(attempt, pid, arguments[4], arguments[5]) &&
                            read_data(attempt, pid, arguments[1], arguments[2]);
        break;
    case SYS_sendmsg: attempt->readable = read_message(attempt, pid, arguments[1]); break;
    case SYS_sendmmsg: /* struct mmsghdr starts with a msghdr */
        attempt->readable =
            read_message(attempt, pid, arguments[1] + index * sizeof(struct mmsghdr));
        break;
    default: break;
    }
}

/* --- judging -------------------------------------------------------------- */

/* A resolver asks one question (header), of class IN, and nothing is answered yet; other programs'
 * messages on loopback, which start with a length or a tag, look like less than all of that. */
bool iw_dns_name(const unsigned char *message, size_t length, char name[256])
{
    static const unsigned char one_question[6] = {0, 1, 0, 0, 0, 0}, in[2] = {0, 1};
    size_t at = 12, out = 0;
    if (length < 17 || message[2] & 0xf8 || memcmp(message + 4, one_question, 6) != 0) return false;
    while (at < length && message[at]) {
        size_t label = message[at++];
        if (label > 63 || at + label >= length || out + label + 2 > 255) return false;
        if (out) name[out++] = '.';
        for (size_t i = 0; i < label; i++, at++)
            name[out++] = message[at] > ' ' && message[at] < 127 ? (char)message[at] : '?';
    }
    name[out] = 0;
    return out > 0 && at + 5 <= length && memcmp(message + at + 3, in, 2) == 0;
}

/* Also the unspecified address: connecting to it means this host (ip(7)); CPython's configure does.
 */
static bool is_loopback(const struct attempt *attempt)
{
    if (attempt->address.any.sa_family == AF_INET) {
        uint32_t address = ntohl(attempt->address.v4.sin_addr.s_addr);
        return address >> 24 == 127 || address == INADDR_ANY;
    }
    const struct in6_addr *address = &attempt->address.v6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) &&
            (address->s6_addr[12] == 127 || !address->s6_addr32[3]));
}

static char *describe(const struct attempt *attempt)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (attempt->address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &attempt->address.v4.sin_addr, text, sizeof text);
        return iw_format("tried to reach %s:%u", text, ntohs(attempt->address.v4.sin_port));
    }
    inet_ntop(AF_INET6, &attempt->address.v6.sin6_addr, text, sizeof text);
    return iw_format("tried to reach [%s]:%u", text, ntohs(attempt->address.v6.sin6_port));
}

/* What to report, or NULL where the call may go on. The sandbox has no resolv.conf, so glibc asks a
 * name server on loopback: connecting to that one goes on, and the name is seen in what is sent
 * then. Caller frees. */
static char *judge(const struct attempt *attempt, int nr)
{
    char name[256];
    if (!attempt->readable) return iw_strdup("made a call with an address that could not be read");
    bool question = nr != SYS_connect && iw_dns_name(attempt->data, attempt->data_length, name);
    if (attempt->address_length <
        sizeof(sa_family_t)) /* on a connected socket: the name server was let through */
        return question ? iw_format("tried to resolve %s", name) : NULL;
    sa_family_t family = attempt->address.any.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return NULL; /* local sockets, netlink; no others have a way out of the namespace */
    if ((family == AF_INET && attempt->address_length < sizeof attempt->address.v4) ||
        (family == AF_INET6 && attempt->address_length < 24))
        return NULL;
    unsigned port =
        ntohs(family == AF_INET ? attempt->address.v4.sin_port : attempt->address.v6.sin6_port);
    if (port == 53 && question) return iw_format("tried to resolve %s", name);
    if (port == 0 || is_loopback(attempt))
        return NULL; /* port 0: glibc asks the routing table which source address it would use */
    return describe(attempt);
}

#define MESSAGES_LIMIT 1024 /* of one sendmmsg: the kernel takes no more (UIO_MAXIOV) */

/* What to report of a whole call, or NULL. Caller frees. */
static char *judge_call(const struct seccomp_notif *call)
{
    unsigned count = 1;
    if (call->data.nr == SYS_sendmmsg)
        count = call->data.args[2] < MESSAGES_LIMIT ? (unsigned)call->data.args[2] : MESSAGES_LIMIT;
    for (unsigned i = 0; i < count; i++) {
        struct attempt attempt = {0};
        read_attempt(&attempt, call, i);
        char *what = judge(&attempt, call->data.nr);
        if (what) return what;
    }
    return NULL;
}

bool iw_network_handle(int listener, void (*report)(void *context, const char *what), void *context)
{
    struct seccomp_notif call = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
        return errno == EINTR || errno == ENOENT;
    iw_cleanup_free char *what = judge_call(&call);
    /* The process may have gone, and its number may be another's by now: then what was read means
     * nothing. */
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) != 0) return true;
    struct seccomp_notif_resp answer = {.id = call.id};
    if (what) answer.error = -ENETUNREACH;
    else
        answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE; /* the namespace has no way out, whatever
                                                            the memory says by now */
    (void)!ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    if (what && report) report(context, what);
    return true;
}
