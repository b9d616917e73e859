#include "upgrade/sketch.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

void iw_sketch_clear(iw_sketch *draft)
{
    free(draft->name), free(draft->version), free(draft->summary), free(draft->licence);
    free(draft->homepage), free(draft->project), free(draft->file), free(draft->sha256);
    iw_strings *const lists[] = {&draft->crates,      &draft->build,   &draft->run,
                                 &draft->environment, &draft->prepare, &draft->remove,
                                 &draft->modules,     &draft->tried,   &draft->todo};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) iw_strings_free(lists[i]);
    *draft = (iw_sketch){0};
}

bool iw_sketch_add(iw_strings *list, const char *text)
{
    if (iw_strings_has(list, text)) return false;
    iw_strings_add(list, text);
    return true;
}

bool iw_sketch_need(iw_strings *needs, const char *need)
{
    size_t length = strcspn(need, "/");
    for (size_t i = 0; i < needs->count; i++) {
        const char *there = needs->items[i];
        if (strcspn(there, "/") != length || strncmp(there, need, length) != 0) continue;
        if (!need[length] || strcmp(there, need) == 0) return false;
        free(needs->items[i]);
        needs->items[i] = iw_strdup(need);
        return true;
    }
    iw_strings_add(needs, need);
    return true;
}

/* --- text ----------------------------------------------------------------- */

void iw_yaml_quoted(iw_buffer *out, const char *text)
{
    iw_buffer_add_char(out, '\'');
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) iw_buffer_add_char(out, ' ');
        else iw_buffer_add_char(out, *c);
        if (*c == '\'') iw_buffer_add_char(out, '\'');
    }
    iw_buffer_add_char(out, '\'');
}

static void add_list(iw_buffer *out, const char *key, const iw_strings *list)
{
    if (!list->count) return;
    iw_buffer_add_format(out, "%s[", key);
    for (size_t i = 0; i < list->count; i++)
        iw_buffer_add_format(out, "%s%s", i ? ", " : "", list->items[i]);
    iw_buffer_add_text(out, "]\n");
}

static void add_sources(iw_buffer *out, const iw_sketch *draft)
{
    iw_buffer_add_format(out, "sources:\n  - pypi: %s\n", draft->project);
    if (draft->wheel) iw_buffer_add_text(out, "    kind: wheel\n");
    iw_buffer_add_format(out, "    file: %s\n    sha256: %s\n", draft->file, draft->sha256);
    if (draft->wheel) iw_buffer_add_text(out, "    unpack: false\n");
    for (size_t i = 0; i < draft->crates.count; i++) {
        const char *one = draft->crates.items[i], *space = strrchr(one, ' ');
        iw_buffer_add_format(out, "  - crates: %.*s\n    sha256: %s\n", (int)(space - one), one,
                             space + 1);
    }
}

static void add_build(iw_buffer *out, const iw_sketch *draft)
{
    iw_buffer_add_format(out, "build:\n  system: %s\n", draft->wheel ? "wheel" : "python");
    if (draft->environment.count) iw_buffer_add_text(out, "  environment:\n");
    for (size_t i = 0; i < draft->environment.count; i++) {
        const char *one = draft->environment.items[i], *equals = strchr(one, '=');
        iw_buffer_add_format(out, "    %.*s: ", (int)(equals - one), one);
        iw_yaml_quoted(out, equals + 1);
        iw_buffer_add_char(out, '\n');
    }
    if (draft->prepare.count) iw_buffer_add_text(out, "  prepare: |\n");
    for (size_t i = 0; i < draft->prepare.count; i++)
        iw_buffer_add_format(out, "    %s\n", draft->prepare.items[i]);
    for (size_t i = 0; i < draft->remove.count; i++) {
        iw_buffer_add_text(out, i ? ", " : "  remove: [");
        iw_yaml_quoted(out, draft->remove.items[i]);
    }
    if (draft->remove.count) iw_buffer_add_text(out, "]\n");
    if (draft->deny_flags) iw_buffer_add_text(out, "  flags: deny\n");
}

/* "file sha256 avx:1,fma:2" */
static void add_tried(iw_buffer *out, const char *one)
{
    const char *holds = strrchr(one, ' ');
    iw_buffer_add_text(out, "    - file: ");
    iw_cleanup_free char *file = iw_strndup(one, (size_t)(holds - one) - (IW_SHA256_HEX - 1) - 1);
    iw_yaml_quoted(out, file);
    iw_buffer_add_format(out, "\n      sha256: %.*s\n      holds: {", (IW_SHA256_HEX - 1),
                         holds - (IW_SHA256_HEX - 1));
    for (const char *at = holds + 1; *at; at++) {
        if (*at == ':') iw_buffer_add_text(out, ": ");
        else if (*at == ',') iw_buffer_add_text(out, ", ");
        else iw_buffer_add_char(out, *at);
    }
    iw_buffer_add_text(out, "}\n");
}

static void add_todo(iw_buffer *out, const iw_strings *todo)
{
    if (todo->count) iw_buffer_add_text(out, "todo:\n");
    for (size_t i = 0; i < todo->count; i++) {
        iw_buffer_add_text(out, "  - ");
        iw_yaml_quoted(out, todo->items[i]);
        iw_buffer_add_char(out, '\n');
    }
}

char *iw_sketch_text(const iw_sketch *draft)
{
    iw_buffer out = {0};
    iw_buffer_add_format(&out, "name: %s\nversion: %s\nsummary: ", draft->name, draft->version);
    iw_yaml_quoted(&out, draft->summary && *draft->summary ? draft->summary : draft->name);
    iw_buffer_add_format(&out, "\nlicence: %s\n", draft->licence);
    if (draft->homepage) iw_buffer_add_format(&out, "homepage: %s\n", draft->homepage);
    add_sources(&out, draft);
    iw_buffer_add_text(&out, "needs:\n");
    add_list(&out, "  build: ", &draft->build);
    add_list(&out, "  run: ", &draft->run);
    add_build(&out, draft);
    if (draft->modules.count) iw_buffer_add_text(&out, "checks:\n");
    for (size_t i = 0; i < draft->modules.count; i++)
        iw_buffer_add_format(&out, "  - import: [%s]\n    timeout: 900\n", draft->modules.items[i]);
    if (draft->tried.count) iw_buffer_add_text(&out, "audit:\n  policy: tried\n  tried:\n");
    for (size_t i = 0; i < draft->tried.count; i++) add_tried(&out, draft->tried.items[i]);
    add_todo(&out, &draft->todo);
    return iw_buffer_take(&out);
}
