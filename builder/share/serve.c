#include "share/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "share/remote_kinds.h"

#define CONNECTIONS 64u
#define EACH 16u    /* of one address */
#define SECONDS 60u /* without a byte */
#define THREADS 4u
#define SIMPLE_JSON "application/vnd.pypi.simple.v1+json"
#define SIMPLE_HTML "application/vnd.pypi.simple.v1+html"

struct iw_server {
    iw_serve_options options;
    char *folder;
    struct MHD_Daemon *daemon;
};

/* --- ranges --------------------------------------------------------------- */

static bool number(const char *text, size_t length, uint64_t *out)
{
    iw_cleanup_free char *copy = iw_strndup(text, length);
    return iw_parse_unsigned(copy, UINT64_MAX >> 1, out);
}

bool iw_serve_range(const char *header, uint64_t size, uint64_t *first, uint64_t *length, bool *bad)
{
    uint64_t from = 0, to = size ? size - 1 : 0, last;
    *bad = false;
    if (!header || strncmp(header, "bytes=", 6) != 0 || strchr(header, ',')) return false;
    const char *range = header + 6, *dash = strchr(range, '-');
    if (!dash) return false;
    if (dash == range) { /* the last so many bytes */
        if (!number(dash + 1, strlen(dash + 1), &last)) return false;
        *bad = last == 0 || size == 0;
        from = last < size ? size - last : 0;
    } else {
        if (!number(range, (size_t)(dash - range), &from)) return false;
        if (dash[1] && !number(dash + 1, strlen(dash + 1), &last)) return false;
        if (dash[1] && last < to) to = last;
        *bad = from >= size;
        if (!*bad && dash[1] && last < from) return false;
    }
    if (*bad) return false;
    *first = from;
    *length = to - from + 1;
    return true;
}

/* --- one file ------------------------------------------------------------- */

