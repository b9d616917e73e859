/* Build tools of a draft that don't go together as they are. */
#ifndef IW_UPGRADE_TOOLS_H
#define IW_UPGRADE_TOOLS_H

#include <jansson.h>

#include "base/error.h"
#include "recipe/catalog.h"

/* A recipe that moved asks for another release of a build tool by its version, and what it is built
 * with asks for that tool, too, as the stack has it: two at one prefix; or it asks for one that the
 * stack had no use for before, of which the tree has several. In the tree `draft`, pins `stack` to
 * the newest then, all of it to be built with that, and notes {tool: version} in
 * `pinned`. A tool that the stack's own file names stays a person's choice (`stack` is as in the
 * tree, not as in the draft), and one of `never` (names as keys; or NULL) stays, too. What doesn't
 * go together for another reason is for who plans the draft next. Files of the draft are written.
 */
int iw_settle_tools(const char *draft, const iw_stack *stack, const json_t *never, json_t *pinned,
                    iw_error *err);

#endif
