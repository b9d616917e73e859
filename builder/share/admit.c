#include "share/admit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/json.h"
#include "base/memory.h"

#define NAMED 5 /* broken files in a message */

/* --- audit ---------------------------------------------------------------- */

typedef struct auditing {
    const iw_list *development; /* or NULL */
    iw_buffer broken;
    size_t count;
    bool guarded, tried;
} auditing;

/* The path in the archive: behind the first "!", without an archive member's "(…)". Caller frees.
 */
static char *member_path(const char *file)
{
    const char *mark = strchr(file, '!');
    const char *path = mark ? mark + 1 : file;
    return iw_strndup(path, strcspn(path, "(!"));
}

static bool stays_out(const auditing *a, const char *path)
{
    for (size_t i = 0; a->development && i < a->development->count; i++)
        if (iw_glob_match(a->development->items[i], path)) return true;
    return false;
}

static void on_file(void *context, const iw_audit_file *file)
{
    auditing *a = context;
    iw_cleanup_free char *path = member_path(file->file);
    if (stays_out(a, path)) return;
    a->guarded |= file->verdict == IW_VERDICT_GUARDED;
    a->tried |= file->verdict == IW_VERDICT_TRIED;
    if (file->verdict == IW_VERDICT_BROKEN && a->count++ < NAMED)
        iw_buffer_add_format(&a->broken, "%s%s", a->broken.length ? ", " : "", path);
}

static int judge(const auditing *a, const iw_plan *plan, const char **verdict, iw_error *err)
{
    if (verdict) *verdict = a->tried ? "tried" : a->guarded ? "guarded" : "clean";
    if (!a->count) return 0;
    return iw_fail(err, IW_E_CHECK, "%zu of its files hold instructions that %s doesn't have: %s",
                   a->count, plan->profile->name, a->broken.data);
}

static int audit(const char *path, const iw_plan *plan, const iw_audit_options *options,
                 const iw_list *development, const char **verdict, iw_error *err)
{
    auditing a = {.development = development};
    iw_audit_summary summary = {0};
    iw_audit_options own = *options;
    own.profile = plan->profile;
    own.file = on_file;
    own.context = &a;
    int status = iw_audit_paths((const char *const[]){path}, 1, &own, &summary, err);
    if (status == 0) status = judge(&a, plan, verdict, err);
    iw_audit_summary_clear(&summary);
    iw_buffer_free(&a.broken);
    return status;
}

int iw_admit_audit(const char *path, const iw_plan *plan, const iw_node *node, const char **verdict,
                   iw_error *err)
{
    const iw_recipe *recipe = node->recipe;
    iw_audit_options options = {.exceptions = recipe->exceptions,
                                .exception_count = recipe->exception_count,
                                .tried = recipe->tried,
                                .tried_count = plan->stack->tried ? recipe->tried_count : 0};
    return audit(path, plan, &options, &recipe->build.development, verdict, err);
}

int iw_admit_audit_bundle(const char *path, const iw_plan *plan, const char **verdict,
                          iw_error *err)
{
    size_t exceptions = 0, tried = 0;
    for (size_t i = 0; i < plan->node_count; i++) {
        exceptions += plan->nodes[i].recipe->exception_count;
        tried += plan->nodes[i].recipe->tried_count;
    }
    iw_exception *all = iw_alloc((exceptions + 1) * sizeof *all);
    iw_tried *claims = iw_alloc((tried + 1) * sizeof *claims);
    iw_audit_options options = {.exceptions = all, .tried = claims};
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_recipe *recipe = plan->nodes[i].recipe;
        for (size_t k = 0; plan->nodes[i].in_bundle && k < recipe->exception_count; k++)
            all[options.exception_count++] = recipe->exceptions[k];
        for (size_t k = 0;
             plan->stack->tried && plan->nodes[i].in_bundle && k < recipe->tried_count; k++)
            claims[options.tried_count++] = recipe->tried[k];
    }
    int status = audit(path, plan, &options, NULL, verdict, err);
    free(all);
    free(claims);
    return status;
}

/* --- records -------------------------------------------------------------- */

char *iw_admit_record(const iw_artifact *artifact)
{
    json_t *facts = artifact->facts ? json_loads(artifact->facts, 0, NULL) : NULL;
    if (!json_is_object(facts)) {
        json_decref(facts);
        facts = json_object();
    }
    json_object_del(facts, "origin");
    json_t *root = json_pack("{s:i,s:s,s:s,s:s,s:o}", "format", 1, "type", "artifact", "name",
                             artifact->name, "version", artifact->version, "facts", facts);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

int iw_admit_facts(const char *text, size_t length, const iw_node *node, json_t *origin,
                   char **facts, iw_error *err)
{
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL),
           *object = json_object_get(root, "facts");
    const char *name = iw_json_get(root, "name"), *version = iw_json_get(root, "version");
    bool fine = json_is_object(object) && name && version &&
                strcmp(name, node->recipe->name) == 0 &&
                strcmp(version, node->recipe->version) == 0;
    if (fine) {
        json_object_set(object, "origin", origin);
        *facts = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(root);
    return fine ? 0
                : iw_fail(err, IW_E_FORMAT, "its record isn't one of %s %s", node->recipe->name,
                          node->recipe->version);
}
