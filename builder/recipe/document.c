#include "recipe/document.h"

#include <string.h>
#include <yaml.h>

#include "base/memory.h"
#include "base/text.h"

typedef struct iw_document {
    iw_arena *arena;
    const char *file;
    const char *data;
    size_t length;
    yaml_parser_t parser;
    size_t nodes;
    iw_error *err;
} iw_document;

int iw_fail_at(iw_error *err, const iw_place *place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    iw_cleanup_free char *message = iw_vformat(format, arguments);
    va_end(arguments);
    return iw_fail(err, IW_E_RECIPE, "%s:%d:%d: %s", place->file, place->line, place->column,
                   message);
}

/* A terminal must not be told what to do by a recipe: control characters (U+0000 to U+001F, U+007F
 * to U+009F) become `?`. */
char *iw_shown(const char *text)
{
    iw_cleanup_buffer iw_buffer out = {0};
    const unsigned char *at = (const unsigned char *)text;
    for (; *at && *at != '\n'; at++) {
        if (out.length >= 60 && (*at & 0xC0) != 0x80) break;
        if (*at < 0x20 || *at == 0x7F) {
            iw_buffer_add_char(&out, '?');
        } else if (*at == 0xC2 && at[1] < 0xA0) {
            iw_buffer_add_char(&out, '?');
            at++;
        } else {
            iw_buffer_add_char(&out, (char)*at);
        }
    }
    if (*at) iw_buffer_add_text(&out, "…");
    return iw_buffer_take(&out);
}

const iw_yaml *iw_yaml_find(const iw_yaml *mapping, const char *key)
{
    if (!mapping || mapping->kind != IW_YAML_MAPPING) return NULL;
    for (const iw_yaml *node = mapping->first; node; node = node->next)
        if (strcmp(node->text, key) == 0) return node->value;
    return NULL;
}

static iw_place place_of(const iw_document *document, yaml_mark_t mark)
{
    return (iw_place){document->file, (int)mark.line + 1, (int)mark.column + 1};
}

/* Whether the line (from 0) is indented with a tab: libyaml's own words for that are hard to
 * understand. */
static bool tab_indented(const iw_document *document, size_t line)
{
    const char *at = document->data, *end = document->data + document->length;
    for (; line > 0; line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at) return false;
        at++;
    }
    while (at < end && *at == ' ') at++;
    return at < end && *at == '\t';
}

static int fail_syntax(iw_document *document)
{
    yaml_parser_t *parser = &document->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return iw_fail(document->err, IW_E_MEMORY, "%s: no memory left while reading it",
                       document->file);
    const char *problem = parser->problem ? parser->problem : "it can't be read";
    if (parser->error == YAML_READER_ERROR) { /* without a mark: count the lines up to the offset */
        iw_place place = {document->file, 1, 1};
        for (size_t i = 0; i < parser->problem_offset && i < document->length; i++) {
            place.column = document->data[i] == '\n' ? 1 : place.column + 1;
            place.line += document->data[i] == '\n';
        }
        if (strstr(problem, "control"))
            return iw_fail_at(document->err, &place, "a control character");
        return iw_fail_at(document->err, &place, "not UTF-8 text (%s); save the file as UTF-8",
                          problem);
    }
    iw_place place = place_of(document, parser->problem_mark);
    if (tab_indented(document, parser->problem_mark.line))
        return iw_fail_at(document->err, &place,
                          "a tab at the start of a line; indent with spaces");
    if (parser->context && parser->context_mark.line != parser->problem_mark.line)
        return iw_fail_at(document->err, &place, "not YAML: %s (%s that starts in line %d)",
                          problem, parser->context, (int)parser->context_mark.line + 1);
    if (parser->context)
        return iw_fail_at(document->err, &place, "not YAML: %s (%s)", problem, parser->context);
    return iw_fail_at(document->err, &place, "not YAML: %s", problem);
}

static int next_event(iw_document *document, yaml_event_t *event)
{
    return yaml_parser_parse(&document->parser, event) ? 0 : fail_syntax(document);
}

static int new_node(iw_document *document, iw_yaml_kind kind, yaml_mark_t mark, iw_yaml **out)
{
    iw_place place = place_of(document, mark);
    if (++document->nodes > IW_DOCUMENT_MAX_NODES)
        return iw_fail_at(document->err, &place, "more than %d values in one file",
                          IW_DOCUMENT_MAX_NODES);
    iw_yaml *node = iw_arena_alloc(document->arena, sizeof *node);
    node->kind = kind;
    node->place = place;
    *out = node;
    return 0;
}

static int refuse_extras(iw_document *document, const iw_place *place, const void *anchor,
                         const void *tag)
{
    if (anchor)
        return iw_fail_at(document->err, place,
                          "an anchor (&); write the value out where it is needed");
    if (tag)
        return iw_fail_at(document->err, place,
                          "a tag (!); values here have no types of their own: leave it out");
    return 0;
}

static int read_scalar(iw_document *document, const yaml_event_t *event, iw_yaml **out)
{
    if (new_node(document, IW_YAML_SCALAR, event->start_mark, out)) return -1;
    iw_yaml *node = *out;
    if (refuse_extras(document, &node->place, event->data.scalar.anchor, event->data.scalar.tag))
        return -1;
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return iw_fail_at(document->err, &node->place, "a NUL character");
    node->text = iw_arena_strndup(document->arena, text, event->data.scalar.length);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return 0;
}

static int read_value(iw_document *document, const yaml_event_t *event, int depth, iw_yaml **out);

