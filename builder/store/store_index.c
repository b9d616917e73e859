#include "store/store_index.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"

#define BUSY_MILLISECONDS 60000

struct iw_index {
    char *root, *path;
    sqlite3 *db;
    sqlite3_stmt *statements[IW_QUERIES];
    sqlite3_stmt *open; /* stands on a row */
    iw_index_fill fill;
    void *context;
    bool rebuilding, in_transaction;
};

static const char *const texts[IW_QUERIES] = {
    [IW_Q_BEGIN] = "BEGIN IMMEDIATE",
    [IW_Q_COMMIT] = "COMMIT",
    [IW_Q_ROLLBACK] = "ROLLBACK",
    [IW_Q_SOURCE_GET] = "SELECT inode, size, mtime, ctime FROM source WHERE sha256 = ?1",
    [IW_Q_SOURCE_PUT] = "REPLACE INTO source (sha256, name, inode, size, mtime, ctime) VALUES (?1, "
                        "?2, ?3, ?4, ?5, ?6)",
    [IW_Q_SOURCE_DROP] = "DELETE FROM source WHERE sha256 = ?1",
    [IW_Q_ARTIFACT_GET] = "SELECT name, version, plan_key, build_key, content, file_digest, "
                          "file_size, content_size, facts, seal, inode, size, "
                          "mtime, ctime FROM artifact WHERE build_key = ?1",
    [IW_Q_ARTIFACT_BY_PLAN] = "SELECT a.name, a.version, a.plan_key, a.build_key, a.content, "
                              "a.file_digest, a.file_size, a.content_size, "
                              "a.facts, a.seal, a.inode, a.size, a.mtime, a.ctime FROM plan JOIN "
                              "artifact AS a USING (build_key) "
                              "WHERE plan.plan_key = ?1",
    [IW_Q_ARTIFACT_PUT] = "REPLACE INTO artifact (name, version, plan_key, build_key, content, "
                          "file_digest, file_size, content_size, facts, "
                          "seal, inode, size, mtime, ctime) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                          "?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [IW_Q_ARTIFACT_SEEN] =
        "UPDATE artifact SET inode = ?2, size = ?3, mtime = ?4, ctime = ?5 WHERE build_key = ?1",
    [IW_Q_ARTIFACT_DROP] = "DELETE FROM artifact WHERE build_key = ?1",
    [IW_Q_PLAN_PUT] = "REPLACE INTO plan (plan_key, build_key) VALUES (?1, ?2)",
    [IW_Q_MEASURE_PUT] = "REPLACE INTO measure (package, version, phase, seconds, peak, number) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, "
                         "(SELECT coalesce(max(number), 0) + 1 FROM measure))",
    [IW_Q_MEASURE_GET] = "SELECT seconds, peak, version FROM measure WHERE package = ?1 AND phase "
                         "= ?3 ORDER BY version = ?2 DESC, number DESC LIMIT 1",
    [IW_Q_FETCH_PUT] = "REPLACE INTO fetch (sha256, message) VALUES (?1, ?2)",
    [IW_Q_FETCH_DROP] = "DELETE FROM fetch WHERE sha256 = ?1",
    [IW_Q_FETCH_GET] = "SELECT message FROM fetch WHERE sha256 = ?1",
    [IW_Q_BUNDLE_PUT] = "REPLACE INTO bundle (key, path, sha256, seal, inode, size, mtime, ctime) "
                        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [IW_Q_BUNDLE_GET] =
        "SELECT path, sha256, seal, inode, size, mtime, ctime FROM bundle WHERE key = ?1",
    [IW_Q_BUNDLE_DROP] = "DELETE FROM bundle WHERE key = ?1",
    [IW_Q_INPUTS_PUT] =
        "REPLACE INTO inputs (package, version, stack, lines, number) VALUES (?1, ?2, ?3, ?4, "
        "(SELECT coalesce(max(number), 0) + 1 FROM inputs))",
    [IW_Q_INPUTS_GET] = "SELECT lines FROM inputs WHERE package = ?1 ORDER BY instr(lines, ?4) > 0 "
                        "DESC, stack = ?3 DESC, version = ?2 DESC, number DESC LIMIT 1",
};

