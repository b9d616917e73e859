/* `ironwheel serve [DIR]`. */
#include <poll.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"
#include "share/serve.h"

/* From the server's threads: one line each, which stdio keeps whole. */
static void on_served(void *context, const char *method, const char *path, unsigned status)
{
    iw_context *c = context;
    if (c->verbose && !c->json) iw_print(c, "%u %s %s\n", status, method, path);
}

static int run(iw_context *context, const iw_arguments *arguments, iw_error *err)
{
    iw_server *server = NULL;
    uint16_t port = 0;
    const char *address = iw_text_option(arguments, "address");
    uint64_t wanted = iw_number_option(arguments, "port", 8765);
    iw_serve_options options = {.folder = arguments->operand_count ? arguments->operands[0] : ".",
                                .address = address,
                                .port = (uint16_t)wanted,
                                .served = on_served,
                                .context = context};
    if (wanted > 65535)
        return iw_fail(err, IW_E_USAGE, "there is no port %llu", (unsigned long long)wanted);
    if (iw_context_watch_signals(context, err) != 0 ||
        iw_serve_start(&options, &server, &port, err) != 0)
        return -1;
    if (context->json) iw_print(context, "{\"type\":\"serving\",\"port\":%u}\n", port);
    else if (!context->quiet)
        iw_print(context, "%s at http://%s:%u, until Ctrl-C\n", options.folder,
                 address ? address : "127.0.0.1", port);
    struct pollfd polled = {context->cancel, POLLIN, 0};
    (void)!poll(&polled, 1, -1);
    iw_serve_stop(server);
    return 0;
}

static const iw_option options[] = {
    {"address", 0, IW_OPTION_TEXT, "IP",
     "Listen there (default: 127.0.0.1; 0.0.0.0 for the whole local network)", NULL},
    {"port", 0, IW_OPTION_NUMBER, "N", "Port (default: 8765; 0: any)", NULL},
    {NULL, 0, IW_OPTION_FLAG, NULL, NULL, NULL},
};

const iw_command_spec iw_command_serve = {
    .name = "serve",
    .operands = "[DIR]",
    .least = 0,
    .most = 1,
    .complete = "file",
    .summary = "Serve a shared folder on the local network",
    .description =
        "A static server for a folder that `push` filled: GET and HEAD, ranges, ETags. Plain http: "
        "what is shared is signed, so nobody on the way can change it unseen, but everybody there "
        "can read it. For the internet put a web server of your distribution before the folder.",
    .examples = "ironwheel serve /srv/ironwheel --address 0.0.0.0\tthen, elsewhere: ironwheel pull "
                "base http://rig:8765\n",
    .options = options,
    .run = run,
};