static int read_list(iw_document *document, const yaml_event_t *start, int depth, iw_yaml **out)
{
    if (new_node(document, IW_YAML_LIST, start->start_mark, out)) return -1;
    iw_yaml *list = *out, **tail = &list->first;
    if (refuse_extras(document, &list->place, start->data.sequence_start.anchor,
                      start->data.sequence_start.tag))
        return -1;
    for (;;) {
        yaml_event_t event;
        if (next_event(document, &event)) return -1;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        int status = end ? 0 : read_value(document, &event, depth + 1, tail);
        yaml_event_delete(&event);
        if (end || status) return status;
        tail = &(*tail)->next;
        list->count++;
    }
}

static int check_key(iw_document *document, const iw_yaml *mapping, const iw_yaml *key)
{
    if (key->kind != IW_YAML_SCALAR)
        return iw_fail_at(document->err, &key->place, "a key must be a word");
    if (mapping->count > IW_DOCUMENT_MAX_ENTRIES)
        return iw_fail_at(document->err, &key->place, "more than %d keys in one mapping",
                          IW_DOCUMENT_MAX_ENTRIES);
    for (const iw_yaml *other = mapping->first; other && other != key; other = other->next)
        if (strcmp(other->text, key->text) == 0) {
            iw_cleanup_free char *shown = iw_shown(key->text);
            return iw_fail_at(document->err, &key->place,
                              "key \"%s\" stands twice; the first is in line %d", shown,
                              other->place.line);
        }
    return 0;
}

static int read_mapping(iw_document *document, const yaml_event_t *start, int depth, iw_yaml **out)
{
    if (new_node(document, IW_YAML_MAPPING, start->start_mark, out)) return -1;
    iw_yaml *mapping = *out, **tail = &mapping->first;
    if (refuse_extras(document, &mapping->place, start->data.mapping_start.anchor,
                      start->data.mapping_start.tag))
        return -1;
    for (;;) {
        yaml_event_t event;
        if (next_event(document, &event)) return -1;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        int status = end ? 0 : read_value(document, &event, depth + 1, tail);
        yaml_event_delete(&event);
        if (end || status) return status;
        mapping->count++;
        if (check_key(document, mapping, *tail) || next_event(document, &event)) return -1;
        status = read_value(document, &event, depth + 1, &(*tail)->value);
        yaml_event_delete(&event);
        if (status) return -1;
        tail = &(*tail)->next;
    }
}

static int read_value(iw_document *document, const yaml_event_t *event, int depth, iw_yaml **out)
{
    iw_place place = place_of(document, event->start_mark);
    if (depth > IW_DOCUMENT_MAX_DEPTH)
        return iw_fail_at(document->err, &place, "nested more than %d deep", IW_DOCUMENT_MAX_DEPTH);
    switch (event->type) {
    case YAML_SCALAR_EVENT: return read_scalar(document, event, out);
    case YAML_SEQUENCE_START_EVENT: return read_list(document, event, depth, out);
    case YAML_MAPPING_START_EVENT: return read_mapping(document, event, depth, out);
    case YAML_ALIAS_EVENT:
        return iw_fail_at(
            document->err, &place,
            "an alias (*); write the value out (a glob that starts with * needs quotes)");
    default: return iw_fail_at(document->err, &place, "not YAML: a value is missing");
    }
}

/* Reads one event, keeps its type and mark, and refuses directives. */
static int step(iw_document *document, yaml_event_type_t *type, iw_place *place)
{
    yaml_event_t event;
    if (next_event(document, &event)) return -1;
    *type = event.type;
    *place = place_of(document, event.start_mark);
    bool directive = event.type == YAML_DOCUMENT_START_EVENT &&
                     (event.data.document_start.version_directive ||
                      event.data.document_start.tag_directives.start !=
                          event.data.document_start.tag_directives.end);
    yaml_event_delete(&event);
    return directive ? iw_fail_at(document->err, place, "a YAML directive (%%); leave it out") : 0;
}

static int read_document(iw_document *document, iw_yaml **out)
{
    yaml_event_type_t type;
    iw_place place;
    if (step(document, &type, &place) || step(document, &type, &place)) return -1;
    if (type != YAML_DOCUMENT_START_EVENT)
        return iw_fail_at(document->err, &place, "the file is empty");
    yaml_event_t event;
    if (next_event(document, &event)) return -1;
    int status = read_value(document, &event, 1, out);
    yaml_event_delete(&event);
    if (status) return -1;
    if ((*out)->kind != IW_YAML_MAPPING)
        return iw_fail_at(document->err, &(*out)->place,
                          "keys with values (\"name: …\") are expected at the top of the file");
    if (step(document, &type, &place) || step(document, &type, &place)) return -1;
    if (type != YAML_STREAM_END_EVENT)
        return iw_fail_at(document->err, &place, "a second document (---); a file holds one");
    return 0;
}

int iw_document_parse(iw_arena *arena, const char *file, const char *data, size_t length,
                      iw_yaml **out, iw_error *err)
{
    iw_document document = {
        .arena = arena, .file = file, .data = data, .length = length, .err = err};
    iw_place start = {file, 1, 1};
    *out = NULL;
    if (length > IW_DOCUMENT_MAX_BYTES)
        return iw_fail_at(err, &start, "larger than %zu bytes", IW_DOCUMENT_MAX_BYTES);
    if (length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        return iw_fail_at(err, &start, "a byte order mark; save the file as UTF-8 without one");
    if (!yaml_parser_initialize(&document.parser))
        return iw_fail(err, IW_E_MEMORY, "%s: no memory left while reading it", file);
    yaml_parser_set_encoding(&document.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&document.parser, (const unsigned char *)data, length);
    int status = read_document(&document, out);
    yaml_parser_delete(&document.parser);
    return status;
}
