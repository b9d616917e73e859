#include "fetch/transfer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "fetch/pieces.h"

#define TRIES 5           /* per address */
#define STALL_SECONDS 60u /* nothing, or below 100 bytes a second for so long: try again */
#define GUARD_TEXT "it redirects to an address of this host or its network, which was not followed"
#define PROGRESS_MS 200
#define PROGRESS_BYTES 65536 /* a try that brought so many counts as the first one */

/* One transfer under way, or waiting for its next try. */
typedef struct active {
    iw_transfer *transfer;
    const iw_transfer_options *options;
    CURL *easy;
    struct curl_slist *headers;
    int fd;
    iw_hash *hash;
    size_t url;         /* which of the addresses */
    unsigned tries;     /* of that address */
    double not_before;  /* monotonic seconds */
    uint64_t start;     /* offset that this try was asked from */
    uint64_t sent_from; /* what the answer's Content-Range says */
    double retry_after; /* what the server asked for; 0: nothing */
    uint64_t offset;    /* bytes in the part file, all hashed */
    iw_piecewise pieces;
    bool unwanted; /* nobody waits for the rest any more */
    bool checked;  /* the answer's status was looked at */
    bool headed;   /* its headers came whole */
    bool finished, running;
    bool ranged, mended; /* this try asked for a range; it was begun anew for a wrong digest */
    char *validator;     /* strong ETag or Last-Modified of what the part file holds */
    char *new_validator;
    iw_buffer failures;     /* one line per failed address */
    double reported, heard; /* when progress was told, and when something came */
    char why[CURL_ERROR_SIZE];
    bool too_large, no_space;
    bool failed_otherwise; /* than by an answer that it isn't there */
    iw_transfer_guard guard;
} active;

void iw_transfer_clear(iw_transfer *transfer)
{
    free(transfer->label);
    free(transfer->part);
    iw_strings_free(&transfer->urls);
    iw_error_clear(&transfer->err);
    memset(transfer, 0, sizeof *transfer);
}

/* --- the part file and its side file -------------------------------------- */

static char *side_path(const active *one)
{
    return iw_format("%s.from", one->transfer->part);
}

/* The side file holds the address and the validator of what the part file has, so that a later run
 * can continue it. */
static void read_side(active *one)
{
    iw_cleanup_free char *path = side_path(one);
    iw_cleanup_free char *text = NULL;
    free(one->validator);
    one->validator = NULL;
    if (iw_read_file(path, 65536, &text, NULL, NULL) != 0) return;
    char *newline = strchr(text, '\n');
    if (!newline) return;
    *newline = 0;
    char *end = strchr(newline + 1, '\n');
    iw_cleanup_free char *shown = iw_transfer_shown(one->transfer->urls.items[one->url]);
    if (!end || strcmp(text, shown) != 0) return;
    *end = 0;
    one->validator = iw_strdup(newline + 1);
}

static void write_side(active *one)
{
    iw_cleanup_free char *path = side_path(one);
    unlink(path);
    if (!one->new_validator) return;
    iw_cleanup_free char *shown = iw_transfer_shown(one->transfer->urls.items[one->url]),
                         *text = iw_format("%s\n%s\n", shown, one->new_validator);
    (void)!iw_write_file(path, text, strlen(text), 0644, NULL);
}

static void tell_verified(active *one, uint64_t before)
{
    const iw_transfer *t = one->transfer;
    if (t->verified && one->pieces.good != before && !t->verified(t->context, one->pieces.good))
        one->unwanted = true;
}

/* What has come of it. */
static void look_at(active *one, const void *data, size_t length)
{
    iw_hash_add(one->hash, data, length);
    one->offset += length;
    uint64_t before = one->pieces.good;
    if (!one->transfer->pieces) return;
    iw_piecewise_add(&one->pieces, data, length);
    tell_verified(one, before);
}

