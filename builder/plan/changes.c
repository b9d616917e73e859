#include "plan/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define NAMES_LIMIT 4

/* --- lines ---------------------------------------------------------------- */

/* A name with all its values, in order: lists stand as several lines of one name. */
typedef struct entry {
    iw_slice name;
    iw_buffer value;
    bool met;
} entry;

typedef struct entries {
    entry *items;
    size_t count, capacity;
} entries;

static entry *find(const entries *all, iw_slice name)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].name.length == name.length &&
            memcmp(all->items[i].name.data, name.data, name.length) == 0)
            return &all->items[i];
    return NULL;
}

static void read_lines(entries *all, const char *text)
{
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        const char *blank = memchr(line.data, ' ', line.length);
        iw_slice name = {line.data, blank ? (size_t)(blank - line.data) : line.length};
        entry *e = find(all, name);
        if (!e) {
            iw_grow((void **)&all->items, &all->capacity, all->count + 1, sizeof *all->items);
            e = &all->items[all->count++];
            *e = (entry){.name = name};
        } else {
            iw_buffer_add_char(&e->value, ' ');
        }
        if (blank) iw_buffer_add(&e->value, blank + 1, line.length - name.length - 1);
    }
}

static void free_entries(entries *all)
{
    for (size_t i = 0; i < all->count; i++) iw_buffer_free(&all->items[i].value);
    free(all->items);
}

static const char *value_of(const entry *e)
{
    return e && e->value.data ? e->value.data : "";
}

static const char *value_named(const entries *all, const char *name)
{
    return value_of(find(all, iw_slice_of(name)));
}

static bool same(const entries *a, const entries *b, const char *name)
{
    return strcmp(value_named(a, name), value_named(b, name)) == 0;
}

/* --- in words ------------------------------------------------------------- */

static void add_part(iw_buffer *out, const char *text)
{
    if (out->length) iw_buffer_add_text(out, "; ");
    iw_buffer_add_text(out, text);
}

/* Names with `prefix` that differ, without it: "build.make, sources[1].sha256". "" where none does.
 */
static char *differing(const entries *last, const entries *now, const char *prefix)
{
    iw_buffer out = {0};
    size_t length = strlen(prefix), count = 0;
    for (int pass = 0; pass < 2; pass++) {
        const entries *from = pass ? last : now, *other = pass ? now : last;
        for (size_t i = 0; i < from->count; i++) {
            const entry *e = &from->items[i], *o = find(other, e->name);
            if (e->name.length <= length || memcmp(e->name.data, prefix, length) != 0) continue;
            if (pass ? o != NULL : o && strcmp(value_of(o), value_of(e)) == 0) continue;
            if (count++ < NAMES_LIMIT)
                iw_buffer_add_format(&out, "%s%.*s", out.length ? ", " : "",
                                     (int)(e->name.length - length), e->name.data + length);
        }
    }
    if (count > NAMES_LIMIT) iw_buffer_add_format(&out, " and %zu more", count - NAMES_LIMIT);
    return iw_buffer_take(&out);
}

/* The node's own inputs. */
static void tell_own(const iw_plan *plan, const entries *last, const entries *now, iw_buffer *out)
{
    iw_cleanup_free char *recipe = differing(last, now, "recipe."),
                         *profile = differing(last, now, "profile.");
    iw_cleanup_free char *text = NULL;
    if (!same(last, now, "profile")) {
        text = iw_format("never built for profile %s", plan->profile->name);
        add_part(out, text);
        return;
    }
    if (!same(last, now, "recipe.version")) {
        iw_slice before = iw_slice_of(value_named(last, "recipe.version"));
        if (before.length > 1 && *before.data == '"')
            before =
                (iw_slice){before.data + 1, before.length - 2}; /* texts stand in quotes there */
        text = iw_format("another version (%.*s before)", (int)before.length, before.data);
        add_part(out, text);
    } else if (*recipe) {
        text = iw_format("recipe changed: %s", recipe);
        add_part(out, text);
    }
    if (*profile) add_part(out, "profile changed");
    if (!same(last, now, "toolchain")) add_part(out, "toolchain changed");
    if (!same(last, now, "policy")) add_part(out, "Ironwheel's own build rules changed");
}

/* "version key content" of something laid. */
static iw_slice word(const char *value, int number)
{
    iw_slice rest = iw_slice_of(value), part = {0};
    for (int i = 0; i <= number; i++)
        if (!iw_slice_next(&rest, ' ', &part)) return (iw_slice){"", 0};
    return part;
}

static bool same_word(const char *a, const char *b, int number)
{
    iw_slice x = word(a, number), y = word(b, number);
    return x.length == y.length && memcmp(x.data, y.data, x.length) == 0;
}

