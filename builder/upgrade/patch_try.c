#include "upgrade/patch_try.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "base/text.h"

#define PATCH_LIMIT ((size_t)16 << 20)
#define OUTPUT_LIMIT ((size_t)16 << 20)
#define SOURCE_LIMIT ((size_t)64 << 20)
enum { SHOWN_LINES = 9, HUNK_LIMIT = 2000 };

const char *iw_patch_class_name(iw_patch_class result)
{
    static const char *const names[] = {"clean", "offset", "upstream", "conflict"};
    return names[result];
}

static void clear_hunk(iw_hunk *hunk)
{
    free(hunk->file), free(hunk->why), free(hunk->now);
}

void iw_patch_try_clear(iw_patch_try *out)
{
    for (size_t i = 0; i < out->hunk_count; i++) clear_hunk(&out->hunks[i]);
    free(out->hunks);
    free(out->text);
    iw_strings_free(&out->moved);
    *out = (iw_patch_try){0};
}

static iw_hunk *add_hunk(iw_patch_try *out, const char *file, unsigned number)
{
    if (out->hunk_count == HUNK_LIMIT) clear_hunk(&out->hunks[--out->hunk_count]);
    iw_grow((void **)&out->hunks, &out->hunk_capacity, out->hunk_count + 1, sizeof *out->hunks);
    iw_hunk *hunk = &out->hunks[out->hunk_count++];
    *hunk = (iw_hunk){.file = iw_strdup(file), .number = number};
    return hunk;
}

/* --- the files that a patch names ----------------------------------------- */

/* "--- a/x/y<tab>time" and the like: the name with `strip` parts dropped, or NULL. Caller frees. */
static char *named_file(iw_slice line, unsigned strip)
{
    static const char *const starts[] = {"--- ",       "+++ ",     "rename from ", "rename to ",
                                         "copy from ", "copy to ", "Index: ",      NULL};
    for (size_t i = 0; starts[i]; i++) {
        size_t length = strlen(starts[i]);
        if (line.length <= length || memcmp(line.data, starts[i], length) != 0) continue;
        iw_slice rest = iw_slice_trim((iw_slice){line.data + length, line.length - length});
        const char *tab = memchr(rest.data, '\t', rest.length);
        if (tab) rest.length = (size_t)(tab - rest.data);
        for (unsigned k = 0; k < strip && i != 2 && i != 3 && i != 4 && i != 5; k++) {
            const char *slash = memchr(rest.data, '/', rest.length);
            if (!slash) return NULL;
            rest = (iw_slice){slash + 1, rest.length - (size_t)(slash + 1 - rest.data)};
        }
        return iw_strndup(rest.data, rest.length);
    }
    return NULL;
}

static void add_name(iw_slice line, unsigned strip, iw_strings *out)
{
    iw_cleanup_free char *name = named_file(line, strip);
    if (name && iw_path_is_inside(name) && !iw_strings_has(out, name)) iw_strings_add(out, name);
}

/* "diff --git a/x b/x" is all that a binary change, or one of modes, names. */
static void add_git_names(iw_slice line, unsigned strip, iw_strings *out)
{
    static const char start[] = "diff --git ";
    if (line.length <= strlen(start) || memcmp(line.data, start, strlen(start)) != 0) return;
    iw_slice rest = {line.data + strlen(start), line.length - strlen(start)}, word;
    while (iw_slice_next(&rest, ' ', &word)) {
        iw_cleanup_free char *as_header = iw_format("+++ %.*s", (int)word.length, word.data);
        add_name(iw_slice_of(as_header), strip, out);
    }
}

static void named_files(const char *text, unsigned strip, iw_strings *out)
{
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        add_name(line, strip, out);
        add_git_names(line, strip, out);
    }
}