static int start_over(active *one)
{
    uint64_t before = one->pieces.good;
    iw_piecewise_restart(&one->pieces);
    tell_verified(one, before);
    iw_hash_free(one->hash);
    one->hash = iw_hash_new();
    one->offset = 0;
    iw_cleanup_free char *side = side_path(one);
    unlink(side);
    return ftruncate(one->fd, 0) == 0 && lseek(one->fd, 0, SEEK_SET) == 0 ? 0 : -1;
}

/* Opens the part file and hashes what an earlier run left. */
static int adopt_part(active *one, iw_error *err)
{
    one->fd = open(one->transfer->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (one->fd < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", one->transfer->part);
    one->hash = iw_hash_new();
    char buffer[65536];
    ssize_t got;
    while ((got = read(one->fd, buffer, sizeof buffer)) > 0) look_at(one, buffer, (size_t)got);
    if (got == 0 && one->pieces.wrong) got = start_over(one);
    return got == 0 ? 0 : iw_fail_errno(err, IW_E_IO, "can't read %s", one->transfer->part);
}

/* --- curl's callbacks ----------------------------------------------------- */

static void report(active *one, bool always)
{
    double time = iw_now();
    if (!always && time - one->reported < PROGRESS_MS / 1000.0) return;
    one->reported = time;
    curl_off_t length = -1;
    curl_easy_getinfo(one->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t total = one->transfer->size;
    if (!total && length > 0) total = (uint64_t)length + one->start;
    iw_emit(one->options->sink, (iw_event){.type = IW_EVENT_PROGRESS,
                                           .subject = one->transfer->label,
                                           .phase = "fetch",
                                           .unit = "B",
                                           .count = one->offset,
                                           .total = total});
}

static uint64_t limit_of(const active *one)
{
    return one->transfer->size ? one->transfer->size : IW_TRANSFER_LIMIT;
}

/* A 200 answer to a Range request sends the file from its start. A 206 that starts elsewhere than
 * was asked for is no use. */
static bool check_status(active *one)
{
    long status = 0;
    one->checked = true;
    curl_easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 206 && one->ranged && one->sent_from == one->offset) return true;
    if (start_over(one) != 0 || status == 206) return false;
    one->start = 0;
    write_side(one);
    return true;
}

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    active *one = context;
    size_t length = size * count;
    one->heard = iw_now();
    if (!one->checked && !check_status(one)) return 0;
    if (one->offset + length > limit_of(one)) {
        one->too_large = true;
        return 0;
    }
    if (iw_write_all(one->fd, data, length, one->transfer->part, NULL) != 0) {
        one->no_space = errno == ENOSPC || errno == EDQUOT;
        return 0;
    }
    look_at(one, data, length);
    report(one, false);
    return one->pieces.wrong || one->unwanted ? 0 : length;
}

static void take_header(char **out, const char *line, size_t length, size_t name)
{
    iw_slice value = iw_slice_trim((iw_slice){line + name, length - name});
    if (value.length == 0 || value.length > 1000) return;
    free(*out);
    *out = iw_strndup(value.data, value.length);
}

void iw_transfer_see_header(const char *line, size_t length, bool *whole)
{
    if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0) *whole = false;
    else if (length && length <= 2 && line[length - 1] == '\n') *whole = true;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    active *one = context;
    size_t length = size * count;
    one->heard = iw_now();
    iw_transfer_see_header(line, length, &one->headed);
    if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* a new answer, as after a redirect */
        free(one->new_validator);
        one->new_validator = NULL;
        one->retry_after = 0;
        one->sent_from = UINT64_MAX;
    } else if (length > 14 && strncasecmp(line, "Content-Range:", 14) == 0) {
        iw_cleanup_free char *text = iw_strndup(line + 14, length - 14); /* "bytes 5-9/10" */
        unsigned long long from;
        if (sscanf(text, " bytes %llu-", &from) == 1) one->sent_from = from;
    } else if (length > 5 && strncasecmp(line, "ETag:", 5) == 0) {
        char *tag = NULL;
        take_header(&tag, line, length, 5);
        if (tag && tag[0] == '"') { /* a weak one says nothing about bytes */
            free(one->new_validator);
            one->new_validator = iw_steal(&tag);
        }
        free(tag);
    } else if (length > 14 && strncasecmp(line, "Last-Modified:", 14) == 0 && !one->new_validator) {
        take_header(&one->new_validator, line, length, 14);
    } else if (length > 12 && strncasecmp(line, "Retry-After:", 12) == 0) {
        char *text = NULL;
        uint64_t seconds;
        take_header(&text, line, length, 12);
        if (text && iw_parse_unsigned(text, 300, &seconds)) one->retry_after = (double)seconds;
        free(text);
    }
    return length;
}

