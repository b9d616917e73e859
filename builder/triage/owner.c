/* Whose fault it is: the distribution that owns a file, and its version beside which it works. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "triage/internal.h"

#define RECORD_LIMIT (64u << 20)

/* Whether a line of RECORD is the file's ("path,digest,size", the path perhaps in quotes). */
static bool is_of(iw_slice line, const char *file)
{
    size_t length = strlen(file), quote = line.length && line.data[0] == '"';
    return line.length > length + 2 * quote && strncmp(line.data + quote, file, length) == 0 &&
           line.data[length + quote] == (quote ? '"' : ',');
}

static bool records(const char *site, const char *folder, const char *file)
{
    iw_cleanup_free char *path = iw_path_join3(site, folder, "RECORD"), *text = NULL;
    if (iw_read_file(path, RECORD_LIMIT, &text, NULL, NULL) != 0) return false;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line))
        if (is_of(line, file)) return true;
    return false;
}

/* "NumPy-2.4.6.dist-info" to "numpy" and "2.4.6". */
static bool split_name(const char *folder, char **name, char **version)
{
    static const char ending[] = ".dist-info";
    size_t length = strlen(folder) - strlen(ending);
    iw_cleanup_free char *whole = iw_strndup(folder, length);
    char *dash = strrchr(whole, '-');
    if (!dash) return false;
    *dash = '\0';
    *name = iw_project_name(whole);
    *version = iw_strdup(dash + 1);
    return true;
}

bool iw_triage_owner(const char *site, const char *file, char **name, char **version)
{
    DIR *folder = opendir(site);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder)) != NULL;)
        found = iw_ends_with(entry->d_name, ".dist-info") && records(site, entry->d_name, file) &&
                split_name(entry->d_name, name, version);
    if (folder) closedir(folder);
    return found;
}

char *iw_triage_record(const char *site, const char *package)
{
    DIR *folder = opendir(site);
    char *path = NULL;
    for (struct dirent *entry; folder && !path && (entry = readdir(folder)) != NULL;) {
        iw_cleanup_free char *name = NULL, *version = NULL;
        if (iw_ends_with(entry->d_name, ".dist-info") &&
            split_name(entry->d_name, &name, &version) && strcmp(name, package) == 0)
            path = iw_path_join3(site, entry->d_name, "RECORD");
    }
    if (folder) closedir(folder);
    return path;
}

/* --- beside another version ----------------------------------------------- */

/* The package with the culprit at that version. */
static int try_beside(iw_triage *t, const iw_ask *ask, const char *culprit, const char *version,
                      iw_triage_row *row, iw_error *err)
{
    iw_ask other = iw_ask_version(ask, row->version);
    iw_triage_row beside = {0};
    iw_strings_add_format(&other.pins, "%s==%s", culprit, version);
    int status = iw_triage_try(t, &other, &beside, err);
    if (status == 0 && iw_triage_works(beside.verdict)) {
        row->because.beside = iw_strdup(version);
        row->because.verdict = beside.verdict;
    }
    iw_triage_row_clear(&beside);
    iw_ask_free(&other);
    return status;
}

int iw_triage_find_beside(iw_triage *t, const iw_ask *ask, iw_triage_row *row, iw_error *err)
{
    const char *culprit = row->because.package;
    iw_ask search = {.triage = t, .all = ask->all, .package = iw_strdup(culprit), .free = true};
    iw_triage_row found = {0};
    iw_strings_add(&search.lines, culprit);
    iw_cleanup_free char *looking =
        iw_format("it dies in a file of %s %s: looking for the newest %s beside which it works",
                  culprit, row->because.version, culprit);
    iw_emit(&t->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = ask->lines.items[0], .detail = looking});
    int status = iw_triage_newest(t, &search, &found, err);
    if (status == 0 && found.newest_working)
        status = try_beside(t, ask, culprit, found.newest_working, row, err);
    iw_triage_row_clear(&found);
    iw_ask_free(&search);
    return status;
}