typedef struct answer {
    int fd;
    uint64_t size;
    char etag[96];
    const char *type, *cache;
} answer;

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {{".json", "application/json"},
                                           {".html", "text/html; charset=utf-8"},
                                           {".txt", "text/plain; charset=utf-8"},
                                           {".minisig", "text/plain; charset=utf-8"},
                                           {".sha256", "text/plain; charset=utf-8"},
                                           {".toml", "text/plain; charset=utf-8"},
                                           {".metadata", "text/plain; charset=utf-8"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (iw_ends_with(path, types[i][0])) return types[i][1];
    return "application/octet-stream";
}

static bool open_file(const iw_server *server, const char *path, answer *out)
{
    struct stat status;
    const char *base = iw_path_base(path);
    if (iw_open_below(server->folder, path, &out->fd) != 0 || fstat(out->fd, &status) != 0)
        return false;
    bool blob = iw_is_sha256(base); /* named by what it holds: it never changes */
    out->size = (uint64_t)status.st_size;
    out->type = type_of(path);
    out->cache = blob ? "public, max-age=31536000, immutable" : "no-cache";
    if (blob) snprintf(out->etag, sizeof out->etag, "\"%s\"", base);
    else
        snprintf(out->etag, sizeof out->etag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%09ld\"",
                 (uint64_t)status.st_ino, out->size, (uint64_t)status.st_mtim.tv_sec,
                 status.st_mtim.tv_nsec);
    return true;
}

/* A folder's page: for pip as JSON, where it asks for that. */
static bool open_page(const iw_server *server, const char *folder, const char *accept, answer *out)
{
    iw_cleanup_free char *json = iw_format("%sindex.json", folder),
                         *html = iw_format("%sindex.html", folder);
    if (accept && strstr(accept, SIMPLE_JSON) && open_file(server, json, out)) {
        out->type = SIMPLE_JSON;
        return true;
    }
    return open_file(server, html, out);
}

static bool find(const iw_server *server, const char *url, const char *accept, answer *out)
{
    const char *path = url + (*url == '/');
    size_t length = strlen(path);
    *out = (answer){.fd = -1};
    return length == 0 || path[length - 1] == '/' ? open_page(server, path, accept, out)
                                                  : open_file(server, path, out);
}

/* --- answering ------------------------------------------------------------ */

static enum MHD_Result plain(struct MHD_Connection *connection, unsigned status, const char *name,
                             const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (name) MHD_add_response_header(response, name, value);
    enum MHD_Result done = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return done;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result send_file(struct MHD_Connection *connection, answer *a, unsigned *status)
{
    const char *same = header(connection, "If-Range"), *range = header(connection, "Range"),
               *none = header(connection, "If-None-Match");
    uint64_t first = 0, length = a->size;
    bool bad = false, part = false;
    char text[96];
    if (none && strcmp(none, a->etag) == 0) {
        *status = MHD_HTTP_NOT_MODIFIED;
        return plain(connection, *status, "ETag", a->etag);
    }
    if (!same || strcmp(same, a->etag) == 0)
        part = iw_serve_range(range, a->size, &first, &length, &bad);
    if (bad) {
        snprintf(text, sizeof text, "bytes */%" PRIu64, a->size);
        *status = MHD_HTTP_RANGE_NOT_SATISFIABLE;
        return plain(connection, *status, "Content-Range", text);
    }
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64(length, iw_steal_fd(&a->fd), first);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", a->type);
    MHD_add_response_header(response, "Cache-Control", a->cache);
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    MHD_add_response_header(response, "ETag", a->etag);
    if (part) {
        snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                 first + length - 1, a->size);
        MHD_add_response_header(response, "Content-Range", text);
    }
    *status = part ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK;
    enum MHD_Result done = MHD_queue_response(connection, *status, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    (void)version, (void)upload;
    static int seen;
    iw_server *server = context;
    if (!*state) { /* headers are there, a body isn't */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    answer a = {.fd = -1};
    unsigned status = MHD_HTTP_NOT_FOUND;
    enum MHD_Result done;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        done = plain(connection, status = MHD_HTTP_METHOD_NOT_ALLOWED, "Allow", "GET, HEAD");
    else if (find(server, url, header(connection, "Accept"), &a))
        done = send_file(connection, &a, &status);
    else done = plain(connection, status, NULL, NULL);
    iw_close_fd(&a.fd);
    if (server->options.served)
        server->options.served(server->options.context, method, url, status);
    return done;
}

/* --- starting ------------------------------------------------------------- */

static int listen_at(iw_server *server, const struct sockaddr_in *address, iw_error *err)
{
    server->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, on_request,
                         server, MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)address,
                         MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_CONNECTION_LIMIT,
                         CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, EACH,
                         MHD_OPTION_CONNECTION_TIMEOUT, SECONDS, MHD_OPTION_END);
    if (server->daemon) return 0;
    return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't listen at port %u",
                         ntohs(address->sin_port));
}

int iw_serve_start(const iw_serve_options *options, iw_server **out, uint16_t *port, iw_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    const char *at = options->address ? options->address : "127.0.0.1";
    struct stat status;
    *out = NULL;
    if (inet_pton(AF_INET, at, &address.sin_addr) != 1)
        return iw_fail(err, IW_E_USAGE, "\"%s\" is no address to listen at (as 127.0.0.1, 0.0.0.0)",
                       at);
    if (stat(options->folder, &status) != 0 || !S_ISDIR(status.st_mode))
        return iw_fail(err, IW_E_ENVIRONMENT, "%s is no folder", options->folder);
    iw_server *server = iw_alloc(sizeof *server);
    server->options = *options;
    server->folder = iw_strdup(options->folder);
    if (listen_at(server, &address, err) != 0) {
        iw_serve_stop(server);
        return -1;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    *port = info ? info->port : options->port;
    *out = server;
    return 0;
}

void iw_serve_stop(iw_server *server)
{
    if (!server) return;
    if (server->daemon) MHD_stop_daemon(server->daemon);
    free(server->folder);
    free(server);
}