char *iw_transfer_shown(const char *url)
{
    const char *host = strstr(url, "://");
    size_t length = host ? strcspn(host + 3, "/?#") : 0;
    const char *at = host ? memrchr(host + 3, '@', length) : NULL;
    return at ? iw_format("%.*s%s", (int)(host + 3 - url), url, at + 1) : iw_strdup(url);
}

/* --- one try -------------------------------------------------------------- */

/* Loopback, link-local, and what only a home or a company knows (RFC 1918, RFC 4193, RFC 6598). */
static bool is_private(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (strncmp(address, "::ffff:", 7) == 0) address += 7;
    if (inet_pton(AF_INET, address, &four) == 1) {
        uint32_t a = ntohl(four.s_addr);
        return a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 || a >> 20 == (172u << 4 | 1) ||
               a >> 16 == (192u << 8 | 168) || a >> 16 == (169u << 8 | 254) ||
               a >> 22 == (100u << 2 | 1);
    }
    return inet_pton(AF_INET6, address, &six) != 1 || IN6_IS_ADDR_LOOPBACK(&six) ||
           IN6_IS_ADDR_UNSPECIFIED(&six) || IN6_IS_ADDR_LINKLOCAL(&six) ||
           (six.s6_addr[0] & 0xfe) == 0xfc;
}

static bool is_of_this_host(const char *address)
{
    static const char *const those[] = {"127.", "0.", "169.254.", "::", "fe80:"};
    for (size_t i = 0; i < sizeof those / sizeof *those; i++)
        if (iw_starts_with(address, those[i])) return true;
    return false;
}

/* A host of a home or company may send on to another one there, where it said so by itself and not
 * by a redirect: a registry and its token service. */
static bool leads_inside(const iw_transfer_guard *guard, const char *address)
{
    if (strcmp(guard->first, address) == 0 || !is_private(address)) return false;
    return !guard->known || !is_private(guard->first) || is_of_this_host(guard->first) ||
           is_of_this_host(address);
}

#if LIBCURL_VERSION_NUM >= 0x075000
static int on_connected(void *context, char *address, char *local, int port, int local_port)
{
    (void)local, (void)port, (void)local_port;
    iw_transfer_guard *guard = context;
    if (!guard->first[0]) snprintf(guard->first, sizeof guard->first, "%s", address);
    guard->refused = leads_inside(guard, address);
    return guard->refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

void iw_transfer_watch(void *easy, iw_transfer_guard *guard, const char *from)
{
    *guard = (iw_transfer_guard){.known = from};
    if (from) snprintf(guard->first, sizeof guard->first, "%s", from);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, guard);
}
#else
/* Before 7.80 a connection can only be looked at before it is made: of the first host's addresses,
 * the last that was tried is the one that answered. */