/* A regular file below `folder`, no link on the way. */
static bool is_plain(const char *folder, const char *name)
{
    iw_cleanup_free char *path = iw_path_join(folder, name);
    struct stat status;
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        bool bad = lstat(path, &status) != 0 || !S_ISDIR(status.st_mode);
        *slash = '/';
        if (bad) return false;
    }
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static int copy_file(const char *from, const char *to, const char *name, iw_error *err)
{
    iw_cleanup_free char *source = iw_path_join(from, name), *target = iw_path_join(to, name),
                         *parent = iw_path_parent(target);
    if (iw_make_folders(parent, 0755, err) != 0) return -1;
    return iw_copy_file(source, target, err);
}

/* A folder that holds those of the files that are there. */
static int make_copy(const char *folder, const iw_strings *files, const char *copy, iw_error *err)
{
    if (iw_remove_tree(copy, err) != 0 || iw_make_folders(copy, 0755, err) != 0) return -1;
    for (size_t i = 0; i < files->count; i++)
        if (is_plain(folder, files->items[i]) && copy_file(folder, copy, files->items[i], err) != 0)
            return -1;
    return 0;
}

/* --- patch ---------------------------------------------------------------- */

/* Runs it in `folder` as the build does. *status: 0 or 1 as patch gives it; what it said in *said.
 */
static int run_patch(const char *folder, const char *patch, unsigned strip, bool reverse,
                     const char *work, int *status, char **said, iw_error *err)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    iw_cleanup_free char *level = iw_format("-p%u", strip), *log = iw_path_join(work, "said");
    const char *argv[] = {
        "patch", level, "-F0", "-f", "--no-backup-if-mismatch", "-i", patch, reverse ? "-R" : NULL,
        NULL};
    iw_cleanup_fd int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return iw_fail_errno(err, IW_E_IO, "can't write %s", log);
    iw_command command = {.argv = argv,
                          .environment = environment,
                          .folder = folder,
                          .in = -1,
                          .out = out,
                          .error = out,
                          .die_with_parent = true};
    pid_t pid;
    int ended;
    if (iw_spawn(&command, &pid, err) != 0)
        return iw_wrap(err, "GNU patch (Debian package patch) tries the patches");
    if (iw_wait(pid, &ended, err) != 0) return -1;
    *status = WIFEXITED(ended) ? WEXITSTATUS(ended) : 2;
    return iw_read_file(log, OUTPUT_LIMIT, said, NULL, err);
}

/* --- what it says --------------------------------------------------------- */

struct reading {
    iw_patch_try *out;
    char *file; /* that it works on */
};

static void set_file(struct reading *reading, const char *text)
{
    size_t length = strlen(text);
    const char *renamed = strstr(text, " (renamed from "), *copied = strstr(text, " (copied from ");
    if (renamed) length = (size_t)(renamed - text);
    else if (copied) length = (size_t)(copied - text);
    if (length > 1 && text[0] == '\'' && text[length - 1] == '\'') text++, length -= 2;
    free(reading->file);
    reading->file = iw_strndup(text, length);
}

static void read_hunk(struct reading *reading, const char *line)
{
    unsigned number;
    long at = 0, offset = 0;
    int end = 0;
    if (sscanf(line, "Hunk #%u succeeded at %ld (offset %ld", &number, &at, &offset) == 3) {
        iw_hunk *hunk = add_hunk(reading->out, reading->file, number);
        hunk->line = at - offset;
        hunk->offset = offset;
    } else if (sscanf(line, "Hunk #%u FAILED at %ld%n", &number, &at, &end) == 2) {
        iw_hunk *hunk = add_hunk(reading->out, reading->file, number);
        hunk->line = at;
        hunk->failed = true;
        if (strstr(line + end, "different line endings"))
            hunk->why = iw_strdup("the lines end differently (CRLF or LF)");
    }
}