static const char *const schema =
    "CREATE TABLE source (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, inode INTEGER NOT NULL, "
    "size INTEGER NOT NULL, mtime INTEGER NOT NULL, "
    "ctime INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE artifact (build_key TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, "
    "plan_key TEXT NOT NULL, content TEXT NOT NULL, "
    "file_digest TEXT NOT NULL, file_size INTEGER NOT NULL, content_size INTEGER NOT NULL, facts "
    "TEXT NOT NULL, seal TEXT NOT NULL, "
    "inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT "
    "NULL);"
    "CREATE TABLE plan (plan_key TEXT PRIMARY KEY, build_key TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE measure (package TEXT NOT NULL, phase TEXT NOT NULL, version TEXT NOT NULL, "
    "seconds REAL NOT NULL, peak INTEGER NOT NULL, "
    "number INTEGER NOT NULL, PRIMARY KEY (package, phase, version)) WITHOUT ROWID;"
    "CREATE TABLE fetch (sha256 TEXT PRIMARY KEY, message TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE bundle (key TEXT PRIMARY KEY, path TEXT NOT NULL, sha256 TEXT NOT NULL, seal "
    "TEXT NOT NULL, inode INTEGER NOT NULL, "
    "size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE inputs (package TEXT NOT NULL, stack TEXT NOT NULL, version TEXT NOT NULL, lines "
    "TEXT NOT NULL, number INTEGER NOT NULL, "
    "PRIMARY KEY (package, stack, version)) WITHOUT ROWID;";

/* --- small things --------------------------------------------------------- */

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

iw_quick iw_quick_of(const struct stat *status)
{
    return (iw_quick){(int64_t)status->st_ino, status->st_size, nanoseconds(status->st_mtim),
                      nanoseconds(status->st_ctim)};
}

bool iw_quick_equal(iw_quick a, iw_quick b)
{
    return a.inode == b.inode && a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime;
}

iw_quick iw_quick_read(sqlite3_stmt *row, int column)
{
    return (iw_quick){sqlite3_column_int64(row, column), sqlite3_column_int64(row, column + 1),
                      sqlite3_column_int64(row, column + 2), sqlite3_column_int64(row, column + 3)};
}

const char *iw_column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

static int failed(const iw_index *index, int code, const char *what, iw_error *err)
{
    int base = code & 0xff;
    const char *text = index->db ? sqlite3_errmsg(index->db) : sqlite3_errstr(code);
    if (base == SQLITE_BUSY)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%s is held by another process for over a minute; see who with: fuser -v %s",
                       index->path, index->path);
    /* Where its file of shared memory can't grow, SQLite doesn't say why. */
    bool full = base == SQLITE_FULL ||
                (index->db && sqlite3_extended_errcode(index->db) == SQLITE_IOERR_SHMSIZE);
    if (full)
        return iw_fail(err, IW_E_IO, "can't %s %s: the disk is full; make room and run again", what,
                       index->path);
    if (base == SQLITE_READONLY || base == SQLITE_CANTOPEN)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "can't %s %s: %s; make the folder writable, or choose another with --cache "
                       "or IRONWHEEL_CACHE",
                       what, index->path, text);
    return iw_fail(err, IW_E_IO, "can't %s %s: %s", what, index->path, text);
}

static bool is_damage(int code)
{
    int base = code & 0xff;
    /* SQLITE_ERROR: a table or column is missing; none of our texts is wrong otherwise. */
    return base == SQLITE_CORRUPT || base == SQLITE_NOTADB || base == SQLITE_ERROR ||
           base == SQLITE_MISMATCH || base == SQLITE_FORMAT || code == SQLITE_IOERR_SHORT_READ;
}

static void close_db(iw_index *index)
{
    index->open = NULL;
    for (int i = 0; i < IW_QUERIES; i++) sqlite3_finalize(iw_steal(&index->statements[i]));
    sqlite3_close(iw_steal(&index->db));
    index->in_transaction = false;
}

/* --- opening -------------------------------------------------------------- */