static curl_socket_t on_connect(void *context, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    iw_transfer_guard *guard = context;
    char address[INET6_ADDRSTRLEN] = "";
    long redirects = 0;
    const void *bytes = to->family == AF_INET
                            ? (const void *)&((struct sockaddr_in *)&to->addr)->sin_addr
                            : (const void *)&((struct sockaddr_in6 *)&to->addr)->sin6_addr;
    inet_ntop(to->family, bytes, address, sizeof address);
    curl_easy_getinfo(guard->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    if (redirects == 0 && !guard->known) snprintf(guard->first, sizeof guard->first, "%s", address);
    guard->refused = leads_inside(guard, address);
    return guard->refused ? CURL_SOCKET_BAD
                          : socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

void iw_transfer_watch(void *easy, iw_transfer_guard *guard, const char *from)
{
    *guard = (iw_transfer_guard){.easy = easy, .known = from};
    if (from) snprintf(guard->first, sizeof guard->first, "%s", from);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_connect);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, guard);
}
#endif

/* Only http and https, and from https only to https. */
static void set_protocols(CURL *easy, bool secure)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
    long http = secure ? 0 : CURLPROTO_HTTP;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, http | CURLPROTO_HTTPS);
#endif
}

void iw_transfer_prepare(void *easy, const char *url, const iw_transfer_options *options)
{
    curl_easy_setopt(easy, CURLOPT_URL, url);
    set_protocols(easy, iw_starts_with(url, "https:"));
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT,
                     options->stall && options->stall < 30 ? (long)options->stall : 30L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 100L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     options->stall ? (long)options->stall : (long)STALL_SECONDS);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ironwheel");
    const char *certificates =
        options->certificates ? options->certificates : getenv("SSL_CERT_FILE");
    if (certificates && *certificates) curl_easy_setopt(easy, CURLOPT_CAINFO, certificates);
}

static void add_header(active *one, const char *line)
{
    one->headers = curl_slist_append(one->headers, line);
}

/* Without a validator the part file stays as it is until an answer brings data: another address may
 * continue it. */
static void set_headers(active *one)
{
    curl_slist_free_all(one->headers);
    one->headers = NULL;
    one->ranged = one->offset && (one->validator || one->transfer->named);
    if (one->ranged) {
        iw_cleanup_free char *range =
            iw_format("Range: bytes=%llu-", (unsigned long long)one->offset);
        add_header(one, range);
    }
    if (one->ranged && !one->transfer->named) {
        iw_cleanup_free char *same = iw_format("If-Range: %s", one->validator);
        add_header(one, same);
    }
    if (one->transfer->authorization) add_header(one, one->transfer->authorization);
}

