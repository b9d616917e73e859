/* Finishing a package's tree: what docs/recipes.md lists under "After a step, before an artifact is
 * packed". */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "pack/elf.h"
#include "pack/pack.h"
#include "pack/record.h"

#define TEXT_LIMIT (64u << 20)
#define BATCH 200 /* files of one strip or patchelf call */

struct work {
    const iw_finish *finish;
    iw_strings files;  /* regular files, relative */
    iw_strings links;  /* symbolic links, relative */
    iw_strings doomed; /* to be removed */
    iw_strings elves;  /* programs and shared libraries */
    json_t *facts;
};

static char *full_path(const struct work *work, const char *relative)
{
    return iw_path_join(work->finish->tree, relative);
}

/* --- what is there -------------------------------------------------------- */

static bool is_doomed(const char *relative, bool folder)
{
    const char *base = iw_path_base(relative);
    if (folder) return strcmp(base, "__pycache__") == 0;
    return iw_ends_with(base, ".la") || iw_ends_with(base, ".pyc") || iw_ends_with(base, ".pyo") ||
           strcmp(base, "direct_url.json") == 0 ||
           (strcmp(base, "dir") == 0 && iw_ends_with(relative, "share/info/dir"));
}

static int note_entry(void *context, const char *relative, const char *full,
                      const struct stat *status, iw_error *err)
{
    struct work *work = context;
    (void)full;
    bool folder = S_ISDIR(status->st_mode), removed = is_doomed(relative, folder);
    if (removed) {
        iw_strings_add(&work->doomed, relative);
        return folder ? 1 : 0;
    }
    if (S_ISREG(status->st_mode)) {
        iw_strings_add(&work->files, relative);
        if ((status->st_mode & 0200) == 0 && chmod(full, status->st_mode | 0200) != 0)
            return iw_fail_errno(err, IW_E_IO, "can't make %s writable", full);
    } else if (S_ISLNK(status->st_mode)) {
        iw_strings_add(&work->links, relative);
    } else if (!folder) {
        return iw_fail(err, IW_E_BUILD, "%s installed %s, which is neither file, folder nor link",
                       work->finish->recipe->name, relative);
    }
    return 0;
}

static int remove_doomed(struct work *work, iw_error *err)
{
    for (size_t i = 0; i < work->doomed.count; i++) {
        iw_cleanup_free char *path = full_path(work, work->doomed.items[i]);
        if (iw_remove_tree(path, err) != 0) return -1;
    }
    return 0;
}

/* --- ELF files ------------------------------------------------------------ */

/* "lib/python3.11/x" and "lib" give "../..": how to get from the folder of one file to another
 * folder. */
static char *relative_to(const char *file, const char *folder)
{
    iw_cleanup_free char *from = iw_path_parent(file);
    iw_slice a = iw_slice_of(strcmp(from, ".") == 0 ? "" : from),
             b = iw_slice_of(strcmp(folder, ".") == 0 ? "" : folder), part_a, part_b;
    for (;;) { /* drop what both start with */
        iw_slice rest_a = a, rest_b = b;
        if (!iw_slice_next(&rest_a, '/', &part_a) || !iw_slice_next(&rest_b, '/', &part_b)) break;
        if (part_a.length != part_b.length || memcmp(part_a.data, part_b.data, part_a.length) != 0)
            break;
        a = rest_a;
        b = rest_b;
    }
    iw_buffer out = {0};
    while (iw_slice_next(&a, '/', &part_a)) iw_buffer_add_text(&out, out.length ? "/.." : "..");
    if (b.length)
        iw_buffer_add_format(&out, "%s%.*s", out.length ? "/" : "", (int)b.length, b.data);
    return iw_buffer_take(&out);
}

/* The folder below the tree that holds a needed library, or NULL: then it is in the prefix's lib of
 * another package, or glibc's. */
static char *folder_of_library(const struct work *work, const char *soname)
{
    char *found = NULL;
    for (size_t i = 0; i < work->files.count + work->links.count && !found; i++) {
        const char *file =
            i < work->files.count ? work->files.items[i] : work->links.items[i - work->files.count];
        if (strcmp(iw_path_base(file), soname) == 0) found = iw_path_parent(file);
    }
    return found;
}

/* DT_RPATH for one file: the folders of what it needs, as $ORIGIN/…; "" where it needs glibc only.
 */
