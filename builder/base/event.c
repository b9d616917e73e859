#include "base/event.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

static const char *const names[] = {"plan",     "started", "progress", "line",
                                    "finished", "failed",  "note",     "result"};
#define NAME_COUNT (sizeof names / sizeof *names)

void iw_emit(const iw_sink *sink, iw_event event)
{
    if (!sink || !sink->emit) return;
    if (event.when == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        event.when = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }
    sink->emit(sink->context, &event);
}

const char *iw_event_name(iw_event_type type)
{
    return names[type];
}

/* Output of builds may hold any bytes; JSON holds text. */
static void set_text(json_t *object, const char *key, const char *text)
{
    if (!text) return;
    json_t *value = json_string(text);
    if (!value) { /* not UTF-8 */
        char *safe = iw_strdup(text);
        for (char *c = safe; *c; c++)
            if ((unsigned char)*c >= 128) *c = '?';
        value = json_string(safe);
        free(safe);
    }
    json_object_set_new(object, key, value);
}

char *iw_event_to_json(const iw_event *event)
{
    json_t *object = json_object();
    set_text(object, "type", names[event->type]);
    if (event->type == IW_EVENT_RESULT) {
        set_text(object, "bundle", event->path);
        set_text(object, "sha256", event->detail);
        set_text(object, "report", event->subject);
    } else {
        set_text(object, "subject", event->subject);
        set_text(object, "part", event->part);
        set_text(object, "phase", event->phase);
        set_text(object, "detail", event->detail);
        set_text(object, "path", event->path);
        set_text(object, "unit", event->unit);
        if (event->count)
            json_object_set_new(object, "count", json_integer((json_int_t)event->count));
        if (event->total)
            json_object_set_new(object, "total", json_integer((json_int_t)event->total));
        if (event->when) json_object_set_new(object, "when", json_integer(event->when));
    }
    char *line = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    return line ? line : iw_strdup("{}");
}

static int read_event(json_t *object, iw_event *event)
{
    const char *name = json_string_value(json_object_get(object, "type"));
    size_t type = 0;
    while (name && type < NAME_COUNT && strcmp(names[type], name) != 0) type++;
    if (!name || type == NAME_COUNT) return -1;
    *event = (iw_event){.type = (iw_event_type)type};
    event->subject =
        json_string_value(json_object_get(object, type == IW_EVENT_RESULT ? "report" : "subject"));
    event->part = json_string_value(json_object_get(object, "part"));
    event->phase = json_string_value(json_object_get(object, "phase"));
    event->detail =
        json_string_value(json_object_get(object, type == IW_EVENT_RESULT ? "sha256" : "detail"));
    event->path =
        json_string_value(json_object_get(object, type == IW_EVENT_RESULT ? "bundle" : "path"));
    event->unit = json_string_value(json_object_get(object, "unit"));
    event->count = (uint64_t)json_integer_value(json_object_get(object, "count"));
    event->total = (uint64_t)json_integer_value(json_object_get(object, "total"));
    event->when = json_integer_value(json_object_get(object, "when"));
    return 0;
}

/* Copies the event's strings into one block behind its owner's back, so that a plain free()
 * releases them. */
static void *hold(iw_event *event)
{
    const char **texts[] = {&event->subject, &event->part, &event->phase,
                            &event->detail,  &event->path, &event->unit};
    const size_t count = sizeof texts / sizeof *texts;
    size_t total = 1;
    for (size_t i = 0; i < count; i++) total += *texts[i] ? strlen(*texts[i]) + 1 : 0;
    char *block = iw_alloc(total), *at = block;
    for (size_t i = 0; i < count; i++) {
        if (!*texts[i]) continue;
        size_t length = strlen(*texts[i]) + 1;
        memcpy(at, *texts[i], length);
        *texts[i] = at;
        at += length;
    }
    return block;
}

int iw_event_from_json(const char *line, iw_event *event, void **holder, struct iw_error *err)
{
    *holder = NULL;
    json_error_t why;
    json_t *object = json_loads(line, 0, &why);
    if (!object) return iw_fail(err, IW_E_FORMAT, "an event is no JSON: %s", why.text);
    int status = read_event(object, event);
    if (status == 0) *holder = hold(event);
    else iw_fail(err, IW_E_FORMAT, "an event of unknown type: %.100s", line);
    json_decref(object);
    return status;
}
