/* What every command has at hand: where the tree, the store and the helper programs are, and the
 * way to the user. */
#ifndef IW_CLI_CONTEXT_H
#define IW_CLI_CONTEXT_H

#include "base/event.h"
#include "cli/command.h"
#include "recipe/recipe.h"
#include "store/store.h"
#include "ui/terminal.h"

#define IW_VERSION "0.1.0"

typedef struct iw_context {
    const iw_arguments *arguments;
    bool json, quiet, verbose;
    char *program; /* folder of the running program */
    char *root;    /* of the tree; NULL until iw_context_catalog */
    char *helpers; /* folder with iw-cc, iw-init, iw-trace */
    iw_catalog *catalog;
    iw_store *store;
    iw_ui *ui;
    const iw_sink *sink;
    int cancel; /* readable once the user wants to stop; -1 before iw_context_watch_signals */
    struct iw_watch *watch;
} iw_context;

/* Fills `context` for parsed arguments (borrowed). */
void iw_context_open(iw_context *context, const iw_arguments *arguments);
void iw_context_close(iw_context *context);

/* Each opens once and gives the borrowed handle. The tree: -C, else IRONWHEEL_ROOT, else the
 * working folder or the nearest above it that holds recipes/stacks, else what the program was built
 * from or installed with. */
int iw_context_catalog(iw_context *context, iw_catalog **out, iw_error *err);
int iw_context_store(iw_context *context, iw_store **out, iw_error *err);
/* Fails where the tree has no such profile: before there is work for it. */
int iw_context_profile(iw_context *context, const char *name, iw_error *err);
/* The store also where there is no tree, in the user's cache folder unless another is named. */
int iw_context_store_alone(iw_context *context, iw_store **out, iw_error *err);
/* The display, for commands whose work takes time; results go to standard output by iw_print. */
void iw_context_show(iw_context *context);
/* From here on Ctrl-C makes `cancel` readable; a second one ends the program at once (what runs in
 * sandboxes dies with it). */
int iw_context_watch_signals(iw_context *context, iw_error *err);

/* To standard output, past the display; on a terminal without what it would obey. */
void iw_print(iw_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line of JSON there; takes the reference. */
struct json_t;
void iw_print_json(iw_context *context, struct json_t *line);

#endif