static char *run_path(const struct work *work, const char *file, const iw_elf *elf)
{
    iw_cleanup_strings iw_strings parts = {0};
    for (size_t i = 0; i < elf->needed.count; i++) {
        if (iw_is_glibc(elf->needed.items[i])) continue;
        iw_cleanup_free char *own = folder_of_library(work, elf->needed.items[i]);
        iw_cleanup_free char *way = relative_to(file, own ? own : "lib");
        iw_cleanup_free char *part = iw_format("$ORIGIN%s%s", *way ? "/" : "", way);
        if (!iw_strings_has(&parts, part)) iw_strings_add(&parts, part);
    }
    iw_strings_sort(&parts);
    iw_buffer out = {0};
    for (size_t i = 0; i < parts.count; i++)
        iw_buffer_add_format(&out, "%s%s", i ? ":" : "", parts.items[i]);
    return iw_buffer_take(&out);
}

static int run_on(const struct work *work, const char *const *words, const iw_strings *files,
                  iw_error *err)
{
    for (size_t start = 0; start < files->count; start += BATCH) {
        iw_cleanup_strings iw_strings argv = {0};
        iw_strings_add_all(&argv, words);
        for (size_t i = start; i < files->count && i < start + BATCH; i++)
            iw_strings_add_format(&argv, "%s/%s", work->finish->tree_inside, files->items[i]);
        if (work->finish->tool(work->finish->context, (const char *const *)argv.items, err) != 0)
            return -1;
    }
    return 0;
}

struct rpath_group {
    char *rpath;
    iw_strings files;
};

static void add_to_group(struct rpath_group **groups, size_t *count, size_t *capacity, char *rpath,
                         const char *file)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*groups)[i].rpath, rpath) != 0) continue;
        iw_strings_add(&(*groups)[i].files, file);
        free(rpath);
        return;
    }
    iw_grow((void **)groups, capacity, *count + 1, sizeof **groups);
    struct rpath_group *group = &(*groups)[(*count)++];
    *group = (struct rpath_group){.rpath = rpath};
    iw_strings_add(&group->files, file);
}

/* --remove-rpath alone would leave the text, which holds the prefix, in the string table: so it is
 * emptied first. */
static int set_run_paths(struct work *work, const struct rpath_group *groups, size_t count,
                         iw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *set[] = {"/usr/bin/patchelf", "--force-rpath", "--set-rpath", groups[i].rpath,
                             NULL};
        const char *drop[] = {"/usr/bin/patchelf", "--remove-rpath", NULL};
        if (run_on(work, set, &groups[i].files, err) != 0) return -1;
        if (!*groups[i].rpath && run_on(work, drop, &groups[i].files, err) != 0) return -1;
    }
    return 0;
}

/* patchelf has broken files before: what it wrote must still read as what was asked for. */
static int check_run_paths(const struct work *work, const struct rpath_group *groups, size_t count,
                           iw_error *err)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < groups[i].files.count; k++) {
            iw_cleanup_free char *path = full_path(work, groups[i].files.items[k]);
            iw_elf elf;
            if (iw_elf_read(path, &elf, err) != 0) return iw_wrap(err, "after patchelf");
            bool fine = !elf.runpath && strcmp(elf.rpath ? elf.rpath : "", groups[i].rpath) == 0;
            bool askew = elf.askew;
            iw_elf_clear(&elf);
            if (askew)
                return iw_fail(err, IW_E_BUILD, "patchelf broke %s: no loader takes it now",
                               groups[i].files.items[k]);
            if (!fine)
                return iw_fail(err, IW_E_BUILD, "patchelf did not set the run path of %s to \"%s\"",
                               groups[i].files.items[k], groups[i].rpath);
        }
    return 0;
}

/* GNU strip gives a segment without sections no bytes, at an offset that no loader takes (seen with
 * 2.40 and libraries that patchelf had changed before, cuDNN 9.1's). */
static int strip_all(const struct work *work, iw_error *err)
{
    const char *strip[] = {"/usr/bin/strip", "--strip-debug", "--preserve-dates", NULL};
    if (run_on(work, strip, &work->elves, err) != 0) return -1;
    for (size_t i = 0; i < work->elves.count; i++) {
        iw_cleanup_free char *path = full_path(work, work->elves.items[i]);
        if (iw_elf_drop_empty(path, err) != 0) return iw_wrap(err, "after strip");
    }
    return 0;
}

