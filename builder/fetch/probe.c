#include "fetch/probe.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#define TRIES 3

struct asking {
    iw_probe *probe;
    const iw_transfer_options *options;
    CURL *easy;
    uint64_t whole; /* of a Content-Range */
    unsigned tries;
    double not_before;
    bool by_range, running, finished, enough;
    char why[CURL_ERROR_SIZE];
};

/* --- one question --------------------------------------------------------- */

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct asking *one = context;
    size_t length = size * count;
    unsigned long long whole;
    iw_cleanup_free char *text = iw_strndup(line, length);
    if (strncasecmp(text, "HTTP/", 5) == 0) one->whole = 0;
    if (strncasecmp(text, "Content-Range:", 14) == 0 &&
        sscanf(text + 14, " bytes %*u-%*u/%llu", &whole) == 1)
        one->whole = whole;
    return length;
}

/* One byte is enough, also of a server that sends the whole file. */
static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct asking *one = context;
    (void)data, (void)size, (void)count;
    one->enough = true;
    return 0;
}

static int begin(struct asking *one, CURLM *multi)
{
    if (one->easy) curl_easy_reset(one->easy);
    else one->easy = curl_easy_init();
    if (!one->easy) return iw_fail(&one->probe->err, IW_E_MEMORY, "no memory for a question");
    iw_transfer_prepare(one->easy, one->probe->url, one->options);
    if (one->by_range) curl_easy_setopt(one->easy, CURLOPT_RANGE, "0-0");
    else curl_easy_setopt(one->easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(one->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(one->easy, CURLOPT_HEADERDATA, one);
    curl_easy_setopt(one->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(one->easy, CURLOPT_WRITEDATA, one);
    curl_easy_setopt(one->easy, CURLOPT_ERRORBUFFER, one->why);
    curl_easy_setopt(one->easy, CURLOPT_PRIVATE, one);
    one->why[0] = 0;
    one->enough = false;
    one->running = true;
    one->tries++;
    curl_multi_add_handle(multi, one->easy);
    return 0;
}

static void found(struct asking *one)
{
    curl_off_t length = -1;
    curl_easy_getinfo(one->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    one->probe->there = one->finished = true;
    one->probe->size = one->whole ? one->whole : length > 0 ? (uint64_t)length : 0;
}

static void ended(struct asking *one, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
    one->running = false;
    if (code == CURLE_OK || (one->enough && status < 400)) {
        found(one);
        return;
    }
    bool gone = status == 404 || status == 410,
         passing = !status || status == 408 || status == 429 || status >= 500;
    if (!gone && !one->by_range && (status || code == CURLE_GOT_NOTHING) && status != 429) {
        one->by_range = true; /* it may know no HEAD */
        one->tries = 0;
        return;
    }
    if (!gone && passing && iw_transfer_may_pass((int)code, status) && one->tries < TRIES) {
        double wait = one->options->backoff > 0 ? one->options->backoff : 1;
        one->not_before = iw_now() + wait * (double)(1u << (one->tries - 1));
        return;
    }
    iw_cleanup_free char *shown = iw_transfer_shown(one->probe->url);
    one->finished = true;
    if (status >= 400)
        iw_fail(&one->probe->err, gone ? IW_E_NOT_FOUND : IW_E_NETWORK,
                "%s: the server answers %ld", shown, status);
    else
        iw_fail(&one->probe->err, IW_E_NETWORK, "%s: %s", shown,
                *one->why ? one->why : curl_easy_strerror(code));
}

static void ask_disk(struct asking *one)
{
    struct stat status;
    one->finished = true;
    if (stat(one->probe->url, &status) != 0) {
        iw_fail_errno(&one->probe->err, errno == ENOENT ? IW_E_NOT_FOUND : IW_E_IO, "%s",
                      one->probe->url);
        return;
    }
    one->probe->there = S_ISREG(status.st_mode);
    one->probe->size = (uint64_t)status.st_size;
    if (!one->probe->there)
        iw_fail(&one->probe->err, IW_E_NOT_FOUND, "%s is no plain file", one->probe->url);
}

/* --- all of them ---------------------------------------------------------- */

/* Starts what may start; how many run. */
static unsigned start_some(struct asking *all, size_t count, CURLM *multi, unsigned parallel)
{
    unsigned running = 0;
    for (size_t i = 0; i < count; i++) running += all[i].running;
    for (size_t i = 0; i < count && running < parallel; i++) {
        struct asking *one = &all[i];
        if (one->finished || one->running || one->not_before > iw_now()) continue;
        if (one->probe->url[0] == '/') ask_disk(one);
        else if (begin(one, multi) != 0) one->finished = true;
        else running++;
    }
    return running;
}

static void collect(CURLM *multi)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        struct asking *one = NULL;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &one);
        curl_multi_remove_handle(multi, easy);
        ended(one, code);
    }
}

static int loop(struct asking *all, size_t count, CURLM *multi, const iw_transfer_options *options,
                iw_error *err)
{
    for (;;) {
        bool open = false;
        int still = 0;
        unsigned running = start_some(all, count, multi, options->parallel ? options->parallel : 6);
        for (size_t i = 0; i < count; i++) open = open || !all[i].finished;
        if (!open) return 0;
        struct curl_waitfd cancel = {options->cancel, CURL_WAIT_POLLIN, 0};
        curl_multi_perform(multi, &still);
        if (still || !running)
            curl_multi_poll(multi, &cancel, options->cancel >= 0 ? 1 : 0, running ? 500 : 20, NULL);
        if (iw_transfer_cancelled(options))
            return iw_fail(err, IW_E_CANCELLED, "stopped while asking for sources");
        collect(multi);
    }
}

int iw_probe_all(iw_probe *probes, size_t count, const iw_transfer_options *options, iw_error *err)
{
    if (count == 0) return 0;
    CURLM *multi = curl_multi_init();
    if (!multi) return iw_fail(err, IW_E_ENVIRONMENT, "libcurl can't start");
    struct asking *all = iw_alloc(count * sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = (struct asking){.probe = &probes[i], .options = options};
    int status = loop(all, count, multi, options, err);
    for (size_t i = 0; i < count; i++) {
        if (all[i].running) curl_multi_remove_handle(multi, all[i].easy);
        if (all[i].easy) curl_easy_cleanup(all[i].easy);
    }
    free(all);
    curl_multi_cleanup(multi);
    return status;
}
