#include "upgrade/patch_lines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define FILE_LIMIT ((size_t)64 << 20)
enum { TELLING = 10 }; /* letters and digits of a line that doesn't stand anywhere by chance */

struct reading {
    const char *folder;
    unsigned strip;
    char *file;          /* what the file holds now; "" where it isn't there */
    long before, after;  /* lines of the hunk that are still to come */
    iw_buffer run;       /* added lines, each with its end */
    iw_buffer kept;      /* the hunk's context and added lines */
    iw_buffer taken;     /* its removed lines */
    bool telling, wrong; /* of the patch so far */
};

static bool says_something(iw_slice line)
{
    size_t count = 0;
    for (size_t i = 0; i < line.length; i++) count += isalnum((unsigned char)line.data[i]) != 0;
    return count >= TELLING;
}

/* Whole lines, one after another. */
static bool has_lines(const char *text, const char *lines)
{
    for (const char *at = text; (at = strstr(at, lines)); at++)
        if (at == text || at[-1] == '\n') return true;
    return false;
}

static void end_run(struct reading *r)
{
    if (r->run.length && !has_lines(r->file, r->run.data)) r->wrong = true;
    iw_buffer_clear(&r->run);
}

static void end_hunk(struct reading *r)
{
    iw_slice rest = iw_slice_of(r->taken.length ? r->taken.data : ""), line;
    end_run(r);
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *whole = iw_format("%.*s\n", (int)line.length, line.data);
        bool stays = r->kept.length && has_lines(r->kept.data, whole);
        if (says_something(line) && !stays && has_lines(r->file, whole)) r->wrong = true;
    }
    iw_buffer_clear(&r->kept), iw_buffer_clear(&r->taken);
    r->before = r->after = 0;
}

static void add_line(iw_buffer *to, iw_slice line)
{
    iw_buffer_add(to, line.data, line.length);
    iw_buffer_add_char(to, '\n');
}

static void read_change(struct reading *r, iw_slice line)
{
    char kind = line.length ? line.data[0] : ' ';
    iw_slice rest = line.length ? (iw_slice){line.data + 1, line.length - 1} : line;
    if (kind == '\\') return; /* no newline at the end */
    if (kind == '+') {
        add_line(&r->run, rest);
        r->telling = r->telling || says_something(rest);
    } else end_run(r);
    if (kind == '-') add_line(&r->taken, rest);
    else add_line(&r->kept, rest);
    r->before -= kind != '+';
    r->after -= kind != '-';
    if (r->before <= 0 && r->after <= 0) end_hunk(r);
}

/* The file of "+++ b/x": what it holds. */
static void open_file(struct reading *r, iw_slice name)
{
    const char *tab = memchr(name.data, '\t', name.length);
    if (tab) name.length = (size_t)(tab - name.data);
    iw_cleanup_free char *path = iw_strndup(name.data, name.length);
    const char *below = path;
    if (strcmp(path, "/dev/null") == 0) r->wrong = true;
    free(r->file);
    r->file = NULL;
    for (unsigned i = 0; i < r->strip && below; i++)
        if ((below = strchr(below, '/'))) below++;
    iw_cleanup_free char *full =
        below && iw_path_is_inside(below) ? iw_path_join(r->folder, below) : NULL;
    size_t length = 0;
    struct stat status;
    if (!full || lstat(full, &status) != 0 || !S_ISREG(status.st_mode) ||
        iw_read_file(full, FILE_LIMIT, &r->file, &length, NULL) != 0 || strlen(r->file) != length) {
        free(r->file);
        r->file = iw_strdup("");
    }
}

static void read_header(struct reading *r, iw_slice line)
{
    iw_cleanup_free char *text = iw_strndup(line.data, line.length);
    long from, to, before = 1, after = 1;
    if (iw_starts_with(text, "+++ ")) open_file(r, (iw_slice){line.data + 4, line.length - 4});
    else if (iw_starts_with(text, "GIT binary patch")) r->wrong = true;
    else if (sscanf(text, "@@ -%ld,%ld +%ld,%ld @@", &from, &before, &to, &after) == 4 ||
             sscanf(text, "@@ -%ld +%ld,%ld @@", &from, &to, &after) == 3 ||
             sscanf(text, "@@ -%ld,%ld +%ld @@", &from, &before, &to) == 3 ||
             sscanf(text, "@@ -%ld +%ld @@", &from, &to) == 2) {
        r->before = before;
        r->after = after;
        if (!r->file) r->wrong = true;
    }
}

bool iw_patch_lines_stand(const char *folder, const char *text, unsigned strip)
{
    struct reading r = {.folder = folder, .strip = strip};
    iw_slice rest = iw_slice_of(text), line;
    while (!r.wrong && iw_slice_next(&rest, '\n', &line))
        if (r.before > 0 || r.after > 0) read_change(&r, line);
        else read_header(&r, line);
    bool stand = !r.wrong && r.telling && r.before <= 0 && r.after <= 0;
    free(r.file);
    iw_buffer_free(&r.run), iw_buffer_free(&r.kept), iw_buffer_free(&r.taken);
    return stand;
}