/* Trouble with a file as a whole. */
static void read_trouble(struct reading *reading, const char *line)
{
    static const char *const signs[][2] = {
        {"can't find file to patch", "the file isn't there"},
        {"which already exists", "the patch makes it, and it is there already"},
        {"which does not exist", "the patch removes it, and it is gone already"},
        {"git binary diffs are not supported", "a binary hunk, which GNU patch can't apply"},
        {"as content differs from patch", "it isn't empty once the patch has taken its lines out"},
        {"is not a regular file", "it is no regular file"},
        {"malformed patch", "the patch is malformed"},
        {"Only garbage was found", "the patch holds no change"},
        {"Ignoring potentially dangerous file name", "its name leads out of the sources"},
        {NULL, NULL}};
    for (size_t i = 0; signs[i][0]; i++) {
        if (!strstr(line, signs[i][0])) continue;
        iw_hunk *hunk = add_hunk(reading->out, reading->file, 0);
        hunk->failed = true;
        hunk->why = iw_strdup(signs[i][1]);
        hunk->missing = i == 0;
        return;
    }
}

/* "can't find file" comes before its name, which patch quotes from the text: "|--- a/x". */
static void read_quoted(struct reading *reading, const char *line, unsigned strip)
{
    iw_hunk *last =
        reading->out->hunk_count ? &reading->out->hunks[reading->out->hunk_count - 1] : NULL;
    iw_cleanup_free char *name = named_file(iw_slice_of(line + 1), strip);
    if (!name || !last || last->number || strcmp(name, "/dev/null") == 0 || !last->missing) return;
    free(last->file);
    last->file = iw_steal(&name);
}

static void read_said(const char *said, unsigned strip, iw_patch_try *out)
{
    struct reading reading = {.out = out};
    iw_slice rest = iw_slice_of(said), part;
    while (iw_slice_next(&rest, '\n', &part)) {
        iw_cleanup_free char *line = iw_strndup(part.data, part.length);
        const char *makes = strstr(line, "would create the file "),
                   *removes = strstr(line, "would delete the file ");
        if (iw_starts_with(line, "patching file ")) set_file(&reading, line + 14);
        else if (iw_starts_with(line, "Hunk #")) read_hunk(&reading, line);
        else if (line[0] == '|') read_quoted(&reading, line, strip);
        else if (makes || removes) {
            const char *name = (makes ? makes : removes) + 22;
            iw_cleanup_free char *plain = iw_strndup(name, strcspn(name, ","));
            set_file(&reading, plain);
        } else if (iw_starts_with(line, "File ") && strstr(line, ": git binary")) {
            iw_cleanup_free char *plain = iw_strndup(line + 5, strcspn(line + 5, ":"));
            set_file(&reading, plain);
            read_trouble(&reading, line);
        } else read_trouble(&reading, line);
    }
    free(reading.file);
}

/* --- what stands there now ------------------------------------------------ */

static void show_lines(const char *text, long first, iw_buffer *out)
{
    iw_slice rest = iw_slice_of(text), line;
    long number = 0;
    while (iw_slice_next(&rest, '\n', &line)) {
        number++;
        if (number < first) continue;
        if (number >= first + SHOWN_LINES) break;
        iw_buffer_add_format(out, "%ld: ", number);
        for (size_t i = 0; i < line.length && i < 160; i++)
            iw_buffer_add_char(out, iscntrl((unsigned char)line.data[i]) ? ' ' : line.data[i]);
        iw_buffer_add_char(out, '\n');
    }
}

/* The line on which the hunk's own first unique context stands nearest to where it says, or that
 * place. */
static void show_now(const char *folder, iw_hunk *hunk)
{
    iw_cleanup_free char *path = hunk->file ? iw_path_join(folder, hunk->file) : NULL, *text = NULL;
    iw_cleanup_buffer iw_buffer shown = {0};
    if (!path || !iw_path_is_inside(hunk->file) || !is_plain(folder, hunk->file) ||
        iw_read_file(path, SOURCE_LIMIT, &text, NULL, NULL) != 0)
        return;
    show_lines(text, hunk->line > 1 ? hunk->line : 1, &shown);
    if (shown.length) hunk->now = iw_buffer_take(&shown);
}