static int begin(active *one, CURLM *multi)
{
    const char *url = one->transfer->urls.items[one->url];
    if (one->easy) curl_easy_reset(one->easy);
    else one->easy = curl_easy_init();
    if (!one->easy) return iw_fail(&one->transfer->err, IW_E_MEMORY, "no memory for a download");
    read_side(one);
    iw_transfer_prepare(one->easy, url, one->options);
    iw_transfer_watch(one->easy, &one->guard, NULL);
    set_headers(one);
    if (one->headers) curl_easy_setopt(one->easy, CURLOPT_HTTPHEADER, one->headers);
    curl_easy_setopt(one->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(one->easy, CURLOPT_WRITEDATA, one);
    curl_easy_setopt(one->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(one->easy, CURLOPT_HEADERDATA, one);
    curl_easy_setopt(one->easy, CURLOPT_ERRORBUFFER, one->why);
    curl_easy_setopt(one->easy, CURLOPT_PRIVATE, one);
    one->start = one->ranged ? one->offset : 0;
    one->checked = one->headed = one->too_large = one->no_space = false;
    one->why[0] = 0;
    one->heard = iw_now();
    one->running = true;
    one->tries++;
    curl_multi_add_handle(multi, one->easy);
    return 0;
}

/* --- how it ended --------------------------------------------------------- */

static void give_up(active *one)
{
    one->finished = true;
    iw_fail(&one->transfer->err, one->failed_otherwise ? IW_E_NETWORK : IW_E_NOT_FOUND,
            "%s could not be fetched:\n%s", one->transfer->label,
            one->failures.data ? one->failures.data : "");
    if (one->transfer->quiet) return;
    iw_emit(one->options->sink, (iw_event){.type = IW_EVENT_FAILED,
                                           .subject = one->transfer->label,
                                           .phase = "fetch",
                                           .detail = one->transfer->err.message});
}

/* The next address, or the end. The part file stays: it is continued only from the address and
 * validator in its side file. */
static void next_address(active *one, const char *why, bool is_gone)
{
    one->failed_otherwise = one->failed_otherwise || !is_gone;
    iw_cleanup_free char *shown = iw_transfer_shown(one->transfer->urls.items[one->url]);
    iw_buffer_add_format(&one->failures, "  %s: %s\n", shown, why);
    one->tries = 0;
    one->not_before = 0;
    if (++one->url >= one->transfer->urls.count) give_up(one);
}

static void fail_for_digest(active *one, const char *why)
{
    (void)!start_over(one);
    if (one->start && one->transfer->named && !one->mended) { /* what was there may be wrong */
        one->mended = true;
        return;
    }
    next_address(one, why, false);
    if (one->finished) one->transfer->err.kind = IW_E_DIGEST;
}

/* A piece in the middle was wrong: the rest isn't asked for. */
static void fail_for_piece(active *one)
{
    iw_cleanup_free char *why =
        iw_format("its SHA-256 is wrong from byte %llu on, of %llu; it is not used",
                  (unsigned long long)one->pieces.good, (unsigned long long)one->transfer->size);
    fail_for_digest(one, why);
}

static void succeed(active *one)
{
    char digest[IW_SHA256_HEX];
    iw_hash_finish(one->hash, digest);
    if (strcmp(digest, one->transfer->sha256) != 0) {
        iw_cleanup_free char *why =
            iw_format("its SHA-256 is %s, but %s is wanted (%llu bytes); it is not used", digest,
                      one->transfer->sha256, (unsigned long long)one->offset);
        fail_for_digest(one, why);
        return;
    }
    iw_cleanup_free char *side = side_path(one);
    unlink(side);
    one->transfer->done = one->finished = true;
    iw_emit(one->options->sink, (iw_event){.type = IW_EVENT_FINISHED,
                                           .subject = one->transfer->label,
                                           .phase = "fetch",
                                           .detail = "fetched",
                                           .count = one->offset,
                                           .unit = "B"});
}

static void fail_for_space(active *one)
{
    one->finished = true;
    iw_fail(&one->transfer->err, IW_E_IO,
            "no space left for %s at %s; make room, then run the same command again: what was "
            "downloaded is kept",
            one->transfer->label, one->transfer->part);
}

bool iw_transfer_may_pass(int code, long status)
{
    if (code == CURLE_HTTP_RETURNED_ERROR) return status == 408 || status == 429 || status >= 500;
    return code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT &&
           code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_TOO_MANY_REDIRECTS &&
           code != CURLE_COULDNT_RESOLVE_PROXY && code != CURLE_ABORTED_BY_CALLBACK;
}

static double backoff(const active *one)
{
    double base = one->options->backoff > 0 ? one->options->backoff : 1,
           wait = base * (double)(1u << (one->tries - 1));
    wait *= 0.75 + 0.5 * (double)(iw_now_ms() % 1000) /
                       1000; /* so that many clients don't come back at once */
    return one->retry_after > wait ? one->retry_after : wait;
}

static void ended(active *one, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
    one->running = false;
    if (code == CURLE_OK && !one->headed) code = CURLE_PARTIAL_FILE;
    one->transfer->status = status >= 400 ? status : 0;
    if (code == CURLE_OK && !one->checked) (void)!check_status(one); /* an empty file */
    if (code == CURLE_OK) {
        succeed(one);
        return;
    }
    if (one->no_space) {
        fail_for_space(one);
        return;
    }
    if (one->unwanted) {
        one->finished = true;
        iw_fail(&one->transfer->err, IW_E_CANCELLED, "the rest of %s isn't wanted any more",
                one->transfer->label);
        return;
    }
    if (one->pieces.wrong) {
        fail_for_piece(one);
        return;
    }
    iw_cleanup_free char *why =
        one->too_large       ? iw_format("it sends more than the %llu bytes expected",
                                         (unsigned long long)limit_of(one))
        : one->guard.refused ? iw_strdup(GUARD_TEXT)
        : status >= 400      ? iw_format("the server answers %ld", status)
                             : iw_strdup(one->why[0] ? one->why : curl_easy_strerror(code));
    if (one->checked && one->offset >= one->start + PROGRESS_BYTES)
        one->tries = 1; /* a line that breaks often still gets on */
    unsigned tries = one->options->tries ? one->options->tries : TRIES;
    if (status == 416 || one->too_large) (void)!start_over(one);
    if (one->too_large || !(iw_transfer_may_pass((int)code, status) || status == 416) ||
        one->tries >= tries)
        next_address(one, why, status == 404 || status == 410);
    else one->not_before = iw_now() + backoff(one);
}

/* --- all of them ---------------------------------------------------------- */

bool iw_transfer_cancelled(const iw_transfer_options *options)
{
    struct pollfd polled = {options->cancel, POLLIN, 0};
    return options->cancel >= 0 && poll(&polled, 1, 0) > 0;
}

/* A path on this host, as in a mirror folder: a plain file of the right size at most. */
static const char *copy_bytes(active *one, const char *path)
{
    iw_cleanup_fd int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (in < 0 || fstat(in, &status) != 0) return strerror(errno);
    if (!S_ISREG(status.st_mode)) return "it is no plain file";
    if ((uint64_t)status.st_size > limit_of(one)) return "it is larger than expected";
    if (start_over(one) != 0) return "the file for it can't be written";
    char buffer[65536];
    ssize_t got;
    while ((got = read(in, buffer, sizeof buffer)) > 0) {
        if (one->offset + (uint64_t)got > limit_of(one)) return "it is larger than expected";
        if (iw_write_all(one->fd, buffer, (size_t)got, one->transfer->part, NULL) != 0) {
            one->no_space = errno == ENOSPC || errno == EDQUOT;
            return "the file for it can't be written";
        }
        look_at(one, buffer, (size_t)got);
    }
    return got == 0 ? NULL : strerror(errno);
}

static void copy_local(active *one)
{
    one->no_space = false;
    const char *why = copy_bytes(one, one->transfer->urls.items[one->url]);
    if (!why) succeed(one);
    else if (one->no_space) fail_for_space(one);
    else next_address(one, why, false);
}

/* Starts what may start; returns how many run. */
static unsigned start_some(active *all, size_t count, CURLM *multi, unsigned parallel,
                           double *soonest)
{
    unsigned running = 0;
    *soonest = 1e30;
    for (size_t i = 0; i < count; i++) running += all[i].running;
    for (size_t i = 0; i < count && running < parallel; i++) {
        active *one = &all[i];
        while (!one->finished && !one->running && one->transfer->urls.items[one->url][0] == '/')
            copy_local(one);
        if (one->finished || one->running) continue;
        if (one->not_before > iw_now()) {
            if (one->not_before < *soonest) *soonest = one->not_before;
            continue;
        }
        if (begin(one, multi) != 0) one->finished = true;
        else running++;
    }
    return running;
}

static void say_silent(active *one, unsigned stall)
{
    snprintf(one->why, sizeof one->why, "nothing came from the server for %u seconds", stall);
}

static void collect(CURLM *multi, unsigned stall)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        active *one = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &one);
        curl_multi_remove_handle(multi, easy);
        /* curl's limit may come first where there was silence, too */
        if (code == CURLE_OPERATION_TIMEDOUT && iw_now() - one->heard > 0.9 * stall)
            say_silent(one, stall);
        ended(one, code);
    }
}

