#include "base/event.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"

static const char *const names[] = {"plan",     "started", "progress", "line",
                                    "finished", "failed",  "note",     "result"};
#define NAME_COUNT (sizeof names / sizeof *names)

void iw_emit(const iw_sink *sink, iw_event event)
{
    if (!sink || !sink->emit) return;
    if (event.when == 0) event.when = iw_now_ms();
    sink->emit(sink->context, &event);
}

const char *iw_event_name(iw_event_type type)
{
    return names[type];
}

char *iw_event_to_json(const iw_event *event)
{
    json_t *object = json_object();
    iw_json_put(object, "type", names[event->type]);
    if (event->type == IW_EVENT_RESULT) {
        iw_json_put(object, "bundle", event->path);
        iw_json_put(object, "sha256", event->detail);
        iw_json_put(object, "tar_sha256", event->part);
        iw_json_put(object, "report", event->subject);
    } else {
        iw_json_put(object, "subject", event->subject);
        iw_json_put(object, "part", event->part);
        iw_json_put(object, "phase", event->phase);
        iw_json_put(object, "detail", event->detail);
        iw_json_put(object, "path", event->path);
        iw_json_put(object, "unit", event->unit);
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
    const char *name = iw_json_get(object, "type");
    size_t type = 0;
    while (name && type < NAME_COUNT && strcmp(names[type], name) != 0) type++;
    if (!name || type == NAME_COUNT) return -1;
    *event = (iw_event){.type = (iw_event_type)type};
    event->subject = iw_json_get(object, type == IW_EVENT_RESULT ? "report" : "subject");
    event->part = iw_json_get(object, type == IW_EVENT_RESULT ? "tar_sha256" : "part");
    event->phase = iw_json_get(object, "phase");
    event->detail = iw_json_get(object, type == IW_EVENT_RESULT ? "sha256" : "detail");
    event->path = iw_json_get(object, type == IW_EVENT_RESULT ? "bundle" : "path");
    event->unit = iw_json_get(object, "unit");
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
