/* `ironwheel fetch STACK`. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/commands.h"

static int fetch(iw_context *context, iw_session *session, iw_error *err)
{
    const char *folder = iw_text_option(context->arguments, "export");
    if (iw_session_fetch(session, true, err) != 0) return -1;
    if (!folder) return 0;
    iw_wanted *wanted = NULL;
    size_t count = iw_session_wanted(session, true, true, &wanted);
    int status = iw_fetch_export(session->store, wanted, count, folder, context->sink, err);
    free(wanted);
    return status;
}

/* --- fetch --check -------------------------------------------------------- */

static const char *owner_of(const iw_source_answer *answer, char **text)
{
    const iw_wanted *wanted = answer->wanted;
    *text = wanted->recipe
                ? iw_format("%s/%s", wanted->recipe->name, wanted->recipe->version)
                : iw_format("toolchain %s", wanted->toolchain ? wanted->toolchain->name : "");
    return *text;
}

static void print_answer(iw_context *context, const iw_source_answer *answer)
{
    iw_cleanup_free char *owner = NULL;
    (void)owner_of(answer, &owner);
    if (context->json) {
        json_t *line = json_object();
        iw_json_set(line, "source", answer->name);
        iw_json_set(line, "of", owner);
        iw_json_set(line, "state", iw_source_state_name(answer->state));
        iw_json_set(line, "compared", answer->compared);
        iw_json_set(line, "where", answer->where);
        iw_json_set(line, "detail", answer->detail);
        json_object_set_new(line, "stored", json_boolean(answer->stored));
        iw_print_json(context, line);
        return;
    }
    bool fine = answer->state == IW_SOURCE_THERE;
    if (fine && !context->verbose && !answer->detail) return;
    if (fine && context->quiet) return;
    iw_print(context, "%-9s %s (%s)%s%s%s%s%s\n", iw_source_state_name(answer->state), answer->name,
             owner, answer->detail ? ": " : "", answer->detail ? answer->detail : "",
             answer->where && (!fine || context->verbose) ? "; it is at " : "",
             answer->where && (!fine || context->verbose) ? answer->where : "",
             !fine && answer->state != IW_SOURCE_ELSEWHERE && answer->stored
                 ? "; this store has it (`fetch --export` makes a mirror folder)"
                 : "");
}

/* Exit status as audit's: 0 all can be had as pinned, 1 something can't, 2 something couldn't be
 * asked for. */
static int print_answers(iw_context *context, const char *stack, const iw_source_answers *answers)
{
    size_t states[IW_SOURCE_UNKNOWN + 1] = {0}, had = 0, by_digest = 0, by_size = 0;
    for (size_t i = 0; i < answers->count; i++) {
        const iw_source_answer *answer = &answers->items[i];
        print_answer(context, answer);
        states[answer->state]++;
        if (!answer->where && answer->state != IW_SOURCE_CHANGED) continue;
        had++;
        by_digest += strcmp(answer->compared, "digest") == 0;
        by_size += strcmp(answer->compared, "size") == 0;
    }
    if (context->json) {
        json_t *line = json_object();
        iw_json_set(line, "summary", stack);
        for (iw_source_state i = 0; i <= IW_SOURCE_UNKNOWN; i++)
            json_object_set_new(line, iw_source_state_name(i), json_integer((json_int_t)states[i]));
        iw_print_json(context, line);
    } else {
        iw_print(context,
                 "%s: %zu sources: %zu there, %zu elsewhere, %zu changed, %zu gone, %zu not known; "
                 "%zu compared by the index's digest, %zu by size alone, %zu not at all\n",
                 stack, answers->count, states[IW_SOURCE_THERE], states[IW_SOURCE_ELSEWHERE],
                 states[IW_SOURCE_CHANGED], states[IW_SOURCE_GONE], states[IW_SOURCE_UNKNOWN],
                 by_digest, by_size, had - by_digest - by_size);
    }
    if (states[IW_SOURCE_CHANGED] || states[IW_SOURCE_GONE]) return 1;
    return states[IW_SOURCE_UNKNOWN] ? 2 : 0;
}

static int check(iw_context *context, iw_session *session, iw_error *err)
{
    iw_wanted *wanted = NULL;
    iw_source_answers answers = {0};
    iw_fetch_options options = iw_context_fetch_options(context);
    if (options.offline || iw_text_option(context->arguments, "export"))
        return iw_fail(err, IW_E_USAGE,
                       "--check asks the network and fetches nothing: give it "
                       "without --offline and --export");
    size_t count = iw_session_wanted(session, true, true, &wanted);
    int status = iw_fetch_check(session->store, wanted, count, &options, &answers, err);
    if (status == 0) status = print_answers(context, session->stack->name, &answers);
    else if (err->kind != IW_E_CANCELLED && err->kind != IW_E_USAGE)
        err->kind = IW_E_ENVIRONMENT; /* as audit: 2 is trouble, 1 an answer */
    iw_source_answers_free(&answers);
    free(wanted);
    return status;
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = iw_context_start(context, &session, err);
    if (status == 0 && iw_flag(arguments, "check")) {
        status = check(context, &session, err);
        iw_session_close(&session);
        return status;
    }
    if (status == 0) status = fetch(context, &session, err);
    if (status != 0 && err->kind == IW_E_CANCELLED)
        iw_wrap(err, "stopped; what has come stays, also parts of files");
    if (status == 0 && !context->json && !context->quiet) {
        const char *folder = iw_text_option(arguments, "export");
        iw_print(context,
                 "%s: everything is in the store%s%s; `ironwheel build %s --offline` works now\n",
                 session.stack->name, folder ? ", and exported to " : "", folder ? folder : "",
                 session.stack->name);
    }
    iw_session_close(&session);
    return status;
}

static const iw_option options[] = {
    {"export", 0, IW_OPTION_TEXT, "DIR",
     "Then make DIR a mirror folder, from which another machine builds with --import", "folder"},
    {"check", 0, IW_OPTION_FLAG, NULL,
     "Fetch nothing: ask whether every source can still be had as it was pinned", NULL},
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_fetch = {
    .name = "fetch",
    .operands = "STACK",
    .least = 1,
    .most = 1,
    .complete = "stack",
    .summary = "Bring everything that building a stack needs, so that it works offline",
    .description = "Downloads the sources of every package of the stack, and the toolchain. What "
                   "broke off is continued; a file whose SHA-256 isn't the pinned one is "
                   "never used.\n\n"
                   "Debian's mirrors drop a version as soon as a newer one replaces it. Its "
                   "snapshot archive keeps every file: with --debian-snapshot URL (the address "
                   "without what follows the host), or IRONWHEEL_DEBIAN_SNAPSHOT, what the mirrors "
                   "have dropped comes from there, first as the archive was when the file was "
                   "pinned, then by package, version and name.\n\n"
                   "--check asks for every source without downloading it. What the package index "
                   "and Debian's signed index say of a file's digest is compared; of other files "
                   "only the size, where the store has them. Exit status as audit's: 0 all can be "
                   "had, 1 something is gone or changed, 2 something couldn't be asked for.",
    .examples = "ironwheel fetch base --export /media/stick/mirror\tmake a mirror folder\n"
                "ironwheel build base --import /media/stick/mirror\tbuild from it elsewhere, "
                "without a network\n"
                "ironwheel fetch base --check\twhat is gone, or changed, at its source\n"
                "ironwheel fetch base --debian-snapshot http://HOST\talso what the mirrors have "
                "dropped\n",
    .options = options,
    .run = run,
};