/* curl's own low-speed limit looks at an average: a burst keeps it quiet for long. */
static void leave_silent(active *all, size_t count, CURLM *multi, unsigned stall)
{
    for (size_t i = 0; i < count; i++) {
        active *one = &all[i];
        if (!one->running || iw_now() - one->heard < stall) continue;
        curl_multi_remove_handle(multi, one->easy);
        say_silent(one, stall);
        ended(one, CURLE_OPERATION_TIMEDOUT);
    }
}

static int loop(active *all, size_t count, CURLM *multi, const iw_transfer_options *options,
                iw_error *err)
{
    unsigned stall = options->stall ? options->stall : STALL_SECONDS;
    for (;;) {
        double soonest;
        unsigned running =
            start_some(all, count, multi, options->parallel ? options->parallel : 6, &soonest);
        bool open = false;
        for (size_t i = 0; i < count; i++) open = open || !all[i].finished;
        if (!open) return 0;
        double wait = running ? 1 : soonest - iw_now();
        struct curl_waitfd cancel = {options->cancel, CURL_WAIT_POLLIN, 0};
        int still = 0;
        curl_multi_perform(multi, &still);
        if (still || !running)
            curl_multi_poll(multi, &cancel, options->cancel >= 0 ? 1 : 0,
                            wait > 1   ? 1000
                            : wait > 0 ? (int)(wait * 1000) + 1
                                       : 1,
                            NULL);
        if (iw_transfer_cancelled(options))
            return iw_fail(
                err, IW_E_CANCELLED,
                "stopped while fetching; run the same command again: what was downloaded is kept");
        collect(multi, stall);
        leave_silent(all, count, multi, stall);
    }
}

