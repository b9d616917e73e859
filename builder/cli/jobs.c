/* `ironwheel jobs STACK`. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/sharing.h"
#include "deliver/jobs.h"

/* What the commands say, whatever folder they are run in. */
typedef struct words {
    char *program, *cache, *place, *output;
} words;

static void words_clear(words *w)
{
    free(w->program), free(w->cache), free(w->place), free(w->output);
}

static char *absolute(const char *path)
{
    char here[4096];
    if (!path) return NULL;
    iw_cleanup_free char *whole = iw_path_join(getcwd(here, sizeof here) ? here : "/", path);
    return iw_path_clean(whole);
}

static int find_place(iw_context *context, const char *name, char **place, iw_error *err)
{
    iw_trust *trust = NULL;
    iw_remote *remote = NULL;
    if (!name) return 0;
    int status = iw_trust_open(&trust, err);
    if (status == 0) status = iw_context_remote(context, trust, name, &remote, err);
    if (status == 0) *place = iw_strdup(iw_remote_where(remote));
    iw_remote_close(remote);
    iw_trust_close(trust);
    return status;
}

static void print_json(iw_context *context, const iw_jobs *jobs, const iw_job_plan *job)
{
    json_t *after = json_array();
    for (size_t i = 0; i < job->after_count; i++)
        json_array_append_new(after, json_string(jobs->items[job->after[i]].name));
    iw_print_json(context,
                  json_pack("{s:s,s:o,s:o,s:i,s:I,s:f}", "job", job->name, "after", after,
                            "command",
                            iw_json_texts((const char *const *)job->argv.items, job->argv.count),
                            "cores", (int)job->cores, "memory", (json_int_t)job->memory,
                            "expected_seconds", job->seconds));
}

static int write_jobs(iw_context *context, const iw_jobs *jobs, iw_error *err)
{
    const char *kind = iw_text_option(context->arguments, "for"),
               *file = iw_text_option(context->arguments, "output");
    bool slurm = kind && strcmp(kind, "slurm") == 0;
    iw_cleanup_free char *text = NULL;
    if (context->json) {
        for (size_t i = 0; i < jobs->count; i++) print_json(context, jobs, &jobs->items[i]);
        return 0;
    }
    if (!kind || (!slurm && strcmp(kind, "make") != 0))
        return iw_fail(err, IW_E_USAGE, "for what? --for make, or --for slurm");
    if ((slurm ? iw_jobs_for_slurm : iw_jobs_for_make)(jobs, &text, err) != 0) return -1;
    if (file) return iw_write_file(file, text, strlen(text), slurm ? 0755 : 0644, err);
    iw_print(context, "%s", text);
    return 0;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    iw_jobs jobs = {.plan = NULL};
    words w = {.program = iw_path_join(context->program, "ironwheel"),
               .cache = absolute(iw_text_option(arguments, "cache")),
               .output = absolute(iw_text_option(arguments, "bundles"))};
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0)
        status = find_place(context, iw_text_option(arguments, "remote"), &w.place, err);
    iw_job_options options = {.program = w.program,
                              .tree = context->root,
                              .cache = w.cache,
                              .place = w.place,
                              .output = w.output,
                              .cores = (unsigned)iw_number_option(arguments, "cores", 0)};
    if (!options.cores) options.cores = iw_core_count();
    if (status == 0) status = iw_jobs_plan(&session, &options, &jobs, err);
    if (status == 0) status = write_jobs(context, &jobs, err);
    iw_jobs_clear(&jobs);
    iw_session_close(&session);
    words_clear(&w);
    return status;
}

static const iw_option options[] = {
    {"for", 0, IW_OPTION_TEXT, "KIND", "make, or slurm", NULL},
    {"remote", 0, IW_OPTION_TEXT, "PLACE",
     "Where each job takes from and gives to; without it, all use one store", "folder"},
    {"output", 'o', IW_OPTION_TEXT, "FILE", "Write them there (default: standard output)", "file"},
    {"cores", 0, IW_OPTION_NUMBER, "N", "At most for one job (default: this machine's)", NULL},
    {"bundles", 0, IW_OPTION_TEXT, "DIR", "Where the last job writes the bundle", "folder"},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_jobs = {
    .name = "jobs",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "Write a build as jobs for make or Slurm",
    .description =
        "One job a package, each of which is `ironwheel build STACK --only PACKAGE`, after those "
        "that it is built on; and a last one that runs the checks and packs the bundle. Cores and "
        "memory are what earlier builds took, as far as the store remembers, else what the recipe "
        "says. With --remote every machine has its own store: what one has built, the others take "
        "from there, held against their own recipes. The tree, and the place if it is a folder, "
        "stand under the same path on each; each has a working key (`keygen`; a passphrase comes "
        "in IRONWHEEL_PASSPHRASE) or shares IRONWHEEL_CONFIG with the others, and trusts the rest. "
        "The bytes are those of a build on one machine. A job that is run again does nothing where "
        "its package is there. With --json one object a line: job, after, command, cores, memory "
        "(MiB), expected_seconds.",
    .examples =
        "ironwheel jobs base --for make --remote /mnt/nas/ironwheel -o base.mk\tthen: make -f "
        "base.mk -j 4\n"
        "ironwheel jobs base --for slurm --remote /shared/ironwheel -o base.sh\tthen: sh base.sh "
        "--partition=long\n",
    .options = options,
    .run = run,
};
