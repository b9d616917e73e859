#include "share/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"
#include "share/oci.h"

#define HOPS 8    /* redirects */
#define EARLY 5.0 /* seconds before its end a token is replaced */
#define HEADER_LIMIT 8192u

/* --- addresses ------------------------------------------------------------ */

int iw_registry_open(iw_registry *r, iw_remote *remote, const char *address, bool plain,
                     iw_error *err)
{
    r->remote = remote;
    if (iw_oci_address(address, &r->host, &r->name, err) != 0) return -1;
    r->plain = plain || iw_oci_is_loopback(r->host);
    r->origin = iw_format("%s://%s", r->plain ? "http" : "https", r->host);
    return iw_http_open(&r->http, remote, err);
}

static void forget_token(iw_registry *r)
{
    iw_wipe(&r->authorization);
    r->good_until = 0;
}

void iw_registry_close(iw_registry *r)
{
    iw_http_close(&r->http);
    forget_token(r);
    iw_credentials_clear(&r->credentials);
    iw_challenge_clear(&r->challenge);
    iw_strings_free(&r->held);
    free(r->host), free(r->name), free(r->origin);
}

char *iw_registry_url(const iw_registry *r, const char *path)
{
    return iw_format("%s/v2/%s/%s", r->origin, r->name, path);
}

/* "scheme://host:port" of an address, or NULL; caller frees. */
static char *origin_of(const char *url)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *out = NULL;
    if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        out = iw_format("%s://%s:%s", scheme, host, port);
    for (char *c = out; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + 'a' - 'A');
    curl_free(scheme), curl_free(host), curl_free(port);
    curl_url_cleanup(u);
    return out;
}

static bool is_own(const iw_registry *r, const char *url)
{
    iw_cleanup_free char *there = origin_of(url), *here = origin_of(r->origin);
    return there && here && strcmp(there, here) == 0;
}

/* Encrypted, or not leaving this machine. */
static bool is_private_way(const iw_registry *r, const char *url)
{
    const char *rest = strstr(url, "://");
    iw_cleanup_free char *host = rest ? iw_strndup(rest + 3, strcspn(rest + 3, "/?#")) : NULL;
    return iw_starts_with(url, "https://") ||
           (host && iw_oci_is_loopback(host) && iw_oci_is_loopback(r->host));
}

/* A Location against the address that it came from; NULL for what isn't http, or isn't encrypted
 * where that was. Caller frees. */
static char *resolve(const char *base, const char *location)
{
    CURLU *u = curl_url();
    char *url = NULL, *out = NULL;
    if (curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK &&
        (iw_starts_with(url, "https://") ||
         (iw_starts_with(url, "http://") && iw_starts_with(base, "http://"))))
        out = iw_strdup(url);
    curl_free(url);
    curl_url_cleanup(u);
    return out;
}

/* --- one exchange --------------------------------------------------------- */

typedef struct taking {
    iw_reply *reply;
    iw_challenge challenge;
} taking;

void iw_reply_clear(iw_reply *reply)
{
    iw_buffer_free(&reply->body);
    free(reply->location), free(reply->range), free(reply->digest);
    *reply = (iw_reply){.status = 0};
}

static bool header_is(const char *line, size_t length, const char *name, iw_slice *value)
{
    size_t n = strlen(name);
    if (length <= n || strncasecmp(line, name, n) != 0 || line[n] != ':') return false;
    *value = iw_slice_trim((iw_slice){line + n + 1, length - n - 1});
    return value->length > 0 && value->length < HEADER_LIMIT;
}

static void take(char **out, iw_slice value)
{
    free(*out);
    *out = iw_strndup(value.data, value.length);
}

static void take_number(uint64_t *out, iw_slice value)
{
    iw_cleanup_free char *text = iw_strndup(value.data, value.length);
    if (!iw_parse_unsigned(text, INT64_MAX, out)) *out = 0;
}