static void active_free(active *one)
{
    if (one->easy) curl_easy_cleanup(one->easy);
    curl_slist_free_all(one->headers);
    if (one->fd >= 0) close(one->fd);
    if (one->fd >= 0 && !one->transfer->done && one->offset == 0)
        unlink(one->transfer->part); /* nothing came */
    iw_hash_free(one->hash);
    iw_piecewise_free(&one->pieces);
    free(one->validator);
    free(one->new_validator);
    iw_buffer_free(&one->failures);
}

int iw_transfer_all(iw_transfer *transfers, size_t count, const iw_transfer_options *options,
                    iw_error *err)
{
    if (count == 0) return 0;
    CURLM *multi = curl_multi_init();
    if (!multi) return iw_fail(err, IW_E_ENVIRONMENT, "libcurl can't start");
    active *all = iw_alloc(count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        all[i] = (active){.transfer = &transfers[i],
                          .options = options,
                          .fd = -1,
                          .pieces = {.digests = transfers[i].pieces,
                                     .piece = transfers[i].piece,
                                     .size = transfers[i].size}};
        if (transfers[i].urls.count == 0) {
            iw_fail(&transfers[i].err, IW_E_NETWORK, "%s: no address is known for it",
                    transfers[i].label);
            all[i].finished = true;
        } else if (adopt_part(&all[i], &transfers[i].err) != 0) {
            all[i].finished = true;
        } else {
            iw_emit(options->sink, (iw_event){.type = IW_EVENT_STARTED,
                                              .subject = transfers[i].label,
                                              .phase = "fetch",
                                              .unit = "B",
                                              .total = transfers[i].size});
        }
    }
    int status = loop(all, count, multi, options, err);
    for (size_t i = 0; i < count; i++) {
        if (all[i].running) curl_multi_remove_handle(multi, all[i].easy);
        active_free(&all[i]);
    }
    free(all);
    curl_multi_cleanup(multi);
    return status;
}

/* --- pages ---------------------------------------------------------------- */

struct page {
    iw_buffer text;
    size_t limit;
    bool over, headed;
    iw_transfer_guard guard;
};

