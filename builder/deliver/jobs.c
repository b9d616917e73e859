#include "deliver/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "build/build.h"

#define OWN_MEMORY 512 /* MiB for what isn't a compiler: the audit of what is pushed, above all */
#define BUNDLE_MEMORY 2048    /* MiB: checks under emulation */
#define COMPILES_PER_CORE 4   /* fewer, and a core is idle for most of the time */
#define LONG_WITHOUT_COUNT 60 /* seconds: what was never built and takes longer compiles much */

/* --- what each takes ------------------------------------------------------ */

/* Of one job of the kind, as measured, else as said. */
static uint64_t peak(const iw_session *session, const iw_recipe *recipe, const char *kind,
                     uint64_t said, double *count)
{
    iw_measure measure;
    bool found = false;
    if (iw_store_measured(session->store, recipe->name, recipe->version, kind, &measure, &found,
                          NULL) != 0 ||
        !found)
        return said;
    if (count) *count = measure.seconds;
    return measure.peak_memory ? measure.peak_memory : said;
}

static unsigned cores_for(double compiles, double seconds, unsigned most)
{
    if (compiles < 0) return seconds > LONG_WITHOUT_COUNT ? most : 1;
    double useful = compiles / COMPILES_PER_CORE;
    return useful >= most ? most : useful < 1 ? 1 : (unsigned)useful;
}

static int measure(const iw_session *session, const iw_job_options *options, iw_job_plan *job,
                   iw_error *err)
{
    const iw_recipe *recipe = job->node->recipe;
    double compiles = -1;
    uint64_t compile = peak(session, recipe, IW_MEASURE_COMPILE, recipe->build.memory, &compiles),
             link = peak(session, recipe, IW_MEASURE_LINK, recipe->build.link_memory, NULL);
    if (iw_plan_seconds(session->catalog, session->store, job->node, &job->seconds, err) != 0)
        return -1;
    job->cores = cores_for(compiles, job->seconds, options->cores);
    uint64_t all = job->cores * compile;
    job->memory = (all > link ? all : link) + OWN_MEMORY;
    return 0;
}

/* --- what each runs ------------------------------------------------------- */

static void add_pair(iw_strings *argv, const char *option, const char *value)
{
    if (!value) return;
    iw_strings_add(argv, option);
    iw_strings_add(argv, value);
}

static void add_number(iw_strings *argv, const char *option, uint64_t value)
{
    iw_strings_add(argv, option);
    iw_strings_add_format(argv, "%llu", (unsigned long long)value);
}

static void add_command(const iw_session *session, const iw_job_options *options, iw_job_plan *job)
{
    iw_strings *argv = &job->argv;
    iw_strings_add(argv, options->program);
    add_pair(argv, "build", session->stack->name);
    if (job->node) {
        iw_strings_add(argv, "--only");
        iw_strings_add_format(argv, "%s/%s", job->node->recipe->name, job->node->recipe->version);
        add_number(argv, "--memory", job->memory - OWN_MEMORY);
    } else {
        add_pair(argv, "--output", options->output);
    }
    add_number(argv, "--jobs", job->cores);
    add_pair(argv, "-C", options->tree);
    add_pair(argv, "--cache", options->cache);
    add_pair(argv, "--push-to", options->place);
}

/* --- the list ------------------------------------------------------------- */

static void add_needs(iw_job_plan *job, iw_node *const *needs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < job->after_count; k++)
            known = known || job->after[k] == needs[i]->index;
        if (!known) job->after[job->after_count++] = needs[i]->index;
    }
}

/* Direct needs do: each waits for what is laid for itself. */
static int plan_node(const iw_session *session, const iw_job_options *options, const iw_node *node,
                     iw_job_plan *job, iw_error *err)
{
    job->node = node;
    job->name = iw_format("%s-%s", node->recipe->name, node->recipe->version);
    job->after = iw_alloc((node->build_need_count + node->run_need_count + 1) * sizeof *job->after);
    add_needs(job, node->build_needs, node->build_need_count);
    add_needs(job, node->run_needs, node->run_need_count);
    if (measure(session, options, job, err) != 0) return -1;
    add_command(session, options, job);
    return 0;
}

static void plan_bundle(const iw_session *session, const iw_job_options *options, iw_job_plan *job)
{
    const iw_plan *plan = session->plan;
    *job = (iw_job_plan){.name = iw_strdup("bundle"),
                         .cores = options->cores,
                         .memory = BUNDLE_MEMORY,
                         .after = iw_alloc((plan->node_count + 1) * sizeof *job->after)};
    for (size_t i = 0; i < plan->node_count; i++) job->after[job->after_count++] = i;
    add_command(session, options, job);
}

int iw_jobs_plan(const iw_session *session, const iw_job_options *options, iw_jobs *out,
                 iw_error *err)
{
    const iw_plan *plan = session->plan;
    *out = (iw_jobs){.plan = plan, .items = iw_alloc((plan->node_count + 1) * sizeof *out->items)};
    for (; out->count < plan->node_count; out->count++)
        if (plan_node(session, options, &plan->nodes[out->count], &out->items[out->count], err) !=
            0) {
            out->count++;
            return -1;
        }
    plan_bundle(session, options, &out->items[out->count++]);
    return 0;
}

void iw_jobs_clear(iw_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->items[i].name);
        free(jobs->items[i].after);
        iw_strings_free(&jobs->items[i].argv);
    }
    free(jobs->items);
    *jobs = (iw_jobs){.plan = NULL};
}

/* --- as text -------------------------------------------------------------- */