static void on_header(void *context, const char *line, size_t length)
{
    taking *t = context;
    iw_slice value;
    if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* after "100 Continue", another */
        iw_reply_clear(t->reply);
        iw_challenge_clear(&t->challenge);
    } else if (header_is(line, length, "Location", &value)) take(&t->reply->location, value);
    else if (header_is(line, length, "Range", &value)) take(&t->reply->range, value);
    else if (header_is(line, length, "Docker-Content-Digest", &value))
        take(&t->reply->digest, value);
    else if (header_is(line, length, "OCI-Chunk-Min-Length", &value))
        take_number(&t->reply->chunk, value);
    else if (header_is(line, length, "Content-Length", &value))
        take_number(&t->reply->length, value);
    else if (header_is(line, length, "OCI-Subject", &value)) t->reply->subject = true;
    else if (header_is(line, length, "WWW-Authenticate", &value))
        iw_challenge_read(&t->challenge, value.data, value.length);
}

static struct curl_slist *add(struct curl_slist *list, const char *name, const char *value)
{
    iw_cleanup_free char *line = value ? iw_format("%s: %s", name, value) : NULL;
    return line ? curl_slist_append(list, line) : list;
}

static struct curl_slist *headers_of(const iw_registry *r, const iw_registry_request *q, bool own)
{
    struct curl_slist *list = add(NULL, "Accept", q->accept);
    list = add(list, "Content-Type", q->type);
    list = add(list, "Content-Range", q->content_range);
    if (own && r->authorization) list = curl_slist_append(list, r->authorization);
    return list;
}

/* Progress is told of what is large; the caller's label is what it is. */
static int exchange(iw_registry *r, const iw_registry_request *q, const char *url, iw_reply *reply,
                    iw_error *err)
{
    bool own = is_own(r, url);
    taking t = {.reply = reply};
    iw_http_request h = {.method = q->method,
                         .range = q->range,
                         .data = q->data,
                         .length = q->length,
                         .file = q->data ? -1 : q->file,
                         .file_from = q->file_from,
                         .file_length = q->file_length,
                         .file_size = q->file_size,
                         .label = q->label,
                         .head = q->method && strcmp(q->method, "HEAD") == 0,
                         .plain = true,
                         .once = q->once,
                         .from = own || !r->address[0] ? NULL : r->address,
                         .limit = q->limit ? q->limit : IW_HTTP_ANSWER,
                         .header = on_header,
                         .context = &t};
    iw_reply_clear(reply);
    h.headers = headers_of(r, q, own);
    CURLcode code = iw_http_send(&r->http, r->remote, url, &h);
    curl_slist_free_all(h.headers);
    reply->status = h.status;
    reply->body = h.answer;
    reply->from_other = !own;
    reply->over = h.over;
    if (own) snprintf(r->address, sizeof r->address, "%s", r->http.first);
    if (own && h.status == 401) {
        iw_challenge_clear(&r->challenge);
        r->challenge = t.challenge;
    } else iw_challenge_clear(&t.challenge);
    if (code != CURLE_OK || h.over)
        return iw_http_explain(&r->http, r->remote, r->remote->where, &h, code, err);
    iw_cleanup_free char *given = iw_steal(&reply->location);
    if (given) reply->location = resolve(url, given);
    reply->astray = given && !reply->location;
    return 0;
}

int iw_registry_astray(const iw_registry *r, iw_error *err)
{
    return iw_fail(err, IW_E_NETWORK,
                   "%s points to an address that isn't taken: neither http nor https, or "
                   "unencrypted where it was encrypted before",
                   r->remote->where);
}

/* --- logging in ----------------------------------------------------------- */

static int look_for_credentials(iw_registry *r, iw_error *err)
{
    if (r->looked) return 0;
    if (iw_credentials_find(r->host, r->name, &r->credentials, err) != 0) {
        iw_credentials_clear(&r->credentials);
        return -1;
    }
    r->looked = true;
    return 0;
}

static int no_login(const iw_registry *r, const char *why, iw_error *err)
{
    if (r->credentials.from)
        return iw_fail(err, IW_E_NETWORK, "%s: %s (with the credentials of %s)", r->remote->where,
                       why, r->credentials.from);
    return iw_fail(err, IW_E_NETWORK,
                   "%s: %s, and there are no credentials for %s: `skopeo login %s` or `docker "
                   "login %s` keeps some, or set IRONWHEEL_REGISTRY=%s, IRONWHEEL_REGISTRY_USER "
                   "and IRONWHEEL_REGISTRY_PASSWORD",
                   r->remote->where, why, r->host, r->host, r->host, r->host);
}

