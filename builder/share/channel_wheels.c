#include "share/channel_wheels.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define FOR_GOOD "*" /* in place of bundles */
#define FORGET (UINT64_C(30) * 86400)

static size_t place_of(const iw_channel *channel, const char *sha256, bool *there)
{
    size_t low = 0, high = channel->wheel_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(channel->wheels[middle].file.sha256, sha256) < 0) low = middle + 1;
        else high = middle;
    }
    *there = low < channel->wheel_count && strcmp(channel->wheels[low].file.sha256, sha256) == 0;
    return low;
}

const iw_offered_wheel *iw_channel_wheel(const iw_channel *channel, const char *sha256)
{
    bool there;
    size_t i = place_of(channel, sha256, &there);
    return there ? &channel->wheels[i] : NULL;
}

static iw_offered_wheel *make_room(iw_channel *channel, size_t i)
{
    iw_grow((void **)&channel->wheels, &channel->wheel_capacity, channel->wheel_count + 1,
            sizeof *channel->wheels);
    memmove(channel->wheels + i + 1, channel->wheels + i,
            (channel->wheel_count++ - i) * sizeof *channel->wheels);
    return &channel->wheels[i];
}

/* --- lists of names, by spaces -------------------------------------------- */

static const char *without(iw_channel *channel, const char *list, const char *name)
{
    iw_cleanup_buffer iw_buffer out = {0};
    iw_slice rest = iw_slice_of(list), one;
    while (iw_slice_next(&rest, ' ', &one))
        if (one.length && (one.length != strlen(name) || memcmp(one.data, name, one.length) != 0))
            iw_buffer_add_format(&out, "%s%.*s", out.length ? " " : "", (int)one.length, one.data);
    return iw_arena_strdup(channel->arena, out.length ? out.data : "");
}

static const char *with(iw_channel *channel, const char *list, const char *name)
{
    const char *others = without(channel, list, name);
    iw_cleanup_free char *text = iw_format("%s%s%s", others, *others ? " " : "", name);
    return iw_arena_strdup(channel->arena, text);
}

static bool is_list(const char *text)
{
    iw_slice rest = iw_slice_of(text), one;
    bool fine = true;
    if (strcmp(text, FOR_GOOD) == 0) return true;
    while (fine && iw_slice_next(&rest, ' ', &one)) {
        iw_cleanup_free char *name = iw_strndup(one.data, one.length);
        fine = iw_is_plain_name(name);
    }
    return fine;
}

/* --- JSON ----------------------------------------------------------------- */

static bool read_wheel(iw_channel *channel, const char *sha256, const json_t *object)
{
    const char *file, *label, *bundles;
    iw_offered_wheel wheel = {.dropped = 0};
    bool there;
    if (!iw_is_sha256(sha256) || !iw_field_name(object, "file", &file) ||
        !iw_ends_with(file, ".whl") || !iw_field_name(object, "label", &label) ||
        !iw_field_number(object, "size", &wheel.file.size))
        return false;
    if (!iw_field_text(object, "bundles", &bundles)) bundles = "";
    if (!iw_field_number(object, "dropped", &wheel.dropped)) wheel.dropped = 0;
    wheel.name = iw_arena_strdup(channel->arena, file);
    wheel.label = iw_arena_strdup(channel->arena, label);
    wheel.bundles = iw_arena_strdup(channel->arena, bundles);
    wheel.file.sha256 = iw_arena_strdup(channel->arena, sha256);
    if (!is_list(bundles)) return false;
    size_t i = place_of(channel, sha256, &there);
    *make_room(channel, i) = wheel;
    return true;
}

bool iw_channel_read_wheels(iw_channel *channel, json_t *all)
{
    const char *sha256;
    json_t *object;
    if (all && !json_is_object(all)) return false;
    json_object_foreach(all, sha256, object)
    {
        if (!read_wheel(channel, sha256, object)) return false;
    }
    return true;
}

json_t *iw_channel_write_wheels(const iw_channel *channel)
{
    json_t *all = json_object();
    for (size_t i = 0; i < channel->wheel_count; i++) {
        const iw_offered_wheel *one = &channel->wheels[i];
        json_t *object = json_pack("{s:s,s:s,s:I}", "file", one->name, "label", one->label, "size",
                                   (json_int_t)one->file.size);
        if (*one->bundles) json_object_set_new(object, "bundles", json_string(one->bundles));
        if (one->dropped)
            json_object_set_new(object, "dropped", json_integer((json_int_t)one->dropped));
        json_object_set_new(all, one->file.sha256, object);
    }
    return all;
}

/* --- changing ------------------------------------------------------------- */

void iw_channel_put_wheel(iw_channel *channel, const iw_offered_wheel *wheel, const char *bundle)
{
    bool there;
    size_t i = place_of(channel, wheel->file.sha256, &there);
    iw_offered_wheel *one = there ? &channel->wheels[i] : make_room(channel, i);
    const char *before = there ? one->bundles : "";
    bool for_good = !bundle || strcmp(before, FOR_GOOD) == 0;
    *one = (iw_offered_wheel){.name = iw_arena_strdup(channel->arena, wheel->name),
                              .label = iw_arena_strdup(channel->arena, wheel->label),
                              .bundles = for_good ? FOR_GOOD : with(channel, before, bundle),
                              .file = {iw_arena_strdup(channel->arena, wheel->file.sha256),
                                       wheel->file.size}};
}

static bool has(const char *list, const char *name)
{
    iw_slice rest = iw_slice_of(list), one;
    while (iw_slice_next(&rest, ' ', &one))
        if (one.length == strlen(name) && memcmp(one.data, name, one.length) == 0) return true;
    return false;
}

void iw_channel_rename_wheels(iw_channel *channel, const char *bundle, const char *name)
{
    for (size_t i = 0; i < channel->wheel_count; i++) {
        iw_offered_wheel *one = &channel->wheels[i];
        if (!has(one->bundles, bundle)) continue;
        one->bundles = without(channel, one->bundles, bundle);
        if (name) one->bundles = with(channel, one->bundles, name);
    }
}

void iw_channel_age_wheels(iw_channel *channel, uint64_t now)
{
    size_t left = 0;
    for (size_t i = 0; i < channel->wheel_count; i++) {
        iw_offered_wheel one = channel->wheels[i];
        if (!*one.bundles && !one.dropped) one.dropped = now;
        if (!one.dropped || one.dropped + FORGET > now) channel->wheels[left++] = one;
    }
    channel->wheel_count = left;
}

const char *iw_channel_wheel_withdrawn(const iw_channel *channel, const iw_offered_wheel *wheel)
{
    iw_slice rest = iw_slice_of(wheel->bundles), one;
    const char *why = NULL;
    while (iw_slice_next(&rest, ' ', &one)) {
        iw_cleanup_free char *name = iw_strndup(one.data, one.length);
        const iw_offer *offer = iw_channel_bundle(channel, name);
        if (!offer || !*offer->withdrawn) return NULL;
        why = offer->withdrawn;
    }
    return why;
}
