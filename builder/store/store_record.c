/* What was measured and noted: small rows of the index. Measures are also lines of
 * history/measures, from which a lost index gets them back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/store_internal.h"

#define HISTORY_LIMIT ((size_t)64 << 20)

/* --- measures ------------------------------------------------------------- */

static int put_measure(iw_index *index, const char *package, const char *version, const char *phase,
                       iw_measure m, iw_error *err)
{
    const iw_value values[] = {IW_TEXT(package), IW_TEXT(version), IW_TEXT(phase),
                               IW_REAL(m.seconds), IW_NUMBER(m.peak_memory)};
    return iw_index_query(index, IW_Q_MEASURE_PUT, values, 5, NULL, err);
}

/* One line, in one write: "package version phase milliseconds MiB"; an empty phase is "-". */
static int append_measure(const char *root, const char *package, const char *version,
                          const char *phase, iw_measure m, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join3(root, "history", "measures");
    iw_cleanup_free char *line =
        iw_format("%s %s %s %" PRIu64 " %" PRIu64 "\n", package, version, *phase ? phase : "-",
                  (uint64_t)(m.seconds * 1000), m.peak_memory);
    iw_cleanup_fd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
    return iw_write_all(fd, line, strlen(line), path, err);
}

int iw_store_record(iw_store *store, const char *package, const char *version, const char *phase,
                    iw_measure measure, iw_error *err)
{
    if (!(measure.seconds >= 0) || measure.seconds > 1e9) measure.seconds = 0;
    if (append_measure(store->root, package, version, phase, measure, err) != 0) return -1;
    return put_measure(store->index, package, version, phase, measure, err);
}

int iw_store_record_all(iw_store *store, const char *package, const char *version,
                        const iw_phase_measure *measures, size_t count, iw_error *err)
{
    bool begun = count > 1 && iw_index_query(store->index, IW_Q_BEGIN, NULL, 0, NULL, NULL) == 0;
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++)
        status =
            iw_store_record(store, package, version, measures[i].phase, measures[i].measure, err);
    if (begun && status == 0)
        status = iw_index_query(store->index, IW_Q_COMMIT, NULL, 0, NULL, err);
    if (begun && status != 0) iw_index_query(store->index, IW_Q_ROLLBACK, NULL, 0, NULL, NULL);
    return status;
}

int iw_store_measured_of(iw_store *store, const char *package, const char *version,
                         const char *phase, iw_measure *out, char **of, iw_error *err)
{
    sqlite3_stmt *row;
    const iw_value values[] = {IW_TEXT(package), IW_TEXT(version), IW_TEXT(phase)};
    *of = NULL;
    if (iw_index_query(store->index, IW_Q_MEASURE_GET, values, 3, &row, err) != 0) return -1;
    *out = row ? (iw_measure){sqlite3_column_double(row, 0), (uint64_t)sqlite3_column_int64(row, 1)}
               : (iw_measure){0};
    if (row) *of = iw_strdup(iw_column_text(row, 2));
    iw_index_end(store->index);
    return 0;
}

int iw_store_measured(iw_store *store, const char *package, const char *version, const char *phase,
                      iw_measure *out, bool *found, iw_error *err)
{
    char *of;
    int status = iw_store_measured_of(store, package, version, phase, out, &of, err);
    *found = status == 0 && of;
    free(of);
    return status;
}

/* The words of one line; false where it isn't one (the last may be torn). */
static bool split_line(iw_slice line, char *words[5])
{
    int count = 0;
    iw_slice word;
    while (count < 5 && iw_slice_next(&line, ' ', &word))
        words[count++] = iw_strndup(word.data, word.length);
    bool fine = count == 5 && line.length == 0;
    for (int i = 0; !fine && i < count; i++) free(words[i]);
    return fine;
}

int iw_store_fill_measures(const char *root, iw_index *index, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join3(root, "history", "measures"), *text = NULL;
    size_t length = 0;
    if (iw_read_file(path, HISTORY_LIMIT, &text, &length, NULL) != 0) return 0;
    iw_slice rest = {text, length}, line;
    int status = 0;
    while (status == 0 && iw_slice_next(&rest, '\n', &line)) {
        char *w[5];
        uint64_t milliseconds, memory;
        if (!split_line(line, w)) continue;
        if (iw_parse_unsigned(w[3], (uint64_t)1 << 40, &milliseconds) &&
            iw_parse_unsigned(w[4], (uint64_t)1 << 40, &memory))
            status = put_measure(index, w[0], w[1], strcmp(w[2], "-") ? w[2] : "",
                                 (iw_measure){(double)milliseconds / 1000, memory}, err);
        for (int i = 0; i < 5; i++) free(w[i]);
    }
    return status;
}

/* --- notes ---------------------------------------------------------------- */

int iw_store_note_fetch(iw_store *store, const char *sha256, const char *message, iw_error *err)
{
    if (!message)
        return iw_index_query(store->index, IW_Q_FETCH_DROP, (iw_value[]){IW_TEXT(sha256)}, 1, NULL,
                              err);
    return iw_index_query(store->index, IW_Q_FETCH_PUT,
                          (iw_value[]){IW_TEXT(sha256), IW_TEXT(message)}, 2, NULL, err);
}

