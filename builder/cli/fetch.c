/* `ironwheel fetch STACK`. */
#include <stdlib.h>

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

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session;
    int status = iw_context_session(context, arguments->operands[0], &session, err);
    if (status == 0) status = iw_context_start(context, &session, err);
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
                   "pinned, then by package, version and name.",
    .examples = "ironwheel fetch base --export /media/stick/mirror\tmake a mirror folder\n"
                "ironwheel build base --import /media/stick/mirror\tbuild from it elsewhere, "
                "without a network\n"
                "ironwheel fetch base --debian-snapshot http://HOST\talso what the mirrors have "
                "dropped\n",
    .options = options,
    .run = run,
};
