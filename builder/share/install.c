#include "share/install.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define STATE_LIMIT ((size_t)4 << 20)

void iw_install_clear(iw_install *i)
{
    free(i->parent), free(i->name), free(i->link), free(i->state_path), free(i->parts);
    free(i->current);
    json_decref(i->state);
    *i = (iw_install){.parent = NULL};
}

static json_t *facts_of(const iw_install *i, const char *folder)
{
    return json_object_get(json_object_get(i->state, "folders"), folder);
}

const char *iw_install_fact(const iw_install *install, const char *key)
{
    return install->current ? iw_json_get(facts_of(install, install->current), key) : NULL;
}

char *iw_install_folder(const iw_install *install, const char *tar)
{
    return iw_format("%s-%.12s", install->name, tar);
}

/* A damaged state only means that nothing is known: then all is pulled anew. */
static void read_state(iw_install *i)
{
    iw_cleanup_free char *text = NULL;
    if (iw_read_file(i->state_path, STATE_LIMIT, &text, NULL, NULL) == 0)
        i->state = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json_object_get(i->state, "folders"))) return;
    json_decref(i->state);
    i->state = json_pack("{s:{}}", "folders");
}

static int read_link(iw_install *i, iw_error *err)
{
    char target[4096];
    ssize_t length = readlink(i->link, target, sizeof target - 1);
    if (length < 0 && errno == ENOENT) return 0;
    if (length >= 0) target[length] = 0;
    iw_cleanup_free char *start = iw_format("%s-", i->name);
    if (length < 0 || strchr(target, '/') || !iw_starts_with(target, start))
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "%s is there already, and isn't a link that `pull` made; move it away, or "
                       "name another folder with -C",
                       i->link);
    i->current = iw_strdup(target);
    i->tar = iw_json_get(facts_of(i, target), "tar");
    struct stat status;
    if (stat(i->link, &status) != 0) i->tar = NULL; /* its folder is gone */
    return 0;
}

int iw_install_open(const char *parent, const char *name, iw_install *out, iw_error *err)
{
    char here[4096];
    *out = (iw_install){.name = iw_strdup(name)};
    if (!iw_is_plain_name(name))
        return iw_fail(err, IW_E_USAGE, "\"%.100s\" is no name of a stack or bundle", name);
    if (!getcwd(here, sizeof here))
        return iw_fail_errno(err, IW_E_ENVIRONMENT, "can't tell the working folder");
    iw_cleanup_free char *whole = iw_path_join(here, parent),
                         *state = iw_format(".%s.ironwheel.json", name);
    out->parent = iw_path_clean(whole);
    out->link = iw_path_join(out->parent, name);
    out->state_path = iw_path_join(out->parent, state);
    out->parts = iw_path_join(out->parent, ".ironwheel-parts");
    read_state(out);
    return read_link(out, err);
}

static int write_state(iw_install *i, iw_error *err)
{
    iw_cleanup_free char *text = json_dumps(i->state, JSON_INDENT(1) | JSON_SORT_KEYS);
    return iw_write_file(i->state_path, text, strlen(text), 0644, err);
}

/* A new link moved over the old one: there is no moment without. */
static int point(iw_install *i, const char *folder, iw_error *err)
{
    iw_cleanup_free char *temporary = iw_format("%s/.%s.new", i->parent, i->name);
    unlink(temporary);
    if (symlink(folder, temporary) != 0)
        return iw_fail_errno(err, IW_E_IO, "can't make a link in %s", i->parent);
    if (rename(temporary, i->link) != 0) {
        iw_fail_errno(err, IW_E_IO, "can't switch %s", i->link);
        unlink(temporary);
        return -1;
    }
    free(i->current);
    i->current = iw_strdup(folder);
    i->tar = iw_json_get(facts_of(i, folder), "tar");
    return iw_sync_folder(i->parent, err);
}

int iw_install_switch(iw_install *install, const char *folder, json_t *facts, iw_error *err)
{
    json_object_set_new(json_object_get(install->state, "folders"), folder, facts);
    if (install->current && strcmp(install->current, folder) != 0)
        json_object_set_new(install->state, "previous", json_string(install->current));
    return write_state(install, err) == 0 ? point(install, folder, err) : -1;
}

int iw_install_back(iw_install *install, iw_error *err)
{
    const char *previous = iw_json_get(install->state, "previous");
    iw_cleanup_free char *back = iw_strdup(previous),
                         *path = back ? iw_path_join(install->parent, back) : NULL;
    if (!back || !iw_exists(path) || (install->current && strcmp(install->current, back) == 0))
        return iw_fail(err, IW_E_NOT_FOUND, "%s has no earlier folder to go back to",
                       install->link);
    if (install->current)
        json_object_set_new(install->state, "previous", json_string(install->current));
    return write_state(install, err) == 0 ? point(install, back, err) : -1;
}

int iw_install_prune(iw_install *install, size_t *count, iw_error *err)
{
    const char *previous = iw_json_get(install->state, "previous"), *folder;
    json_t *facts, *folders = json_object_get(install->state, "folders");
    iw_cleanup_strings iw_strings gone = {0};
    json_object_foreach(folders, folder, facts)
    {
        (void)facts;
        if ((install->current && strcmp(folder, install->current) == 0) ||
            (previous && strcmp(folder, previous) == 0) || !iw_is_plain_name(folder))
            continue;
        iw_strings_add(&gone, folder);
    }
    for (size_t i = 0; i < gone.count; i++) {
        iw_cleanup_free char *path = iw_path_join(install->parent, gone.items[i]);
        if (iw_remove_tree(path, err) != 0) return -1;
        json_object_del(folders, gone.items[i]);
    }
    *count = gone.count;
    return gone.count ? write_state(install, err) : 0;
}