static int renew_build_ids(const struct work *work, const iw_strings *files, iw_error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        iw_cleanup_free char *path = full_path(work, files->items[i]);
        if (iw_elf_renew_build_id(path, err) != 0) return -1;
    }
    return 0;
}

static int finish_elves(struct work *work, iw_error *err)
{
    struct rpath_group *groups = NULL;
    size_t count = 0, capacity = 0;
    /* Their build ID is of what strip takes, too. What came stripped, or in a wheel, keeps its own:
     * its maker has the debug information by it. */
    iw_cleanup_strings iw_strings linked = {0};
    bool is_wheel = work->finish->recipe->build.system == IW_SYSTEM_WHEEL;
    int status = 0;
    for (size_t i = 0; i < work->files.count && status == 0; i++) {
        iw_cleanup_free char *path = full_path(work, work->files.items[i]);
        iw_elf elf;
        status = iw_elf_read(path, &elf, err);
        if (status != 0) break;
        if (elf.askew) { /* no loader takes it as it came: data */
            iw_elf_clear(&elf);
            continue;
        }
        if (elf.is_elf && !elf.object) iw_strings_add(&work->elves, work->files.items[i]);
        if (elf.is_elf && !elf.object && elf.symbols && !is_wheel)
            iw_strings_add(&linked, work->files.items[i]);
        if (elf.dynamic) {
            char *rpath = run_path(work, work->files.items[i], &elf);
            if (*rpath || elf.rpath || elf.runpath)
                add_to_group(&groups, &count, &capacity, rpath, work->files.items[i]);
            else free(rpath);
        }
        iw_elf_clear(&elf);
    }
    if (status == 0) status = strip_all(work, err);
    if (status == 0) status = set_run_paths(work, groups, count, err);
    if (status == 0) status = check_run_paths(work, groups, count, err);
    if (status == 0) status = renew_build_ids(work, &linked, err);
    for (size_t i = 0; i < count; i++) {
        free(groups[i].rpath);
        iw_strings_free(&groups[i].files);
    }
    free(groups);
    return status;
}

/* --- scripts, .pc files, links -------------------------------------------- */

static int replace_file(const char *path, const iw_buffer *text, iw_error *err)
{
    struct stat status;
    if (stat(path, &status) != 0) return iw_fail_errno(err, IW_E_IO, "can't look at %s", path);
    return iw_write_passing(path, text->data, text->length, status.st_mode & 0777, err);
}

/* "#!/opt/iw-prefix/bin/python3.11 -E" becomes a shell header that starts the interpreter beside
 * the script, through any links, from any path. To Python the header is a string: '''exec' … '''.
 */
static int rewrite_script(const struct work *work, const char *relative, const char *text,
                          size_t length, bool *done, iw_error *err)
{
    iw_cleanup_free char *start = iw_format("%s/bin/", work->finish->prefix);
    const char *interpreter = text + 2 + strspn(text + 2, " ");
    *done = false;
    if (strncmp(interpreter, start, strlen(start)) != 0) return 0;
    const char *name = interpreter + strlen(start),
               *line_end = memchr(name, '\n', length - (size_t)(name - text));
    size_t name_length = strcspn(name, " \t\r\n");
    if (!line_end) line_end = text + length;
    if (strncmp(name, "python", 6) != 0)
        return iw_fail(err, IW_E_BUILD,
                       "%s starts with %.*s, which can't be made relative; patch it, or remove it "
                       "in the recipe",
                       relative, (int)(line_end - text), text);
    iw_slice options =
        iw_slice_trim((iw_slice){name + name_length, (size_t)(line_end - name) - name_length});
    iw_cleanup_free char *way = relative_to(relative, "bin");
    iw_cleanup_buffer iw_buffer out = {0};
    iw_buffer_add_format(&out,
                         "#!/bin/sh\n'''exec' \"$(dirname -- \"$(readlink -f -- "
                         "\"$0\")\")%s%s/%.*s\" %.*s%s\"$0\" \"$@\"\n' '''",
                         *way ? "/" : "", way, (int)name_length, name, (int)options.length,
                         options.data, options.length ? " " : "");
    iw_buffer_add(&out, line_end, length - (size_t)(line_end - text));
    iw_cleanup_free char *path = full_path(work, relative);
    *done = true;
    return replace_file(path, &out, err);
}

static void add_replaced(iw_buffer *out, const char *text, const char *what, const char *with)
{
    for (const char *found; (found = strstr(text, what)); text = found + strlen(what)) {
        iw_buffer_add(out, text, (size_t)(found - text));
        iw_buffer_add_text(out, with);
    }
    iw_buffer_add_text(out, text);
}

