/* Changes to recipes, stacks and patches as text: everything that isn't changed stays as it was
 * written, comments too. Texts that are returned are the caller's to free; NULL says that the place
 * to change wasn't found. */
#ifndef IW_UPGRADE_EDIT_H
#define IW_UPGRADE_EDIT_H

#include "recipe/recipe.h"

/* The value of the first `key` in the lines `first` to `last` (from 1; last 0: the end), in a block
 * or in a flow mapping; quotes and what follows stay. */
char *iw_edit_value(const char *text, int first, int last, const char *key, const char *value);
/* The last line of what begins on `first`, a key or list item of that indent, without the blank
 * lines and comments that follow it. */
int iw_edit_end(const char *text, int first);

/* A new item of a list of scalars in `place`'s stead, or, with `item` NULL, without it: in a flow
 * list (`[a, b]`) or one item a line; a list that becomes empty goes, key and all. */
char *iw_edit_item(const char *text, const iw_place *place, const char *item);
/* A new item behind the one at `place`, written as that one is. */
char *iw_edit_add_item(const char *text, const iw_place *place, const char *item);
/* Puts "  name: version" into the mapping of the top-level `key`, which is added where it is
 * missing; a name that is there gets the version. */
char *iw_edit_pin(const char *text, const char *key, const char *name, const char *version);
/* The same in the text of a stack's file: among `packages` where that file itself names the package
 * there, else a pin. */
char *iw_edit_stack(const char *text, const iw_stack *stack, const char *name, const char *version);
/* The pin of that name, or NULL. Borrowed. */
const iw_pin *iw_find_pin(const iw_pin *pins, size_t count, const char *name);

/* A field of a patch's DEP-3 header, with a new value in the place of all its lines, or added at
 * the header's end. */
char *iw_edit_header(const char *patch, const char *field, const char *value);
/* The field's value with its continuation lines folded, or NULL. */
char *iw_header_field(const char *patch, const char *field);

#endif