/* WAL needs memory that all processes share, which these file systems don't give. */
static bool on_network(const char *root)
{
    static const unsigned long types[] = {NFS_SUPER_MAGIC,
                                          SMB_SUPER_MAGIC,
                                          0xff534d42 /* cifs */,
                                          0xfe534d42 /* smb2 */,
                                          0x65735546 /* fuse: not in every linux/magic.h */,
                                          V9FS_MAGIC,
                                          AFS_SUPER_MAGIC,
                                          AFS_FS_MAGIC,
                                          CODA_SUPER_MAGIC,
                                          0x00c36400 /* ceph */,
                                          NCP_SUPER_MAGIC,
                                          0x0bd00bd0 /* lustre */,
                                          0x47504653 /* gpfs */,
                                          0x01161970 /* gfs2 */,
                                          OCFS2_SUPER_MAGIC,
                                          0x786f4256 /* vboxsf */,
                                          0x19830326 /* beegfs */};
    struct statfs status;
    if (statfs(root, &status) != 0) return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (((unsigned long)status.f_type & 0xffffffff) == types[i]) return true;
    return false;
}

static int pragma_number(sqlite3 *db, const char *text, int *number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *number = sqlite3_column_int(statement, 0);
        code = SQLITE_OK;
    }
    int end = sqlite3_finalize(statement);
    return code == SQLITE_OK ? end : code;
}

static int make_schema(sqlite3 *db)
{
    int version = 0;
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = pragma_number(db, "PRAGMA user_version",
                             &version); /* another process may have been quicker */
    if (code == SQLITE_OK && version == 0) code = sqlite3_exec(db, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK && version == 0)
        code = sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL);
    if (code == SQLITE_OK) return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

