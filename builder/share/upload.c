#include "share/upload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "share/oci.h"
#include "share/registry.h"

#define CHUNK (((uint64_t)4 << 20) - 65536) /* some take no more than 4 MiB in a request */
#define CHUNK_MOST ((uint64_t)1 << 30)
#define TRIES 4u /* without a byte more being there */
#define BYTES "application/octet-stream"
#define NOTE_LIMIT 16384

static iw_registry *registry_of(const iw_upload *u)
{
    return u->remote->more;
}

/* What is said with 4xx stays so, other than an outage; 404 and 416 are of a lost session. */
static int refused(iw_upload *u, const iw_reply *reply, iw_error *err)
{
    long status = reply->status;
    u->refused = status >= 400 && status < 500 && status != 404 && status != 408 && status != 416 &&
                 status != 429;
    return iw_registry_refused(registry_of(u), "sending a blob", reply, err);
}

/* The next address of the session. */
static int take_location(iw_upload *u, iw_reply *reply, iw_error *err)
{
    if (reply->astray) return iw_registry_astray(registry_of(u), err);
    if (reply->location) {
        free(u->location);
        u->location = iw_steal(&reply->location);
    }
    return u->location ? 0
                       : iw_fail(err, IW_E_NETWORK, "%s takes a blob, but doesn't say where",
                                 u->remote->where);
}

/* --- what is remembered --------------------------------------------------- */

/* Where a push that was killed is gone on with: the address of the session may be a secret. */
static void set_note(iw_upload *u)
{
    const char *folder = u->remote->options.state;
    char name[IW_SHA256_HEX];
    if (!folder) return;
    iw_cleanup_free char *text = iw_format("%s %s", u->remote->base, u->sha256);
    iw_hash_bytes(text, strlen(text), name);
    u->note = iw_path_join(folder, name);
}

static void remember(const iw_upload *u)
{
    if (u->note && iw_make_folders(u->remote->options.state, 0700, NULL) == 0)
        (void)!iw_write_file(u->note, u->location, strlen(u->location), 0600, NULL);
}

static void forget(const iw_upload *u)
{
    if (u->note) unlink(u->note);
}

/* --- steps ---------------------------------------------------------------- */

static int start(iw_upload *u, iw_error *err)
{
    iw_registry *r = registry_of(u);
    iw_cleanup_free char *url = iw_registry_url(r, "blobs/uploads/");
    iw_registry_request q = {.method = "POST", .url = url, .data = "", .file = -1, .push = true};
    iw_reply reply = {.status = 0};
    u->at = 0;
    free(u->location);
    u->location = NULL;
    int status = iw_registry_ask(r, &q, &reply, err);
    if (status == 0 && reply.status != 202) status = refused(u, &reply, err);
    if (status == 0) status = take_location(u, &reply, err);
    if (status == 0 && reply.chunk > CHUNK_MOST)
        status = iw_fail(err, IW_E_NETWORK, "%s wants chunks of %llu bytes", u->remote->where,
                         (unsigned long long)reply.chunk);
    u->chunk = reply.chunk > CHUNK ? reply.chunk : CHUNK;
    iw_reply_clear(&reply);
    return status;
}

/* How far the session is; IW_E_NOT_FOUND where it is gone. */
static int ask_offset(iw_upload *u, iw_error *err)
{
    iw_registry_request q = {.url = u->location, .file = -1, .push = true};
    iw_reply reply = {.status = 0};
    uint64_t there = 0;
    int status = iw_registry_ask(registry_of(u), &q, &reply, err);
    if (status == 0 && reply.status != 204 && reply.status != 202) status = refused(u, &reply, err);
    if (status == 0 && (!reply.range || !iw_oci_range_end(reply.range, &there) || there > u->size))
        status =
            iw_fail(err, IW_E_NOT_FOUND, "%s doesn't say how far an upload is", u->remote->where);
    if (status == 0) status = take_location(u, &reply, err);
    if (status == 0) u->at = there == 1 ? 0 : there; /* "0-0" is what none is called */
    iw_reply_clear(&reply);
    return status;
}

/* The last request of a session: with what isn't there yet, or nothing. */
static int finish(iw_upload *u, iw_error *err)
{
    iw_cleanup_free char *url = iw_format("%s%cdigest=sha256%%3A%s", u->location,
                                          strchr(u->location, '?') ? '&' : '?', u->sha256);
    bool rest = u->at < u->size;
    iw_registry_request q = {.method = "PUT",
                             .url = url,
                             .type = BYTES,
                             .data = rest ? u->data : "",
                             .length = rest ? (size_t)u->size : 0,
                             .file = u->file,
                             .file_from = u->at,
                             .file_length = u->size - u->at,
                             .file_size = u->size,
                             .label = u->label,
                             .push = true,
                             .once = rest};
    iw_reply reply = {.status = 0};
    int status = iw_registry_ask(registry_of(u), &q, &reply, err);
    if (status == 0 && reply.status != 201 && reply.status != 204) status = refused(u, &reply, err);
    bool other = status == 0 && reply.digest && iw_starts_with(reply.digest, "sha256:") &&
                 strcmp(reply.digest + 7, u->sha256) != 0;
    if (other || (reply.status == 400 && reply.body.data && strstr(reply.body.data, "DIGEST_INV")))
        status = iw_fail(err, IW_E_DIGEST,
                         "%s has other bytes than were sent: SHA-256 %.64s, "
                         "expected %s",
                         u->remote->where, other ? reply.digest + 7 : "not given", u->sha256);
    iw_reply_clear(&reply);
    return status;
}

