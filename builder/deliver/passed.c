#include "deliver/passed.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "pack/pack.h"

#define LIMIT ((size_t)1 << 20)

/* --- what a result hangs on ------------------------------------------------- */

/* The programs that run a check and tell how it ended. */
static int add_programs(iw_hash *hash, const iw_session *session, const char *emulator,
                        iw_error *err)
{
    static const char *const helpers[] = {"iw-trace", "iw-init", "iw-cpu", "iw-crash.so", NULL};
    char digest[IW_SHA256_HEX];
    if (emulator) {
        if (iw_hash_file(emulator, digest, NULL, err) != 0) return -1;
        iw_hash_add_field(hash, "emulator", digest);
    }
    for (size_t i = 0; helpers[i]; i++) {
        iw_cleanup_free char *path = iw_path_join(session->options.helpers, helpers[i]);
        if (iw_hash_file(path, digest, NULL, err) != 0) return -1;
        iw_hash_add_field(hash, helpers[i], digest);
    }
    return 0;
}

/* What the environment holds; the stack's name and version stand in its files. */
static void add_environment(iw_hash *hash, const iw_plan *plan)
{
    iw_hash_add_field(hash, "policy", plan->policy);
    iw_hash_add_field(hash, "format", IW_BUNDLE_FORMAT);
    iw_hash_add_field(hash, "toolchain", plan->toolchain->digest);
    iw_hash_add_field(hash, "stack", plan->stack->name);
    iw_hash_add_field(hash, "version", plan->stack->version);
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        if (!node->in_bundle) continue;
        iw_hash_add_field(hash, "package", node->recipe->name);
        iw_hash_add_field(hash, "version", node->recipe->version);
        iw_hash_add_field(hash, "content", node->artifact.content);
    }
}

/* Where a check's result stands. Caller frees. */
static char *path_of(const iw_passed *passed, const iw_profile *profile, const iw_check_job *job)
{
    char key[IW_SHA256_HEX], check[IW_SHA256_HEX];
    iw_hash *hash = iw_hash_new();
    iw_plan_check_key(job->check, check);
    iw_hash_add_field(hash, "package", job->package);
    iw_hash_add_field(hash, "check", check);
    iw_hash_add_field(hash, "profile", profile->meaning);
    iw_hash_add_field(hash, "model", profile->emulator_cpu);
    iw_hash_add_field(hash, "native", iw_host_is_profile(profile) ? "yes" : NULL);
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
    return iw_format("%s/%s.json", passed->folder, key);
}

int iw_passed_open(iw_passed *passed, const iw_session *session, const char *emulator,
                   iw_error *err)
{
    char key[IW_SHA256_HEX];
    if (session->host) return 0;
    iw_hash *hash = iw_hash_new();
    iw_hash_add_field(hash, "ironwheel", "passed checks 1");
    add_environment(hash, session->plan);
    int status = add_programs(hash, session, emulator, err);
    iw_hash_finish(hash, key);
    iw_hash_free(hash);
    if (status != 0) return -1;
    iw_cleanup_free char *name = iw_format("checks/%s", key);
    passed->folder = iw_store_path(session->store, "history", name);
    return 0;
}

void iw_passed_clear(iw_passed *passed)
{
    free(passed->folder);
    *passed = (iw_passed){0};
}

/* --- the results -------------------------------------------------------------- */

bool iw_passed_find(const iw_passed *passed, const iw_profile *profile, const iw_check_job *job,
                    iw_check_result *out)
{
    if (!passed->folder) return false;
    iw_cleanup_free char *path = path_of(passed, profile, job), *text = NULL;
    if (iw_read_file(path, LIMIT, &text, NULL, NULL) != 0) return false;
    json_t *kept = json_loads(text, 0, NULL);
    const char *how = iw_json_get(kept, "how"), *log = iw_json_get(kept, "log");
    bool whole = how && log;
    if (whole)
        *out = (iw_check_result){.package = iw_strdup(job->package),
                                 .name = iw_strdup(job->check->name),
                                 .profile = iw_strdup(profile->name),
                                 .how = iw_strdup(how),
                                 .log = iw_strdup(log),
                                 .passed = true,
                                 .seconds = json_number_value(json_object_get(kept, "seconds")),
                                 .jit = (uint64_t)json_integer_value(
                                     json_object_get(kept, "run_time_code"))};
    if (whole && !iw_host_is_profile(profile)) iw_emulator_unseen(profile, out->unseen);
    json_decref(kept);
    return whole;
}

void iw_passed_keep(const iw_passed *passed, const iw_profile *profile, const iw_check_job *job,
                    const iw_check_result *result)
{
    if (!passed->folder || !result->passed) return;
    iw_cleanup_free char *path = path_of(passed, profile, job), *text = NULL;
    json_t *kept = json_pack("{s:s,s:s,s:s,s:s,s:f,s:I}", "package", job->package, "name",
                             job->check->name, "how", result->how, "log", result->log, "seconds",
                             result->seconds, "run_time_code", (json_int_t)result->jit);
    if (kept) text = json_dumps(kept, JSON_INDENT(1));
    if (text && iw_make_folders(passed->folder, 0755, NULL) == 0)
        (void)!iw_write_file(path, text, strlen(text), 0644, NULL);
    json_decref(kept);
}

void iw_passed_forget(const iw_passed *passed)
{
    if (passed->folder) (void)!iw_remove_tree(passed->folder, NULL);
}