static int refuse_breaks(const iw_jobs *jobs, iw_error *err)
{
    for (size_t i = 0; i < jobs->count; i++)
        for (size_t k = 0; k < jobs->items[i].argv.count; k++)
            if (strpbrk(jobs->items[i].argv.items[k], "\r\n"))
                return iw_fail(err, IW_E_USAGE,
                               "\"%s\" holds a line break, which no job can be written with",
                               jobs->items[i].argv.items[k]);
    return 0;
}

/* The words from `first` on, quoted for a shell. Caller frees. */
static char *shell_words(const iw_strings *argv, size_t first)
{
    iw_buffer out = {0};
    for (size_t i = first; i < argv->count; i++) {
        iw_cleanup_free char *word = iw_shell_quote(argv->items[i]);
        iw_buffer_add_format(&out, "%s%s", i > first ? " " : "", word);
    }
    return iw_buffer_take(&out);
}

static void add_comment(iw_buffer *out, const iw_job_plan *job)
{
    iw_cleanup_free char *time = iw_format_seconds(job->seconds);
    if (job->node)
        iw_buffer_add_format(out, "# about %s of work; %u core%s, %llu MiB\n", time, job->cores,
                             job->cores == 1 ? "" : "s", (unsigned long long)job->memory);
    else iw_buffer_add_text(out, "# the checks, and the bundle\n");
}

/* make reads a dollar anywhere, and in an assignment a number sign, too. */
static void add_for_make(iw_buffer *out, const char *text, bool assigned)
{
    for (; *text; text++) {
        if (*text == '$') iw_buffer_add_char(out, '$');
        if (*text == '#' && assigned) iw_buffer_add_char(out, '\\');
        iw_buffer_add_char(out, *text);
    }
}

static void add_rule(iw_buffer *out, const iw_jobs *jobs, const iw_job_plan *job)
{
    iw_cleanup_free char *words = shell_words(&job->argv, 1);
    iw_buffer_add_char(out, '\n');
    add_comment(out, job);
    iw_buffer_add_format(out, "%s:", job->name);
    for (size_t i = 0; i < job->after_count; i++)
        iw_buffer_add_format(out, " %s", jobs->items[job->after[i]].name);
    iw_buffer_add_text(out, "\n\t$(IRONWHEEL) ");
    add_for_make(out, words, false);
    iw_buffer_add_char(out, '\n');
}

int iw_jobs_for_make(const iw_jobs *jobs, char **text, iw_error *err)
{
    iw_buffer out = {0};
    const iw_stack *stack = jobs->plan->stack;
    if (refuse_breaks(jobs, err) != 0) return -1;
    iw_cleanup_free char *program = iw_shell_quote(jobs->items[0].argv.items[0]);
    iw_buffer_add_format(&out,
                         "# Stack %s %s, one job a package: make -f FILE -j N\n"
                         "# IRONWHEEL=COMMAND runs another program, as one that picks a machine.\n"
                         "IRONWHEEL = ",
                         stack->name, stack->version);
    add_for_make(&out, program, true);
    iw_buffer_add_text(&out, "\n\nbundle:\n.PHONY:");
    for (size_t i = 0; i < jobs->count; i++) iw_buffer_add_format(&out, " %s", jobs->items[i].name);
    iw_buffer_add_char(&out, '\n');
    for (size_t i = 0; i < jobs->count; i++) add_rule(&out, jobs, &jobs->items[i]);
    *text = iw_buffer_take(&out);
    return 0;
}

/* The here-document is taken as it stands: the command is quoted once, for the job's own shell. */
static void add_submission(iw_buffer *out, const iw_job_plan *job, size_t number)
{
    iw_cleanup_free char *words = shell_words(&job->argv, 0);
    iw_buffer_add_char(out, '\n');
    add_comment(out, job);
    iw_buffer_add_format(out, "submit --job-name=%s --cpus-per-task=%u --mem=%lluM", job->name,
                         job->cores, (unsigned long long)job->memory);
    if (job->after_count)
        iw_buffer_add_text(out, " --kill-on-invalid-dep=yes --dependency=afterok");
    for (size_t i = 0; i < job->after_count; i++)
        iw_buffer_add_format(out, ":$j%zu", job->after[i]);
    iw_buffer_add_format(out, " \"$@\" <<'JOB'\n#!/bin/sh\nexec %s\nJOB\nj%zu=$id\n", words,
                         number);
}

int iw_jobs_for_slurm(const iw_jobs *jobs, char **text, iw_error *err)
{
    iw_buffer out = {0};
    const iw_stack *stack = jobs->plan->stack;
    if (refuse_breaks(jobs, err) != 0) return -1;
    iw_buffer_add_format(
        &out,
        "#!/bin/sh\n"
        "# Stack %s %s, one job a package, submitted to Slurm: sh FILE [OPTION OF SBATCH…]\n"
        "# What stands on a failed job is cancelled; submitted again, what was built is taken.\n"
        "set -eu\n"
        "ids=\n"
        "trap 'status=$?; test $status = 0 || test -z \"$ids\" || scancel $ids; exit $status' "
        "EXIT\n"
        "submit() {\n"
        "    id=$(sbatch --parsable \"$@\")\n"
        "    id=${id%%%%;*}\n"
        "    ids=\"$ids $id\"\n"
        "}\n",
        stack->name, stack->version);
    for (size_t i = 0; i < jobs->count; i++) add_submission(&out, &jobs->items[i], i);
    iw_buffer_add_format(&out, "\necho \"%zu jobs; the bundle's is $id\"\n", jobs->count);
    *text = iw_buffer_take(&out);
    return 0;
}