/* *unable: it takes no chunks. */
static int send_chunk(iw_upload *u, bool *unable, iw_error *err)
{
    uint64_t left = u->size - u->at, length = left < u->chunk ? left : u->chunk, there = 0;
    iw_cleanup_free char *range =
        iw_format("%llu-%llu", (unsigned long long)u->at, (unsigned long long)(u->at + length - 1));
    iw_registry_request q = {.method = "PATCH",
                             .url = u->location,
                             .type = BYTES,
                             .content_range = range,
                             .file = u->file,
                             .file_from = u->at,
                             .file_length = length,
                             .file_size = u->size,
                             .label = u->label,
                             .push = true,
                             .once = true};
    iw_reply reply = {.status = 0};
    int status = iw_registry_ask(registry_of(u), &q, &reply, err);
    *unable = status == 0 && u->at == 0 &&
              (reply.status == 400 || reply.status == 404 || reply.status == 405 ||
               reply.status == 415 || reply.status == 501);
    if (status == 0 && reply.status != 202) status = refused(u, &reply, err);
    if (status == 0) status = take_location(u, &reply, err);
    if (status == 0 && reply.range &&
        (!iw_oci_range_end(reply.range, &there) || there <= u->at || there > u->at + length))
        status = iw_fail(err, IW_E_NETWORK, "%s says after a chunk that it has %.40s",
                         u->remote->where, reply.range);
    if (status == 0) u->at = there ? there : u->at + length;
    iw_reply_clear(&reply);
    return status;
}

/* After trouble: waits, and asks how far it came. A session that is gone is begun anew. */
static int find_again(iw_upload *u, unsigned attempt, iw_error *err)
{
    iw_registry *r = registry_of(u);
    iw_http_pause(&r->http, u->remote, attempt);
    if (iw_remote_cancelled(u->remote)) return iw_fail(err, IW_E_CANCELLED, "stopped");
    iw_error inner = IW_ERROR_INIT;
    if (ask_offset(u, &inner) == 0) return 0;
    iw_error_clear(&inner);
    return start(u, err);
}

static bool may_pass(const iw_error *err)
{
    return err->kind == IW_E_NETWORK || err->kind == IW_E_NOT_FOUND;
}

static int send_chunks(iw_upload *u, bool *unable, iw_error *err)
{
    unsigned attempts = 0;
    while (u->at < u->size) {
        iw_error inner = IW_ERROR_INIT;
        uint64_t before = u->at;
        remember(u);
        int status = send_chunk(u, unable, &inner);
        if (status != 0 && !*unable && !u->refused && may_pass(&inner) && ++attempts < TRIES)
            status = find_again(u, attempts, &inner);
        if (u->at > before) attempts = 0;
        if (status != 0) iw_error_move(err, &inner);
        iw_error_clear(&inner);
        if (status != 0) return -1;
    }
    remember(u);
    return finish(u, err);
}

/* The session of a push before this one, where it is still there. */
static bool go_on(iw_upload *u)
{
    char *address = NULL;
    if (!u->note || iw_read_file(u->note, NOTE_LIMIT, &address, NULL, NULL) != 0) return false;
    u->location = address;
    u->chunk = CHUNK;
    return ask_offset(u, NULL) == 0;
}

/* Where what was gone on with comes out wrong, once more from the start. */
static int send_large(iw_upload *u, bool *unable, iw_error *err)
{
    bool continued = go_on(u);
    iw_error inner = IW_ERROR_INIT;
    if (!continued && start(u, err) != 0) return -1;
    int status = send_chunks(u, unable, &inner);
    if (status != 0 && continued && inner.kind == IW_E_DIGEST && start(u, NULL) == 0)
        status = send_chunks(u, unable, &inner);
    if (status != 0 && (inner.kind == IW_E_DIGEST || *unable)) forget(u);
    if (status != 0) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    return status;
}

/* Half of one, sent again into the same session, would be appended: so each try has its own. */
static int send_whole(iw_upload *u, iw_error *err)
{
    const iw_registry *r = registry_of(u);
    for (unsigned attempt = 1;; attempt++) {
        iw_error inner = IW_ERROR_INIT;
        int status = start(u, &inner);
        if (status == 0) status = finish(u, &inner);
        bool again = status != 0 && may_pass(&inner) && attempt < TRIES && !u->refused;
        if (status != 0) iw_error_move(again ? NULL : err, &inner);
        iw_error_clear(&inner);
        if (!again) return status;
        iw_http_pause(&r->http, u->remote, attempt);
        if (iw_remote_cancelled(u->remote)) return iw_fail(err, IW_E_CANCELLED, "stopped");
    }
}

/* The answer to the last request may be all that was lost. */
static bool is_there(const iw_upload *u)
{
    iw_cleanup_free char *path = iw_format("blobs/sha256/%s", u->sha256);
    bool found = false;
    uint64_t size;
    return iw_remote_stat(u->remote, path, &found, &size, NULL) == 0 && found && size == u->size;
}

int iw_upload_send(iw_upload *u, iw_error *err)
{
    bool large = !u->data && u->size > CHUNK, unable = false;
    iw_error inner = IW_ERROR_INIT;
    if (large) set_note(u);
    int status = large ? send_large(u, &unable, &inner) : send_whole(u, &inner);
    if (large && unable) status = send_whole(u, &inner);
    if (status != 0 && may_pass(&inner) && !u->refused && is_there(u)) status = 0;
    if (status == 0) forget(u);
    if (status != 0) iw_error_move(err, &inner);
    iw_error_clear(&inner);
    free(u->location), free(u->note);
    return status;
}