static int log_in_basic(iw_registry *r, iw_error *err)
{
    if (!is_private_way(r, r->origin))
        return iw_fail(err, IW_E_NETWORK,
                       "%s wants a password, which isn't sent unencrypted to another machine",
                       r->remote->where);
    if (!r->credentials.user || !r->credentials.password)
        return no_login(r, "it wants a name and a password", err);
    r->authorization = iw_credentials_basic(&r->credentials);
    return 0;
}

static void add_query(iw_buffer *out, const char *key, const char *value, char before)
{
    char *escaped = curl_easy_escape(NULL, value, 0);
    if (escaped) iw_buffer_add_format(out, "%c%s=%s", before, key, escaped);
    curl_free(escaped);
}

/* service=…&scope=…, a scope for each word. */
static void add_wishes(const iw_registry *r, bool push, iw_buffer *out, char before)
{
    iw_cleanup_free char *own = iw_format("repository:%s:pull%s", r->name, push ? ",push" : "");
    const char *scope = r->challenge.scope && *r->challenge.scope ? r->challenge.scope : own;
    iw_slice rest = iw_slice_of(scope), word;
    if (r->challenge.service) {
        add_query(out, "service", r->challenge.service, before);
        before = '&';
    }
    while (iw_slice_next(&rest, ' ', &word)) {
        iw_cleanup_free char *one = iw_strndup(word.data, word.length);
        if (*one) add_query(out, "scope", one, before);
        before = '&';
    }
}

/* The request of a token service: GET with a name and password, POST with an identity token. */
static char *token_url(const iw_registry *r, bool push, bool identity, iw_buffer *form)
{
    const char *realm = r->challenge.realm;
    if (!identity) {
        iw_buffer url = {0};
        iw_buffer_add_text(&url, realm);
        add_wishes(r, push, &url, strchr(realm, '?') ? '&' : '?');
        return iw_buffer_take(&url);
    }
    iw_buffer_add_text(form, "grant_type=refresh_token&client_id=ironwheel");
    add_query(form, "refresh_token", r->credentials.identity, '&');
    add_wishes(r, push, form, '&');
    return iw_strdup(realm);
}

static int check_realm(const iw_registry *r, iw_error *err)
{
    const char *realm = r->challenge.realm;
    iw_cleanup_free char *origin = origin_of(realm);
    bool http = iw_starts_with(realm, "http://"), encrypted = iw_starts_with(realm, "https://");
    if (!origin || (!http && !encrypted) || (http && !r->plain))
        return iw_fail(err, IW_E_NETWORK,
                       "%s names a place to log in at that isn't taken: it must be https",
                       r->remote->where);
    if (!r->credentials.from || is_private_way(r, realm)) return 0;
    return iw_fail(err, IW_E_NETWORK,
                   "%s sends to %s to log in, unencrypted: the credentials of %s aren't sent there",
                   r->remote->where, origin, r->credentials.from);
}

static int take_token(iw_registry *r, const iw_http_request *h, iw_error *err)
{
    char *token = NULL;
    uint64_t seconds = 0;
    iw_cleanup_free char *origin = origin_of(r->challenge.realm);
    if (h->status == 401 || h->status == 403 || h->status == 400) {
        iw_cleanup_free char *why =
            iw_format("%s, where it sends to log in, answers %ld", origin, h->status);
        return no_login(r, why, err);
    }
    if (h->status != 200)
        return iw_fail(err, IW_E_NETWORK, "%s sends to %s to log in, which answers %ld",
                       r->remote->where, origin, h->status);
    if (iw_token_read(h->answer.data ? h->answer.data : "", h->answer.length, &token, &seconds,
                      err) != 0)
        return iw_wrap(err, "%s sends to %s to log in", r->remote->where, origin);
    r->authorization = iw_format("Authorization: Bearer %s", token);
    r->good_until = iw_now() + (double)seconds;
    iw_wipe(&token);
    return 0;
}

