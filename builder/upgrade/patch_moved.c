/* A patch whose files upstream has moved to other folders. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "upgrade/patch_try.h"

#define PATCH_LIMIT ((size_t)16 << 20)

/* --- where a file went ---------------------------------------------------- */

/* Equal folders from the end, then from the start: "numpy/core/src/x.c" is likelier
 * "numpy/_core/src/x.c" than "vendor/x.c". */
static size_t likeness(const char *a, const char *b)
{
    size_t start = 0, end = 0, length = strlen(a), other = strlen(b);
    for (size_t i = 0; i < length && i < other && a[i] == b[i]; i++) start += a[i] == '/';
    for (size_t i = 1; i <= length && i <= other && a[length - i] == b[other - i]; i++)
        end += a[length - i] == '/';
    return end * 1000 + start;
}

struct search {
    const char *missing;
    char *best;
    size_t likeness;
    bool tied;
};

static int look(void *context, const char *relative, const char *full, const struct stat *status,
                iw_error *err)
{
    struct search *search = context;
    (void)full, (void)err;
    if (!S_ISREG(status->st_mode) ||
        strcmp(iw_path_base(relative), iw_path_base(search->missing)) != 0)
        return 0;
    size_t alike = likeness(relative, search->missing);
    if (search->best && alike <= search->likeness) {
        search->tied = search->tied || alike == search->likeness;
        return 0;
    }
    free(search->best);
    search->best = iw_strdup(relative);
    search->likeness = alike;
    search->tied = false;
    return 0;
}

/* The one file of that name which stands likeliest for it; NULL where none or several do. */
static int find_file(const char *folder, const char *missing, char **out, iw_error *err)
{
    struct search search = {.missing = missing};
    int status = iw_walk(folder, look, &search, err);
    if (status != 0 || search.tied) {
        free(search.best);
        search.best = NULL;
    }
    *out = search.best;
    return status;
}

/* --- the patch with its new name ------------------------------------------ */

static bool is_header(iw_slice line)
{
    static const char *const starts[] = {"--- ", "+++ ", "diff --git ", "Index: ", NULL};
    for (size_t i = 0; starts[i]; i++)
        if (line.length > strlen(starts[i]) && memcmp(line.data, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* The line with `from` as `to` wherever it ends a name. */
static void add_renamed(iw_buffer *out, iw_slice line, const char *from, const char *to)
{
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    const char *at = text, *found;
    while ((found = strstr(at, from))) {
        const char *end = found + strlen(from);
        bool whole = found > text && strchr("/ ", found[-1]) && (!*end || strchr(" \t\r", *end));
        iw_buffer_add(out, at, (size_t)(found - at));
        iw_buffer_add_text(out, whole ? to : from);
        at = end;
    }
    iw_buffer_add_text(out, at);
}

static char *renamed(const char *text, const char *from, const char *to)
{
    iw_buffer out = {0};
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (is_header(line)) add_renamed(&out, line, from, to);
        else iw_buffer_add(&out, line.data, line.length);
        iw_buffer_add_char(&out, '\n');
    }
    return iw_buffer_take(&out);
}

/* --- trying it -------------------------------------------------------------- */

/* Renames every file that isn't there in *text; `moved` gets "old is new now". Stops where
 * something else is wrong, too. */
static int rename_all(const char *folder, const iw_patch_try *tried, char **text, iw_strings *moved,
                      bool *all, iw_error *err)
{
    *all = true;
    for (size_t i = 0; i < tried->hunk_count && *all; i++) {
        const iw_hunk *hunk = &tried->hunks[i];
        iw_cleanup_free char *now = NULL;
        if (!hunk->failed) continue;
        *all = hunk->missing && hunk->file;
        if (*all && find_file(folder, hunk->file, &now, err) != 0) return -1;
        *all = *all && now;
        if (!*all) break;
        char *fresh = renamed(*text, hunk->file, now);
        free(*text);
        *text = fresh;
        iw_strings_add_format(moved, "%s is %s now", hunk->file, now);
    }
    return 0;
}

int iw_try_moved_patch(const char *folder, const char *patch, unsigned strip, const char *work,
                       iw_patch_try *out, iw_error *err)
{
    iw_cleanup_free char *text = NULL, *path = iw_path_join(work, "moved.patch");
    iw_strings moved = {0};
    iw_patch_try second;
    bool all;
    if (iw_read_file(patch, PATCH_LIMIT, &text, NULL, err) != 0) return -1;
    int status = rename_all(folder, out, &text, &moved, &all, err);
    if (status == 0 && all && moved.count) {
        status = iw_write_passing(path, text, strlen(text), 0600, err);
        if (status == 0) status = iw_try_patch(folder, path, strip, work, &second, err);
        if (status == 0 && second.result != IW_PATCH_CONFLICT) {
            iw_patch_try_clear(out);
            *out = second;
            out->text = iw_steal(&text);
            out->moved = moved;
            if (out->result == IW_PATCH_CLEAN) out->result = IW_PATCH_OFFSET;
            return 0;
        }
        if (status == 0) iw_patch_try_clear(&second);
    }
    iw_strings_free(&moved);
    return status;
}