int iw_store_fetch_note(iw_store *store, const char *sha256, char **message, iw_error *err)
{
    sqlite3_stmt *row;
    *message = NULL;
    if (iw_index_query(store->index, IW_Q_FETCH_GET, (iw_value[]){IW_TEXT(sha256)}, 1, &row, err) !=
        0)
        return -1;
    if (row) *message = iw_strdup(iw_column_text(row, 0));
    iw_index_end(store->index);
    return 0;
}

int iw_store_note_inputs(iw_store *store, const char *package, const char *version,
                         const char *stack, const char *lines, iw_error *err)
{
    const iw_value values[] = {IW_TEXT(package), IW_TEXT(version), IW_TEXT(stack), IW_TEXT(lines)};
    return iw_index_query(store->index, IW_Q_INPUTS_PUT, values, 4, NULL, err);
}

int iw_store_last_inputs(iw_store *store, const char *package, const char *version,
                         const char *stack, const char *line, char **lines, iw_error *err)
{
    sqlite3_stmt *row;
    iw_cleanup_free char *whole = iw_format("\n%s\n", line);
    const iw_value values[] = {IW_TEXT(package), IW_TEXT(version), IW_TEXT(stack), IW_TEXT(whole)};
    *lines = NULL;
    if (iw_index_query(store->index, IW_Q_INPUTS_GET, values, 4, &row, err) != 0) return -1;
    if (row) *lines = iw_strdup(iw_column_text(row, 0));
    iw_index_end(store->index);
    return 0;
}

/* --- bundles -------------------------------------------------------------- */

static void seal_bundle(const char *key, const char *path, const char *sha256,
                        char seal[IW_SHA256_HEX])
{
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "key", key);
    iw_hash_add_field(hash, "path", path);
    iw_hash_add_field(hash, "sha256", sha256);
    iw_hash_finish(hash, seal);
    iw_hash_free(hash);
}

static int put_bundle(iw_store *store, const char *key, const char *path, const char *sha256,
                      const struct stat *status, iw_error *err)
{
    char seal[IW_SHA256_HEX];
    iw_quick q = iw_quick_of(status);
    seal_bundle(key, path, sha256, seal);
    const iw_value values[] = {IW_TEXT(key),       IW_TEXT(path),      IW_TEXT(sha256),
                               IW_TEXT(seal),      IW_NUMBER(q.inode), IW_NUMBER(q.size),
                               IW_NUMBER(q.mtime), IW_NUMBER(q.ctime)};
    return iw_index_query(store->index, IW_Q_BUNDLE_PUT, values, 8, NULL, err);
}

int iw_store_note_bundle(iw_store *store, const char *key, const char *path, const char *sha256,
                         iw_error *err)
{
    struct stat status;
    iw_cleanup_free char *absolute = realpath(path, NULL);
    if (!absolute || stat(absolute, &status) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    return put_bundle(store, key, absolute, sha256, &status, err);
}

/* Whether the file is still the bundle: by its inode and times, else by its digest, which is then
 * remembered with the new ones. */
static int check_bundle(iw_store *store, const char *key, const char *path, const char *sha256,
                        iw_quick known, bool *good, iw_error *err)
{
    struct stat status;
    char hex[IW_SHA256_HEX];
    *good = false;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    *good = iw_quick_equal(known, iw_quick_of(&status));
    if (*good) return 0;
    if (status.st_size != known.size || iw_hash_file(path, hex, NULL, NULL) != 0 ||
        strcmp(hex, sha256) != 0)
        return 0;
    *good = true;
    return put_bundle(store, key, path, sha256, &status, err);
}

int iw_store_find_bundle(iw_store *store, const char *key, char **path, char **sha256, bool *found,
                         iw_error *err)
{
    sqlite3_stmt *row;
    *path = *sha256 = NULL;
    *found = false;
    if (iw_index_query(store->index, IW_Q_BUNDLE_GET, (iw_value[]){IW_TEXT(key)}, 1, &row, err) !=
        0)
        return -1;
    if (!row) return 0;
    iw_cleanup_free char *p = iw_strdup(iw_column_text(row, 0)),
                         *digest = iw_strdup(iw_column_text(row, 1));
    char seal[IW_SHA256_HEX];
    seal_bundle(key, p, digest, seal);
    bool sealed = strcmp(seal, iw_column_text(row, 2)) == 0;
    iw_quick quick = iw_quick_read(row, 3);
    iw_index_end(store->index);
    if (sealed && check_bundle(store, key, p, digest, quick, found, err) != 0) return -1;
    if (!*found)
        return iw_index_query(store->index, IW_Q_BUNDLE_DROP, (iw_value[]){IW_TEXT(key)}, 1, NULL,
                              err);
    *path = iw_steal(&p);
    *sha256 = iw_steal(&digest);
    return 0;
}
