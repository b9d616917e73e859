#include "wrap/broker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

#define NO_REQUEST SIZE_MAX

/* A listening socket, or a client's. */
struct peer {
    int fd;
    size_t tag;
    bool listening, link, granted;
    size_t request;
    struct peer *next;
};

struct package {
    size_t tag;
    uint64_t compile_mib, link_mib;
    char *path;
    iw_broker_count count;
    struct package *next;
};

struct iw_broker {
    iw_slots *slots;
    int epoll;
    struct peer *peers;
    struct package *packages;
};

int iw_broker_open(iw_slots *slots, iw_broker **out, iw_error *err)
{
    *out = NULL;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't make an epoll descriptor");
    iw_broker *broker = iw_alloc(sizeof *broker);
    broker->slots = slots;
    broker->epoll = fd;
    *out = broker;
    return 0;
}

int iw_broker_fd(const iw_broker *broker)
{
    return broker->epoll;
}

static struct package *package_of(const iw_broker *broker, size_t tag)
{
    struct package *package = broker->packages;
    while (package && package->tag != tag) package = package->next;
    return package;
}

static void grant_all(iw_broker *broker)
{
    size_t request;
    while (iw_slots_grant(broker->slots, &request)) {
        struct peer *peer = broker->peers;
        while (peer && (peer->listening || peer->request != request)) peer = peer->next;
        if (!peer) {
            iw_slots_release(broker->slots, request);
            continue;
        }
        peer->granted = true;
        (void)!send(peer->fd, "go", 2,
                    MSG_NOSIGNAL |
                        MSG_DONTWAIT); /* gone already: its closing is noticed in the next round */
    }
}

static int add_peer(iw_broker *broker, int fd, size_t tag, bool listening, iw_error *err)
{
    struct peer *peer = iw_alloc(sizeof *peer);
    *peer = (struct peer){
        .fd = fd, .tag = tag, .listening = listening, .request = NO_REQUEST, .next = broker->peers};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(broker->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(peer);
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't watch the slots' socket");
    }
    broker->peers = peer;
    return 0;
}

static void drop_peer(iw_broker *broker, struct peer *peer)
{
    struct peer **link = &broker->peers;
    while (*link != peer) link = &(*link)->next;
    *link = peer->next;
    if (peer->request != NO_REQUEST) iw_slots_release(broker->slots, peer->request);
    epoll_ctl(broker->epoll, EPOLL_CTL_DEL, peer->fd,
              NULL); /* closing isn't enough where a forked process has a copy */
    close(peer->fd);
    free(peer);
}

static void count_use(iw_broker *broker, struct peer *peer, uint64_t mib)
{
    struct package *package = package_of(broker, peer->tag);
    if (!package || !peer->granted) return;
    uint64_t *peak = peer->link ? &package->count.link_peak : &package->count.compile_peak;
    if (mib > *peak) *peak = mib;
    (*(peer->link ? &package->count.links : &package->count.compiles))++;
}

/* False: the client says nonsense, and is dropped. */
static bool take_message(iw_broker *broker, struct peer *peer, const char *message)
{
    char kind[16];
    unsigned long long mib;
    if (sscanf(message, "used %llu", &mib) == 1) {
        count_use(broker, peer, mib);
        return true;
    }
    if (sscanf(message, "want %15s %llu", kind, &mib) != 2 || peer->request != NO_REQUEST)
        return false;
    const struct package *package = package_of(broker, peer->tag);
    peer->link = strcmp(kind, "link") == 0;
    if (mib == 0 && package) mib = peer->link ? package->link_mib : package->compile_mib;
    peer->request = iw_slots_want(broker->slots, mib);
    return true;
}

static void read_peer(iw_broker *broker, struct peer *peer)
{
    char message[128];
    ssize_t got = recv(peer->fd, message, sizeof message - 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) {
        message[got] = 0;
        if (take_message(broker, peer, message)) return;
    }
    drop_peer(broker, peer);
}

void iw_broker_handle(iw_broker *broker)
{
    /* One event at a time: handling one may free what a later one of the same batch points to. */
    struct epoll_event event;
    for (int rounds = 0; rounds < 256 && epoll_wait(broker->epoll, &event, 1, 0) == 1; rounds++) {
        struct peer *peer = event.data.ptr;
        if (!peer->listening) {
            read_peer(broker, peer);
            continue;
        }
        int fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && add_peer(broker, fd, peer->tag, false, NULL) != 0) close(fd);
    }
    grant_all(broker);
}

int iw_broker_listen(iw_broker *broker, const char *path, size_t tag, uint64_t compile_mib,
                     uint64_t link_mib, iw_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return iw_fail(
            err, IW_E_ENVIRONMENT,
            "%s is too long for a socket (%zu bytes at most); put the store at a shorter path",
            path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    iw_cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 256) != 0)
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't listen at %s", path);
    if (add_peer(broker, fd, tag, true, err) != 0) return -1;
    iw_steal_fd(&fd);
    struct package *package = iw_alloc(sizeof *package);
    *package = (struct package){.tag = tag,
                                .compile_mib = compile_mib,
                                .link_mib = link_mib,
                                .path = iw_strdup(path),
                                .next = broker->packages};
    broker->packages = package;
    return 0;
}

void iw_broker_forget(iw_broker *broker, size_t tag)
{
    for (struct peer *peer = broker->peers, *next; peer; peer = next) {
        next = peer->next;
        if (peer->tag == tag) drop_peer(broker, peer);
    }
    struct package **link = &broker->packages;
    while (*link && (*link)->tag != tag) link = &(*link)->next;
    struct package *package = *link;
    if (package) {
        *link = package->next;
        unlink(package->path);
        free(package->path);
        free(package);
    }
    grant_all(broker);
}

iw_broker_count iw_broker_counted(const iw_broker *broker, size_t tag)
{
    const struct package *package = package_of(broker, tag);
    return package ? package->count : (iw_broker_count){0};
}

void iw_broker_close(iw_broker *broker)
{
    if (!broker) return;
    while (broker->peers) drop_peer(broker, broker->peers);
    while (broker->packages) iw_broker_forget(broker, broker->packages->tag);
    close(broker->epoll);
    free(broker);
}