/* SQLite's code; *fresh: there were no tables. */
static int open_db(iw_index *index, bool *fresh, int *version)
{
    *version = 0;
    int code =
        sqlite3_open_v2(index->path, &index->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code != SQLITE_OK) return code;
    sqlite3_extended_result_codes(index->db, 1);
    sqlite3_busy_timeout(index->db, BUSY_MILLISECONDS);
    if (on_network(index->root)) {
        code = sqlite3_exec(index->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    } else {
        code = sqlite3_exec(index->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        int base = code & 0xff; /* no shared memory here after all */
        if (base == SQLITE_IOERR || base == SQLITE_CANTOPEN || base == SQLITE_PROTOCOL)
            code = sqlite3_exec(index->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK)
        code = sqlite3_exec(index->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    if (code == SQLITE_OK) code = pragma_number(index->db, "PRAGMA user_version", version);
    if (code != SQLITE_OK) return code;
    *fresh = *version == 0;
    return *fresh ? make_schema(index->db) : SQLITE_OK;
}

/* The damaged file goes aside (one is kept), so that a fresh one can be made. `seen`: the file that
 * was found damaged; where another process has put a new one in its place already, nothing is done.
 */
static int set_aside(iw_index *index, const struct stat *seen, iw_error *err)
{
    iw_cleanup_free char *lock = iw_path_join(index->root, "index.lock");
    iw_cleanup_fd int locked = -1;
    if (iw_lock_file(lock, true, true, &locked, err) != 0) return -1;
    struct stat now;
    if (lstat(index->path, &now) != 0) return 0;
    if (now.st_ino != seen->st_ino || now.st_dev != seen->st_dev) return 0;
    iw_cleanup_free char *aside = iw_format("%s.damaged", index->path),
                         *wal = iw_format("%s-wal", index->path),
                         *shm = iw_format("%s-shm", index->path);
    if (S_ISDIR(now.st_mode) && iw_remove_tree(index->path, err) != 0) return -1;
    if (!S_ISDIR(now.st_mode) && rename(index->path, aside) != 0)
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't move the damaged index %s aside",
                             index->path);
    unlink(wal);
    unlink(shm);
    return 0;
}

static int open_or_rebuild(iw_index *index, iw_error *err)
{
    for (int tries = 0;; tries++) {
        bool fresh = false;
        int version = 0;
        struct stat seen = {0};
        (void)!lstat(index->path, &seen);
        int code = open_db(index, &fresh, &version);
        if (code == SQLITE_OK && version > IW_INDEX_VERSION)
            return iw_fail(err, IW_E_ENVIRONMENT,
                           "%s was written by a newer ironwheel (format %d, this one knows %d): "
                           "use that one, or another "
                           "store with --cache",
                           index->path, version, IW_INDEX_VERSION);
        if (code == SQLITE_OK && !fresh) return 0;
        if (code == SQLITE_OK) {
            index->rebuilding = true;
            int status = index->fill(index->context, index, err);
            index->rebuilding = false;
            return status;
        }
        bool damage = is_damage(code) || (tries == 0 && !S_ISREG(seen.st_mode) && seen.st_ino);
        if (!damage || tries > 2) return failed(index, code, "open", err);
        close_db(index);
        if (set_aside(index, &seen, err) != 0) return -1;
    }
}

int iw_index_open(const char *root, iw_index_fill fill, void *context, iw_index **out,
                  iw_error *err)
{
    iw_index *index = iw_alloc(sizeof *index);
    index->root = iw_strdup(root);
    index->path = iw_path_join(root, "index.sqlite");
    index->fill = fill;
    index->context = context;
    int status = open_or_rebuild(index, err);
    if (status != 0) {
        iw_index_close(index);
        index = NULL;
    }
    *out = index;
    return status;
}

void iw_index_close(iw_index *index)
{
    if (!index) return;
    close_db(index);
    free(index->root);
    free(index->path);
    free(index);
}

/* --- queries -------------------------------------------------------------- */

static int bind_values(sqlite3_stmt *statement, const iw_value *values, int count)
{
    int code = SQLITE_OK;
    for (int i = 0; i < count && code == SQLITE_OK; i++) {
        const iw_value *v = &values[i];
        if (v->kind == 't')
            code = v->text ? sqlite3_bind_text(statement, i + 1, v->text, -1, SQLITE_TRANSIENT)
                           : sqlite3_bind_null(statement, i + 1);
        else
            code = v->kind == 'n' ? sqlite3_bind_int64(statement, i + 1, v->number)
                                  : sqlite3_bind_double(statement, i + 1, v->real);
    }
    return code;
}

void iw_index_end(iw_index *index)
{
    if (index->open) sqlite3_reset(index->open);
    index->open = NULL;
}

static int run(iw_index *index, iw_query query, const iw_value *values, int count,
               sqlite3_stmt **row)
{
    sqlite3_stmt **statement = &index->statements[query];
    int code = SQLITE_OK;
    if (!*statement)
        code = sqlite3_prepare_v3(index->db, texts[query], -1, SQLITE_PREPARE_PERSISTENT, statement,
                                  NULL);
    if (code != SQLITE_OK) return code;
    iw_index_end(index);
    sqlite3_reset(*statement);
    code = bind_values(*statement, values, count);
    if (code == SQLITE_OK) code = sqlite3_step(*statement);
    if (code == SQLITE_ROW && row) {
        *row = index->open = *statement;
        return SQLITE_OK;
    }
    int end = sqlite3_reset(*statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? end : code;
}

int iw_index_query(iw_index *index, iw_query query, const iw_value *values, int count,
                   sqlite3_stmt **row, iw_error *err)
{
    if (row) *row = NULL;
    if (!index->db)
        return iw_fail(err, IW_E_IO, "%s could not be made again; run again", index->path);
    int code = run(index, query, values, count, row);
    if (code != SQLITE_OK && is_damage(code) && !index->rebuilding && !index->in_transaction) {
        struct stat seen;
        bool there = lstat(index->path, &seen) == 0;
        close_db(index);
        if ((there && set_aside(index, &seen, err) != 0) || open_or_rebuild(index, err) != 0)
            return -1;
        code = run(index, query, values, count, row);
    }
    if (query == IW_Q_ROLLBACK)
        index->in_transaction = false; /* SQLite may have rolled back by itself */
    if (code != SQLITE_OK)
        return failed(index, code, query == IW_Q_BEGIN || row ? "read" : "write", err);
    if (query == IW_Q_BEGIN) index->in_transaction = true;
    if (query == IW_Q_COMMIT || query == IW_Q_ROLLBACK) index->in_transaction = false;
    return 0;
}