static void tell_laid(const iw_node *node, const entries *last, const entries *now,
                      iw_changes *changes, iw_buffer *out)
{
    for (size_t i = 0; i < node->laid_count; i++) {
        const iw_node *laid = node->laid[i];
        iw_cleanup_free char *name = iw_format("laid.%s", laid->recipe->name), *text = NULL;
        entry *before = find(last, iw_slice_of(name));
        const char *value = value_named(now, name);
        if (before) before->met = true;
        if (!iw_node_is_done(laid)) {
            changes->pending++;
        } else if (!before) {
            changes->own = true;
            text = iw_format("%s is new beside it", laid->recipe->name);
        } else if (!same_word(value, value_of(before), 0)) {
            iw_slice old = word(value_of(before), 0);
            changes->bytes = true;
            text = iw_format("%s is now %s (%.*s before)", laid->recipe->name,
                             laid->recipe->version, (int)old.length, old.data);
        } else if (!same_word(value, value_of(before), 2) || !laid->artifact.content) {
            changes->bytes = true;
            text = iw_format("%s was rebuilt with other bytes", laid->recipe->name);
        }
        if (text) add_part(out, text);
    }
    for (size_t i = 0; i < last->count; i++) {
        const entry *e = &last->items[i];
        if (e->met || e->name.length < 6 || memcmp(e->name.data, "laid.", 5) != 0) continue;
        iw_cleanup_free char *text =
            iw_format("%.*s is no longer beside it", (int)e->name.length - 5, e->name.data + 5);
        changes->own = true;
        add_part(out, text);
    }
}

int iw_changes_last(const iw_plan *plan, iw_store *store, const iw_node *node, char **last,
                    iw_error *err)
{
    iw_cleanup_free char *profile = iw_format("profile %s", plan->profile->name);
    return iw_store_last_inputs(store, node->recipe->name, node->recipe->version, plan->stack->name,
                                profile, last, err);
}

void iw_changes_make(const iw_plan *plan, const iw_node *node, const char *last_lines,
                     iw_changes *out)
{
    entries last = {0}, now = {0};
    iw_cleanup_free char *lines = iw_plan_inputs(plan, node);
    iw_cleanup_buffer iw_buffer own = {0}, laid = {0};
    *out = (iw_changes){0};
    read_lines(&last, last_lines);
    read_lines(&now, lines);
    tell_own(plan, &last, &now, &own);
    tell_laid(node, &last, &now, out, &laid);
    if (own.length) out->own = true;
    out->text = iw_buffer_take(own.length ? &own : &laid);
    free_entries(&last);
    free_entries(&now);
}

char *iw_changes_pending(const iw_node *node)
{
    iw_buffer out = {0};
    /* What is certainly built is the cause; what may be built follows from it. */
    bool certain = false;
    size_t count = 0, shown = 0;
    for (size_t i = 0; i < node->laid_count; i++)
        if (!iw_node_is_done(node->laid[i]) && !node->laid[i]->maybe) certain = true;
    for (size_t i = 0; i < node->laid_count; i++)
        if (!iw_node_is_done(node->laid[i]) && !(certain && node->laid[i]->maybe)) count++;
    for (size_t i = 0; i < node->laid_count && shown < 3; i++) {
        if (iw_node_is_done(node->laid[i]) || (certain && node->laid[i]->maybe)) continue;
        iw_buffer_add_format(&out, "%s%s's",
                             shown == 0           ? ""
                             : shown + 1 == count ? " and "
                                                  : ", ",
                             node->laid[i]->recipe->name);
        shown++;
    }
    if (count > shown) iw_buffer_add_format(&out, " and %zu others'", count - shown);
    return iw_buffer_take(&out);
}

char *iw_changes_list(const char *last_lines, const char *now_lines)
{
    entries last = {0}, now = {0};
    iw_buffer out = {0};
    read_lines(&last, last_lines);
    read_lines(&now, now_lines);
    for (size_t i = 0; i < now.count; i++) {
        entry *before = find(&last, now.items[i].name);
        if (before) before->met = true;
        if (iw_slice_equal(now.items[i].name, "plan-key")) continue;
        if (before && strcmp(value_of(before), value_of(&now.items[i])) == 0) continue;
        iw_buffer_add_format(&out, "  %.*s: %.200s → %.200s\n", (int)now.items[i].name.length,
                             now.items[i].name.data, before ? value_of(before) : "(nothing)",
                             value_of(&now.items[i]));
    }
    for (size_t i = 0; i < last.count; i++)
        if (!last.items[i].met)
            iw_buffer_add_format(&out, "  %.*s: %.200s → (nothing)\n",
                                 (int)last.items[i].name.length, last.items[i].name.data,
                                 value_of(&last.items[i]));
    free_entries(&last);
    free_entries(&now);
    return iw_buffer_take(&out);
}
