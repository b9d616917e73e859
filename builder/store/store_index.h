/* The index: an SQLite file with what the store's files say, and with what was measured. It may be
 * lost at any time: it is then made again. Every statement goes through iw_index_query, which
 * notices a damaged index, has it rebuilt, and asks again. Internal to `store`. */
#ifndef IW_STORE_INDEX_H
#define IW_STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "base/error.h"

#define IW_INDEX_VERSION 1 /* PRAGMA user_version */

typedef enum iw_query {
    IW_Q_BEGIN,
    IW_Q_COMMIT,
    IW_Q_ROLLBACK,
    IW_Q_SOURCE_GET,
    IW_Q_SOURCE_PUT,
    IW_Q_SOURCE_DROP,
    IW_Q_ARTIFACT_GET,
    IW_Q_ARTIFACT_BY_PLAN,
    IW_Q_ARTIFACT_PUT,
    IW_Q_ARTIFACT_SEEN,
    IW_Q_ARTIFACT_DROP,
    IW_Q_PLAN_PUT,
    IW_Q_MEASURE_PUT,
    IW_Q_MEASURE_GET,
    IW_Q_FETCH_PUT,
    IW_Q_FETCH_DROP,
    IW_Q_FETCH_GET,
    IW_Q_BUNDLE_PUT,
    IW_Q_BUNDLE_GET,
    IW_Q_BUNDLE_DROP,
    IW_Q_INPUTS_PUT,
    IW_Q_INPUTS_GET,
    IW_QUERIES
} iw_query;

/* A parameter: text (NULL: null), whole or real number. */
typedef struct iw_value {
    char kind;
    const char *text;
    int64_t number;
    double real;
} iw_value;
#define IW_TEXT(value) ((iw_value){.kind = 't', .text = (value)})
#define IW_NUMBER(value) ((iw_value){.kind = 'n', .number = (int64_t)(value)})
#define IW_REAL(value) ((iw_value){.kind = 'r', .real = (value)})

typedef struct iw_index iw_index;

/* Fills an empty index from the files; called with the index open. */
typedef int (*iw_index_fill)(void *context, iw_index *index, iw_error *err);

/* Opens "<root>/index.sqlite", making or rebuilding it. Waits up to a minute for another process.
 * Caller closes. */
int iw_index_open(const char *root, iw_index_fill fill, void *context, iw_index **out,
                  iw_error *err);
void iw_index_close(iw_index *index);

/* Runs a statement up to its first row. *row (may be NULL) is the statement, whose columns are
 * valid until the next query or iw_index_end, or NULL where there is none. */
int iw_index_query(iw_index *index, iw_query query, const iw_value *values, int count,
                   sqlite3_stmt **row, iw_error *err);
/* The row was taken: ends its read transaction. Without it, this handle would go on seeing the
 * index as it was then, and could not write once another process had. */
void iw_index_end(iw_index *index);

/* What tells quickly that a file is still the one that was hashed: inode, size, mtime and ctime in
 * nanoseconds. */
typedef struct iw_quick {
    int64_t inode, size, mtime, ctime;
} iw_quick;
iw_quick iw_quick_of(const struct stat *status);
bool iw_quick_equal(iw_quick a, iw_quick b);
/* From four columns of a row, starting at `column`. */
iw_quick iw_quick_read(sqlite3_stmt *row, int column);

/* Column as text, never NULL; borrowed until the statement runs again. */
const char *iw_column_text(sqlite3_stmt *row, int column);

#endif
