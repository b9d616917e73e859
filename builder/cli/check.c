/* `ironwheel check PACKAGE…`. */
#include "deliver/check.h"

#include <jansson.h>

#include "base/memory.h"
#include "cli/commands.h"

static void say(iw_context *context, const iw_session *session, size_t count)
{
    if (context->json)
        iw_print_json(context,
                      json_pack("{s:s,s:s,s:I,s:b}", "type", "result", "stack",
                                session->stack->name, "checks", (json_int_t)count, "passed", 1));
    else if (!context->quiet)
        iw_print(context, "%zu check%s passed\n", count, count == 1 ? "" : "s");
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_session session = {0};
    const char *stack, *names = iw_text_option(arguments, "name");
    iw_cleanup_strings iw_strings wanted = {0};
    iw_check_choice choice = {.packages = arguments->operands,
                              .package_count = arguments->operand_count,
                              .names = &wanted,
                              .cpu = iw_text_option(arguments, "cpu")};
    size_t count = 0;
    if (names) iw_strings_add_words(&wanted, names, ',');
    if (iw_context_stack_option(context, &stack, err) != 0 ||
        (choice.cpu && iw_context_profile(context, choice.cpu, err) != 0))
        return -1;
    int status = iw_context_session(context, stack, &session, err);
    if (status == 0) status = iw_context_start(context, &session, err);
    if (status == 0) status = iw_session_check(&session, &choice, &count, err);
    if (status == 0) say(context, &session, count);
    iw_session_close(&session);
    return status;
}

static const iw_option options[] = {
    {"stack", 's', IW_OPTION_TEXT, "STACK", "The stack that they are of (default: base)", NULL},
    {"name", 0, IW_OPTION_TEXT, "NAME,…", "Only the checks of these names (default: all)", NULL},
    {"cpu", 0, IW_OPTION_TEXT, "PROFILE",
     "The CPU to run them on (default: those of the stack's profiles)", NULL},
    {"jobs", 'j', IW_OPTION_NUMBER, "N", "Checks at once (default: all cores)", NULL},
    IW_NO_SANDBOX_OPTION,
    IW_FETCH_OPTIONS,
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_check = {
    .name = "check",
    .operands = "PACKAGE…",
    .least = 1,
    .most = 64,
    .complete = "package",
    .summary = "Run the checks of single packages, without a bundle",
    .description =
        "For who writes a recipe's checks. The packages are laid at a fresh place as the store has "
        "them, with what they need to run and what their checks require, and nothing else of the "
        "stack; then their checks run as a bundle's do, under the CPU model of every "
        "profile. Nothing is built; a changed check alone needs no build.\n\n"
        "A check that leans on a package which neither the recipe (`needs: run`) nor the check "
        "(`requires`) names may pass in a bundle and fail here. What passed here counts for no "
        "bundle, whose environment is another one: `ironwheel build` runs it there. The audit is "
        "left to it, too.",
    .examples = "ironwheel check numpy\tall checks of numpy, of stack base\n"
                "ironwheel check torch --stack tts --name matmul,conv\ttwo of them\n"
                "ironwheel check numpy --cpu core2\ton another CPU than the stack's\n",
    .options = options,
    .run = run,
};