/* pkg-config's own variable for the file's place (pkg-config(1), pcfiledir). */
static int rewrite_pc(const struct work *work, const char *relative, const char *text,
                      iw_error *err)
{
    iw_cleanup_free char *up = relative_to(relative, "");
    iw_cleanup_free char *prefix = iw_format("${pcfiledir}%s%s", *up ? "/" : "", up);
    iw_cleanup_buffer iw_buffer out = {0};
    add_replaced(&out, text, work->finish->prefix, prefix);
    iw_cleanup_free char *path = full_path(work, relative);
    return replace_file(path, &out, err);
}

static int rewrite_texts(struct work *work, iw_error *err)
{
    for (size_t i = 0; i < work->files.count; i++) {
        const char *relative = work->files.items[i];
        iw_cleanup_free char *path = full_path(work, relative), *text = NULL;
        size_t length;
        bool pc = iw_ends_with(relative, ".pc"), done;
        char head[2] = "";
        iw_cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", path);
        bool script = read(fd, head, 2) == 2 && head[0] == '#' && head[1] == '!';
        if (!pc && !script) continue;
        if (iw_read_file(path, TEXT_LIMIT, &text, &length, err) != 0) return -1;
        if (script && rewrite_script(work, relative, text, length, &done, err) != 0) return -1;
        if (pc && strstr(text, work->finish->prefix) && rewrite_pc(work, relative, text, err) != 0)
            return -1;
    }
    return 0;
}

/* A link into the prefix becomes relative; one that leads elsewhere outside is an error. */
static int rewrite_links(struct work *work, iw_error *err)
{
    for (size_t i = 0; i < work->links.count; i++) {
        const char *relative = work->links.items[i];
        iw_cleanup_free char *path = full_path(work, relative);
        char target[4096];
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length < 0) return iw_fail_errno(err, IW_E_IO, "can't read the link %s", path);
        target[length] = 0;
        if (target[0] != '/') continue;
        size_t prefix = strlen(work->finish->prefix);
        if (strncmp(target, work->finish->prefix, prefix) != 0 || target[prefix] != '/')
            return iw_fail(err, IW_E_BUILD, "the link %s leads to %s, outside the prefix", relative,
                           target);
        iw_cleanup_free char *folder = iw_path_parent(target + prefix + 1),
                             *way = relative_to(relative, folder);
        iw_cleanup_free char *made =
            iw_format("%s%s%s", way, *way ? "/" : "", iw_path_base(target));
        if (unlink(path) != 0 || symlink(made, path) != 0)
            return iw_fail_errno(err, IW_E_IO, "can't make the link %s", path);
    }
    return 0;
}

/* --- Python --------------------------------------------------------------- */

/* Every .py file to checked-hash .pyc, whose code names the file below the prefix only. One
 * process, sorted: the same bytes every time. */
static int compile_python(struct work *work, iw_error *err)
{
    const iw_finish *finish = work->finish;
    bool any = false, own = false;
    for (size_t i = 0; i < work->files.count; i++) {
        any = any || (iw_ends_with(work->files.items[i], ".py") &&
                      iw_starts_with(work->files.items[i], "lib/python"));
        own = own || strcmp(work->files.items[i], "bin/python3.11") == 0;
    }
    if (!any) return 0;
    iw_cleanup_free char *python =
        iw_format("%s/bin/python3.11", own ? finish->tree_inside : finish->prefix);
    iw_cleanup_free char *folder = iw_format("%s/lib", finish->tree_inside);
    const char *argv[] = {python,
                          "-I",
                          "-m",
                          "compileall",
                          "-q",
                          "-q",
                          "-f",
                          "--invalidation-mode",
                          "checked-hash",
                          "-s",
                          finish->tree_inside,
                          folder,
                          NULL};
    iw_error why = IW_ERROR_INIT;
    if (finish->tool(finish->context, argv, &why) != 0) {
        /* A package may carry files that are no Python, as samples do: they stay without .pyc. */
        if (why.kind == IW_E_CANCELLED) {
            iw_error_move(err, &why);
            return -1;
        }
        iw_emit(finish->sink, (iw_event){.type = IW_EVENT_NOTE,
                                         .subject = finish->recipe->name,
                                         .detail = "some .py files do not compile"});
        iw_error_clear(&why);
    }
    return 0;
}