/* Ctrl-C while a page is under way. */
static int on_page_progress(void *context, curl_off_t total, curl_off_t now_, curl_off_t up_total,
                            curl_off_t up)
{
    (void)total, (void)now_, (void)up_total, (void)up;
    return iw_transfer_cancelled(context);
}

static size_t on_page(char *data, size_t size, size_t count, void *context)
{
    struct page *page = context;
    size_t length = size * count;
    page->over = page->text.length + length > page->limit;
    if (page->over) return 0;
    iw_buffer_add(&page->text, data, length);
    return length;
}

static size_t on_page_header(char *line, size_t size, size_t count, void *context)
{
    struct page *page = context;
    iw_transfer_see_header(line, size * count, &page->headed);
    return size * count;
}

static int page_error(const char *url, CURL *easy, CURLcode code, const struct page *page,
                      const char *why, iw_error *err)
{
    iw_cleanup_free char *shown = iw_transfer_shown(url);
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return iw_fail(err, IW_E_CANCELLED, "stopped while fetching %s", shown);
    if (page->over)
        return iw_fail(err, IW_E_NETWORK, "%s sends more than %zu bytes", shown, page->limit);
    if (status == 404 || status == 410)
        return iw_fail(err, IW_E_NOT_FOUND, "%s: the server answers %ld (not found)", shown,
                       status);
    if (status >= 400)
        return iw_fail(err, IW_E_NETWORK, "%s: the server answers %ld", shown, status);
    if (page->guard.refused) return iw_fail(err, IW_E_NETWORK, "%s: %s", shown, GUARD_TEXT);
    return iw_fail(err, IW_E_NETWORK, "%s: %s", shown, *why ? why : curl_easy_strerror(code));
}

int iw_transfer_page(const char *url, const char *accept, size_t limit,
                     const iw_transfer_options *options, char **out, size_t *length, char **type,
                     char **final_url, iw_error *err)
{
    *out = NULL;
    CURL *easy = curl_easy_init();
    if (!easy) return iw_fail(err, IW_E_ENVIRONMENT, "libcurl can't start");
    char why[CURL_ERROR_SIZE] = "";
    struct page page = {.limit = limit};
    struct curl_slist *headers = NULL;
    iw_cleanup_free char *accepted = accept ? iw_format("Accept: %s", accept) : NULL;
    if (accepted) headers = curl_slist_append(NULL, accepted);
    CURLcode code = CURLE_OK;
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        curl_easy_reset(easy);
        iw_transfer_prepare(easy, url, options);
        iw_transfer_watch(easy, &page.guard, NULL);
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
        if (headers) curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_page);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &page);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_page_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, &page);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
        curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_page_progress);
        curl_easy_setopt(easy, CURLOPT_XFERINFODATA, options);
        iw_buffer_clear(&page.text);
        page.headed = false;
        code = curl_easy_perform(easy);
        if (code == CURLE_OK && !page.headed) code = CURLE_PARTIAL_FILE;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (code == CURLE_OK || page.over || !iw_transfer_may_pass((int)code, status) ||
            iw_transfer_cancelled(options))
            break;
        double wait = (options->backoff > 0 ? options->backoff : 1) * (double)(1u << attempt);
        struct pollfd polled = {options->cancel, POLLIN, 0};
        (void)!poll(&polled, 1, (int)(wait * 1000));
    }
    int status = 0;
    if (code != CURLE_OK) {
        status = page_error(url, easy, code, &page, why, err);
    } else {
        char *text = NULL;
        if (type) {
            curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &text);
            *type = iw_strdup(text ? text : "");
        }
        if (final_url) {
            curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text);
            *final_url = iw_strdup(text ? text : url);
        }
        if (length) *length = page.text.length;
        *out = iw_buffer_take(&page.text);
    }
    iw_buffer_free(&page.text);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return status;
}