static int log_in_bearer(iw_registry *r, bool push, iw_error *err)
{
    if (check_realm(r, err) != 0) return -1;
    bool identity = r->credentials.identity;
    iw_buffer form = {0};
    char *url = token_url(r, push, identity, &form),
         *basic = r->credentials.user && r->credentials.password && !identity
                      ? iw_credentials_basic(&r->credentials)
                      : NULL;
    iw_http_request h = {.method = identity ? "POST" : "GET",
                         .data = identity ? form.data : NULL,
                         .length = form.length,
                         .file = -1,
                         .plain = true,
                         .from = is_own(r, url) ? NULL : r->address,
                         .limit = IW_TOKEN_LIMIT + 4096};
    if (basic) h.headers = curl_slist_append(NULL, basic);
    if (identity)
        h.headers = curl_slist_append(NULL, "Content-Type: application/x-www-form-urlencoded");
    CURLcode code = iw_http_send(&r->http, r->remote, url, &h);
    for (struct curl_slist *one = h.headers; one; one = one->next)
        memset(one->data, 0, strlen(one->data));
    curl_slist_free_all(h.headers);
    iw_cleanup_free char *origin = origin_of(url);
    int status = code == CURLE_OK && !h.over
                     ? take_token(r, &h, err)
                     : iw_http_explain(&r->http, r->remote, origin, &h, code, err);
    iw_wipe(&url), iw_wipe(&basic), iw_wipe(&form.data);
    iw_wipe(&h.answer.data);
    return status;
}

static int log_in(iw_registry *r, bool push, iw_error *err)
{
    forget_token(r);
    if (look_for_credentials(r, err) != 0) return -1;
    if (r->challenge.kind == IW_AUTH_BEARER) return log_in_bearer(r, push, err);
    if (r->challenge.kind == IW_AUTH_BASIC) return log_in_basic(r, err);
    return iw_fail(err, IW_E_NETWORK,
                   "%s wants a login of a kind that isn't known here (neither Bearer nor Basic)",
                   r->remote->where);
}

/* --- asking --------------------------------------------------------------- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* With another method than it was sent nothing is repeated. */
static bool may_follow(const iw_registry_request *q, const iw_reply *reply)
{
    bool reads = !q->method || strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    return reply->location && (reads || reply->status == 307 || reply->status == 308);
}

static int renew_early(iw_registry *r, bool push, iw_error *err)
{
    bool old = r->good_until > 0 && iw_now() > r->good_until - EARLY;
    return old && r->challenge.kind == IW_AUTH_BEARER ? log_in(r, push, err) : 0;
}

int iw_registry_ask(iw_registry *r, const iw_registry_request *q, iw_reply *reply, iw_error *err)
{
    iw_cleanup_free char *url = iw_strdup(q->url);
    bool renewed = false;
    unsigned hops = 0;
    if (renew_early(r, q->push, err) != 0) return -1;
    while (hops <= HOPS) {
        if (exchange(r, q, url, reply, err) != 0) return -1;
        if (reply->status == 401 && !renewed && is_own(r, url)) {
            renewed = true;
            if (log_in(r, q->push, err) != 0) return -1;
            continue;
        }
        if (is_redirect(reply->status) && reply->astray) return iw_registry_astray(r, err);
        if (!is_redirect(reply->status) || !may_follow(q, reply)) return 0;
        free(url);
        url = iw_strdup(reply->location);
        hops++;
    }
    return iw_fail(err, IW_E_NETWORK, "%s redirects again and again", r->remote->where);
}

int iw_registry_refused(const iw_registry *r, const char *what, const iw_reply *reply,
                        iw_error *err)
{
    long status = reply->status;
    iw_cleanup_free char *said =
        iw_oci_error_text(reply->body.data ? reply->body.data : "", reply->body.length);
    const char *secret = r->authorization ? strrchr(r->authorization, ' ') + 1 : NULL;
    if (said && secret && strstr(said, secret)) said[0] = 0; /* it may have been repeated */
    iw_cleanup_free char *answer =
        iw_format("%s: %s %ld%s%s%s", what,
                  reply->from_other ? "another host, where the registry sent to, answers"
                                    : "the registry answers",
                  status, said && *said ? " (" : "", said ? said : "", said && *said ? ")" : "");
    if ((status == 401 || status == 403) && !reply->from_other) return no_login(r, answer, err);
    bool absent = status == 404 || status == 406 || status == 410;
    return iw_fail(err, absent ? IW_E_NOT_FOUND : IW_E_NETWORK, "%s: %s", r->remote->where, answer);
}