/* --- the verdict ---------------------------------------------------------- */

static long farthest(const iw_patch_try *tried)
{
    long most = 0;
    for (size_t i = 0; i < tried->hunk_count; i++)
        if (labs(tried->hunks[i].offset) > most) most = labs(tried->hunks[i].offset);
    return most;
}

static bool fails(const iw_patch_try *tried, const iw_hunk *hunk)
{
    for (size_t i = 0; i < tried->hunk_count; i++) {
        const iw_hunk *other = &tried->hunks[i];
        bool same_file = hunk->file && other->file ? strcmp(hunk->file, other->file) == 0
                                                   : hunk->file == other->file;
        if (other->failed && same_file && (other->number == hunk->number || !other->number))
            return true;
    }
    return false;
}

/* Forward it fails: what of it is there already, and what stands where the rest should go. */
static void explain(const char *folder, const iw_patch_try *reverse, iw_patch_try *out)
{
    bool any = false;
    for (size_t i = 0; i < out->hunk_count; i++) {
        iw_hunk *hunk = &out->hunks[i];
        if (!hunk->failed) continue;
        any = true;
        hunk->upstream = hunk->number && !fails(reverse, hunk);
        if (!hunk->upstream) show_now(folder, hunk);
    }
    if (!any) add_hunk(out, NULL, 0)->failed = true;
    out->result = IW_PATCH_CONFLICT;
}

struct trial {
    const char *folder, *patch, *work, *copy;
    unsigned strip;
    const iw_strings *files;
};

static int try_one(const struct trial *trial, bool reverse, bool *fits, iw_patch_try *out,
                   iw_error *err)
{
    iw_cleanup_free char *said = NULL;
    int status;
    if (make_copy(trial->folder, trial->files, trial->copy, err) != 0 ||
        run_patch(trial->copy, trial->patch, trial->strip, reverse, trial->work, &status, &said,
                  err) != 0)
        return -1;
    read_said(said, trial->strip, out);
    *fits = status == 0;
    return 0;
}

/* A patch may go in forwards and backwards: where code is there twice, or where what it adds reads
 * like its own surroundings. The nearer place is meant; at the same distance its result counts, for
 * going in again would do it twice. */
static int judge(const struct trial *trial, iw_patch_try *out, iw_error *err)
{
    iw_patch_try reverse = {0};
    bool forward_fits, reverse_fits;
    if (try_one(trial, true, &reverse_fits, &reverse, err) != 0 ||
        try_one(trial, false, &forward_fits, out, err) != 0) {
        iw_patch_try_clear(&reverse);
        return -1;
    }
    out->both_ways = forward_fits && reverse_fits;
    if (reverse_fits && (!forward_fits || farthest(&reverse) <= farthest(out))) {
        iw_patch_try found = {.result = IW_PATCH_UPSTREAM, .both_ways = out->both_ways};
        iw_patch_try_clear(out);
        *out = found;
    } else if (forward_fits) out->result = farthest(out) ? IW_PATCH_OFFSET : IW_PATCH_CLEAN;
    else explain(trial->folder, &reverse, out);
    iw_patch_try_clear(&reverse);
    return 0;
}

static int apply(const char *folder, const char *patch, unsigned strip, const char *work,
                 iw_error *err)
{
    iw_cleanup_free char *said = NULL;
    int status;
    if (run_patch(folder, patch, strip, false, work, &status, &said, err) != 0) return -1;
    return status == 0 ? 0
                       : iw_fail(err, IW_E_BUILD,
                                 "%s went into a copy of the files that it names, but not into the "
                                 "sources themselves: %.300s",
                                 patch, said);
}