static int fix_records(struct work *work, iw_error *err)
{
    for (size_t i = 0; i < work->files.count; i++)
        if (iw_ends_with(work->files.items[i], ".dist-info/RECORD") &&
            iw_record_fix(work->finish->tree, work->files.items[i], err) != 0)
            return -1;
    return 0;
}

/* --- the prefix search ---------------------------------------------------- */

struct search {
    struct work *work;
    json_t *kept;
    iw_strings found; /* "file: string at offset" */
};

static const iw_reasoned *excuse(const iw_recipe *recipe, const char *relative)
{
    for (size_t i = 0; i < recipe->keep_prefix_count; i++)
        if (iw_glob_match(recipe->keep_prefix[i].file, relative)) return &recipe->keep_prefix[i];
    return NULL;
}

static void search_bytes(struct search *search, const char *relative, const char *data,
                         size_t length)
{
    const iw_finish *finish = search->work->finish;
    for (size_t i = 0;; i++) {
        const char *what = i == 0              ? finish->prefix
                           : finish->forbidden ? finish->forbidden[i - 1]
                                               : NULL;
        if (!what) return;
        const char *at = *what ? memmem(data, length, what, strlen(what)) : NULL;
        if (!at) continue;
        const iw_reasoned *reason = i == 0 ? excuse(finish->recipe, relative) : NULL;
        if (reason) json_object_set_new(search->kept, relative, json_string(reason->reason));
        else
            iw_strings_add_format(&search->found, "  %s holds %s at byte %zu", relative, what,
                                  (size_t)(at - data));
    }
}

static int search_entry(void *context, const char *relative, const char *full,
                        const struct stat *status, iw_error *err)
{
    struct search *search = context;
    if (S_ISLNK(status->st_mode)) {
        char target[4096];
        ssize_t length = readlink(full, target, sizeof target);
        if (length > 0) search_bytes(search, relative, target, (size_t)length);
    }
    if (!S_ISREG(status->st_mode) || status->st_size == 0) return 0;
    iw_cleanup_fd int fd = open(full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return iw_fail_errno(err, IW_E_IO, "can't open %s", full);
    size_t length = (size_t)status->st_size;
    void *data = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return iw_fail_errno(err, IW_E_IO, "can't read %s", full);
    search_bytes(search, relative, data, length);
    munmap(data, length);
    return 0;
}

static int search_prefix(struct work *work, iw_error *err)
{
    struct search search = {.work = work, .kept = json_object()};
    int status = iw_walk(work->finish->tree, search_entry, &search, err);
    if (status == 0 && search.found.count) {
        iw_buffer text = {0};
        for (size_t i = 0; i < search.found.count && i < 20; i++)
            iw_buffer_add_format(&text, "\n%s", search.found.items[i]);
        status = iw_fail(err, IW_E_BUILD,
                         "%zu files of %s still hold a path of the build:%s\nMake the package "
                         "compute it, remove the file (`remove`), or excuse it with a reason "
                         "(`relocation: keep`)",
                         search.found.count, work->finish->recipe->name, text.data);
        iw_buffer_free(&text);
    }
    iw_strings_free(&search.found);
    if (json_object_size(search.kept)) json_object_set(work->facts, "kept_prefix", search.kept);
    json_decref(search.kept);
    return status;
}

/* ------------------------------------------------------------
 */

int iw_finish_tree(const iw_finish *finish, char **facts, iw_error *err)
{
    struct work work = {.finish = finish, .facts = json_object()};
    *facts = NULL;
    int status = iw_walk(finish->tree, note_entry, &work, err);
    if (status == 0) status = remove_doomed(&work, err);
    if (status == 0) status = finish_elves(&work, err);
    if (status == 0) status = rewrite_texts(&work, err);
    if (status == 0) status = rewrite_links(&work, err);
    if (status == 0) status = fix_records(&work, err);
    if (status == 0) status = compile_python(&work, err);
    if (status == 0) status = search_prefix(&work, err);
    if (status == 0) {
        json_object_set_new(work.facts, "elf_files", json_integer((json_int_t)work.elves.count));
        *facts = json_dumps(work.facts, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(work.facts);
    iw_strings_free(&work.files);
    iw_strings_free(&work.links);
    iw_strings_free(&work.doomed);
    iw_strings_free(&work.elves);
    return status == 0 ? 0 : iw_wrap(err, "finishing %s", finish->recipe->name);
}
