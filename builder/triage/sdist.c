/* The tests that a package's authors wrote, in its sdist. Looked for, never
 * needed. */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "store/archive.h"
#include "triage/internal.h"

#define SDIST_LIMIT (64u << 20) /* bytes: what is larger isn't fetched for its tests */

/* "Name-1.0.tar.gz" of that project and version. */
static bool is_sdist(const char *file, const char *package, const char *version)
{
    const char *ending = iw_ends_with(file, ".tar.gz") ? ".tar.gz" : ".zip";
    if (!iw_ends_with(file, ending)) return false;
    iw_cleanup_free char *stem = iw_strndup(file, strlen(file) - strlen(ending));
    size_t length = strlen(stem), tail = strlen(version);
    if (length < tail + 2 || strcmp(stem + length - tail, version) != 0 ||
        stem[length - tail - 1] != '-')
        return false;
    stem[length - tail - 1] = '\0';
    iw_cleanup_free char *name = iw_project_name(stem);
    return strcmp(name, package) == 0;
}

/* Fetches it into the store; *sha256 NULL where there is none. Caller frees. */
static int fetch_sdist(iw_attempt *a, const char *version, char **sha256, char **name,
                       iw_error *err)
{
    const iw_fetch_options *options = &a->triage->options.fetch;
    iw_release_files files = {0};
    int status = iw_fetch_project(a->ask->package, options, &files, err);
    for (size_t i = 0; status == 0 && i < files.count && !*sha256; i++) {
        const iw_release_file *file = &files.items[i];
        if (!file->sha256 || file->size > SDIST_LIMIT ||
            !is_sdist(file->name, a->ask->package, version))
            continue;
        const iw_source source = {.kind = IW_SOURCE_URL,
                                  .id = "1",
                                  .name = file->url,
                                  .file = file->name,
                                  .sha256 = file->sha256,
                                  .to = "."};
        const iw_recipe recipe = {.name = a->ask->package, .version = "", .sources = &source};
        const iw_wanted wanted = {.recipe = &recipe, .source = &source};
        status = iw_fetch_all(a->triage->options.store, &wanted, 1, options, err);
        if (status == 0) *sha256 = iw_strdup(file->sha256), *name = iw_strdup(file->name);
    }
    iw_release_files_free(&files);
    return status;
}

/* --- where they are ------------------------------------------------------- */

struct looking {
    char *found; /* the folder nearest to the top */
    size_t depth;
};

static int look(void *context, const char *relative, const char *full, const struct stat *status,
                iw_error *err)
{
    struct looking *looking = context;
    const char *name = iw_path_base(relative);
    size_t depth = 0;
    (void)err;
    if (!S_ISDIR(status->st_mode)) return 0;
    if (name[0] == '.' || strcmp(name, "vendor") == 0 || strcmp(name, "third_party") == 0) return 1;
    for (const char *c = relative; *c; c++) depth += *c == '/';
    if (depth > 4) return 1;
    if (strcmp(name, "tests") != 0 && strcmp(name, "test") != 0) return 0;
    if (!looking->found || depth < looking->depth) {
        free(looking->found);
        looking->found = iw_strdup(full);
        looking->depth = depth;
    }
    return 1;
}

static char *find_folder(const char *root)
{
    struct looking looking = {0};
    iw_walk(root, look, &looking, NULL);
    return looking.found;
}

/* --- the whole ------------------------------------------------------------ */

static int unpack(iw_attempt *a, const char *sha256, const char *name, char **folder, iw_error *err)
{
    static const iw_admission admission = {.strip = 1,
                                           .max_total = 1u << 30,
                                           .max_entries = 100000};
    iw_cleanup_fd int fd = -1;
    *folder = iw_path_join(a->folder, "sdist");
    if (iw_make_folders(*folder, 0755, err) != 0) return -1;
    pthread_mutex_lock(&a->triage->lock);
    int status = iw_store_open_source(a->triage->options.store, sha256, &fd, err);
    pthread_mutex_unlock(&a->triage->lock);
    return status == 0 ? iw_archive_unpack(fd, name, *folder, &admission, err) : -1;
}

void iw_triage_find_tests(iw_attempt *a, const char *version)
{
    iw_error why = IW_ERROR_INIT;
    iw_cleanup_free char *sha256 = NULL, *name = NULL, *folder = NULL;
    pthread_mutex_lock(&a->triage->lock);
    int status = fetch_sdist(a, version, &sha256, &name, &why);
    pthread_mutex_unlock(&a->triage->lock);
    if (status == 0 && sha256 && unpack(a, sha256, name, &folder, &why) == 0)
        a->tests = find_folder(folder);
    iw_error_clear(&why);
}
