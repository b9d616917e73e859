#include "deliver/reporting.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "report/report.h"

#define MANIFEST_LIMIT (64u << 20)

/* --- what the store remembers of a package's build ------------------------ */

/* NULL where the store doesn't hold that very artifact. */
static json_t *known_of(iw_store *store, const json_t *package, const json_t *started)
{
    const char *key = iw_json_get(package, "build_key");
    iw_artifact artifact = {0};
    bool found = false;
    if (!key || iw_store_find_artifact_by_build(store, key, &artifact, &found, NULL) != 0 || !found)
        return NULL;
    json_t *facts = artifact.facts ? json_loads(artifact.facts, 0, NULL) : NULL,
           *known = json_object();
    iw_cleanup_free char *subject = iw_format("%s/%s", artifact.name, artifact.version);
    json_t *seconds = json_object_get(json_object_get(facts, "measured"), "seconds"),
           *flags = json_object_get(facts, "removed-flags"),
           *at = json_object_get(started, subject), *origin = json_object_get(facts, "origin");
    if (seconds) json_object_set(known, "seconds", seconds);
    if (flags) json_object_set(known, "flags", flags);
    if (at) json_object_set(known, "started", at);
    if (origin) json_object_set(known, "origin", origin);
    json_decref(facts);
    iw_artifact_clear(&artifact);
    return known;
}

static json_t *known_packages(const iw_session *session, const char *manifest,
                              const json_t *started)
{
    json_t *root = json_loads(manifest, 0, NULL), *known = json_object(), *package;
    size_t i;
    json_array_foreach(json_object_get(root, "packages"), i, package)
    {
        const char *name = iw_json_get(package, "name");
        json_t *object = name ? known_of(session->store, package, started) : NULL;
        if (object) json_object_set_new(known, name, object);
    }
    json_decref(root);
    return known;
}

/* --- what the recipes say ------------------------------------------------- */

static json_t *describe_exceptions(const iw_plan *plan)
{
    json_t *all = json_array();
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        for (size_t k = 0; plan->nodes[i].in_bundle && k < recipe->exception_count; k++) {
            const iw_exception *e = &recipe->exceptions[k];
            json_t *object = json_object();
            iw_json_put(object, "package", recipe->name);
            iw_json_put(object, "file", e->file);
            iw_json_put(object, "symbol", e->symbol ? e->symbol : e->range);
            iw_json_put(object, "reason", e->reason);
            json_object_set_new(object, "features",
                                iw_json_texts(e->features.items, e->features.count));
            json_array_append_new(all, object);
        }
    }
    return all;
}

static json_t *describe_profiles(const iw_session *session)
{
    json_t *all = json_object();
    for (size_t i = 0; i < session->stack->profiles.count; i++) {
        const iw_profile *profile;
        if (iw_catalog_profile(session->catalog, session->stack->profiles.items[i], &profile,
                               NULL) == 0)
            iw_json_put(all, profile->name, profile->summary);
    }
    return all;
}

/* The audit with every file, and with what is known of each that isn't clean. */
static json_t *describe_audit(const iw_reporting *r)
{
    json_t *audit = json_copy(r->audit), *rest = json_array(), *file;
    size_t i;
    json_array_foreach(r->every, i, file)
    {
        const char *verdict = iw_json_get(file, "verdict");
        if (verdict && strcmp(verdict, "clean") != 0) json_array_append(rest, file);
    }
    if (r->every) json_object_set(audit, "every", r->every);
    if (r->every) json_object_set(audit, "not_clean", rest);
    json_decref(rest);
    return audit;
}

/* --- the page ------------------------------------------------------------- */

static char *describe(const iw_session *session, const iw_reporting *r, const char *manifest)
{
    json_t *details = json_object();
    struct stat status;
    time_t now = time(NULL);
    struct tm at;
    char when[32] = "";
    if (gmtime_r(&now, &at)) strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &at);
    iw_json_put(details, "file", iw_path_base(r->bundle));
    iw_json_put(details, "sha256", r->sha256);
    iw_json_put(details, "tar_sha256", r->tar_sha256);
    iw_json_put(details, "by", r->by);
    iw_json_put(details, "when", when);
    iw_json_put(details, "problem", r->problem);
    if (stat(r->bundle, &status) == 0)
        json_object_set_new(details, "bytes", json_integer((json_int_t)status.st_size));
    if (r->audit) json_object_set_new(details, "audit", describe_audit(r));
    if (r->origin) json_object_set(details, "origin", r->origin);
    if (r->checks) json_object_set(details, "checks", r->checks);
    json_object_set_new(details, "profiles", describe_profiles(session));
    json_object_set_new(details, "exceptions", describe_exceptions(session->plan));
    json_object_set_new(details, "packages", known_packages(session, manifest, r->started));
    char *text = json_dumps(details, JSON_COMPACT);
    json_decref(details);
    return text;
}

int iw_write_report(const iw_session *session, const iw_reporting *reporting, const char *path,
                    iw_error *err)
{
    iw_cleanup_free char *from = iw_path_join(reporting->environment, "manifest.json"),
                         *manifest = NULL, *html = NULL;
    if (iw_read_file(from, MANIFEST_LIMIT, &manifest, NULL, err) != 0) return -1;
    iw_cleanup_free char *details = describe(session, reporting, manifest);
    return iw_report_page(manifest, details, &html, err) == 0
               ? iw_write_file(path, html, strlen(html), 0644, err)
               : -1;
}