int iw_try_patch(const char *folder, const char *patch, unsigned strip, const char *work,
                 iw_patch_try *out, iw_error *err)
{
    *out = (iw_patch_try){0};
    iw_cleanup_free char *text = NULL, *copy = iw_path_join(work, "copy");
    iw_cleanup_strings iw_strings files = {0};
    if (iw_read_file(patch, PATCH_LIMIT, &text, NULL, err) != 0) return -1;
    named_files(text, strip, &files);
    struct trial trial = {folder, patch, work, copy, strip, &files};
    int status = judge(&trial, out, err);
    if (iw_remove_tree(copy, status == 0 ? err : NULL) != 0) status = -1;
    if (status == 0 && out->result <= IW_PATCH_OFFSET)
        status = apply(folder, patch, strip, work, err);
    if (status != 0) iw_patch_try_clear(out);
    return status;
}

/* --- refreshing ----------------------------------------------------------- */

static long offset_of(const iw_patch_try *tried, const char *file, unsigned number)
{
    for (size_t i = 0; i < tried->hunk_count; i++) {
        const iw_hunk *hunk = &tried->hunks[i];
        if (hunk->number == number && hunk->file && iw_ends_with(file, hunk->file))
            return hunk->offset;
    }
    return 0;
}

/* The number at *at with `by` added, and what of ",3" follows; false where there is none. */
static bool moved_number(const char **at, const char *end, long by, iw_buffer *out)
{
    long value = 0;
    const char *p = *at;
    for (; p < end && isdigit((unsigned char)*p); p++)
        if ((value = value * 10 + (*p - '0')) > 1000000000) return false;
    if (p == *at) return false;
    iw_buffer_add_format(out, "%ld", value + by);
    for (; p < end && (*p == ',' || isdigit((unsigned char)*p)); p++) iw_buffer_add_char(out, *p);
    *at = p;
    return true;
}

/* "@@ -1,7 +1,9 @@ …" with both starts moved; false where the line isn't one. */
static bool moved_header(iw_slice line, long by, iw_buffer *out)
{
    static const char start[] = "@@ -", middle[] = " +";
    const char *at = line.data + strlen(start), *end = line.data + line.length;
    iw_cleanup_buffer iw_buffer moved = {0};
    if (line.length < strlen(start) || memcmp(line.data, start, strlen(start)) != 0) return false;
    iw_buffer_add_text(&moved, start);
    if (!moved_number(&at, end, by, &moved) || end - at < 2 || memcmp(at, middle, 2) != 0)
        return false;
    at += 2;
    iw_buffer_add_text(&moved, middle);
    if (!moved_number(&at, end, by, &moved)) return false;
    iw_buffer_add(out, moved.data, moved.length);
    iw_buffer_add_format(out, "%.*s\n", (int)(end - at), at);
    return true;
}

/* The name in "--- a/x<tab>…" or "+++ b/x"; false where the line has none. */
static bool header_file(iw_slice line, iw_slice *name)
{
    if (line.length < 5 || (memcmp(line.data, "+++ ", 4) != 0 && memcmp(line.data, "--- ", 4) != 0))
        return false;
    *name = iw_slice_trim((iw_slice){line.data + 4, line.length - 4});
    const char *tab = memchr(name->data, '\t', name->length);
    if (tab) name->length = (size_t)(tab - name->data);
    return true;
}

char *iw_patch_refreshed(const char *text, const iw_patch_try *tried)
{
    iw_buffer out = {0};
    iw_cleanup_free char *file = iw_strdup("");
    unsigned number = 0;
    iw_slice rest = iw_slice_of(text), line, name;
    while (iw_slice_next(&rest, '\n', &line)) {
        if (header_file(line, &name)) {
            number = 0;
            if (!iw_slice_equal(name, "/dev/null")) {
                free(file);
                file = iw_strndup(name.data, name.length);
            }
        }
        if (moved_header(line, offset_of(tried, file, number + 1), &out)) {
            number++;
            continue;
        }
        iw_buffer_add(&out, line.data, line.length);
        iw_buffer_add_char(&out, '\n');
    }
    return iw_buffer_take(&out);
}
