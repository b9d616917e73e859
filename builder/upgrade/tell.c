#include "upgrade/tell.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

enum { SHOWN = 12 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = iw_json_get(object, key);
    return text ? text : "";
}

static void left_out(iw_buffer *out, size_t count)
{
    if (count > SHOWN) iw_buffer_add_format(out, "    and %zu more\n", count - SHOWN);
}

/* --- candidates and sources --------------------------------------------------- */

static void tell_passed(iw_buffer *out, const json_t *report)
{
    const json_t *list = json_object_get(report, "passed_over");
    size_t i;
    json_t *one;
    if (json_array_size(list)) iw_buffer_add_text(out, "  passed over\n");
    json_array_foreach(list, i, one)
    {
        if (i < SHOWN)
            iw_buffer_add_format(out, "    %s: %s\n", text_of(one, "version"),
                                 text_of(one, "reason"));
    }
    left_out(out, json_array_size(list));
}

static void tell_source(iw_buffer *out, const json_t *report)
{
    const json_t *source = json_object_get(report, "source");
    time_t when = (time_t)json_integer_value(json_object_get(source, "uploaded"));
    char day[32] = "";
    struct tm parts;
    if (!iw_json_get(source, "file")) return;
    if (when && gmtime_r(&when, &parts)) strftime(day, sizeof day, ", published %Y-%m-%d", &parts);
    iw_buffer_add_format(out, "  source     %s%s\n             sha256 %s\n",
                         text_of(source, "file"), day,
                         iw_json_get(source, "sha256") ? iw_json_get(source, "sha256") : "-");
    if (iw_json_get(source, "commit"))
        iw_buffer_add_format(out, "             commit %s\n", text_of(source, "commit"));
    if (json_is_true(json_object_get(source, "unvouched")))
        iw_buffer_add_text(out, "             of what came: nobody vouches for it, compare it\n");
}

/* --- patches -------------------------------------------------------------------- */

static void tell_hunk(iw_buffer *out, const json_t *hunk)
{
    json_int_t number = json_integer_value(json_object_get(hunk, "hunk")),
               line = json_integer_value(json_object_get(hunk, "line")),
               offset = json_integer_value(json_object_get(hunk, "offset"));
    iw_buffer_add_text(out, "             ");
    if (number) iw_buffer_add_format(out, "hunk %d of ", (int)number);
    iw_buffer_add_format(out, "%s", *text_of(hunk, "file") ? text_of(hunk, "file") : "the patch");
    if (line) iw_buffer_add_format(out, ", line %d", (int)line);
    if (offset) iw_buffer_add_format(out, ": %+d lines", (int)offset);
    if (json_is_true(json_object_get(hunk, "upstream")))
        iw_buffer_add_text(out, ": upstream has it");
    if (iw_json_get(hunk, "why")) iw_buffer_add_format(out, ": %s", text_of(hunk, "why"));
    iw_buffer_add_text(out, iw_json_get(hunk, "now") ? "; there stands now\n" : "\n");
    iw_slice rest = iw_slice_of(text_of(hunk, "now")), part;
    while (iw_slice_next(&rest, '\n', &part))
        iw_buffer_add_format(out, "               %.*s\n", (int)part.length, part.data);
}

static void tell_patches(iw_buffer *out, const json_t *report)
{
    size_t i, k;
    json_t *one, *hunk;
    json_array_foreach(json_object_get(report, "patches"), i, one)
    {
        const char *done = iw_json_get(one, "done"), *as = iw_json_get(one, "as");
        iw_buffer_add_format(out, "  patch      %s: %s%s%s%s%s%s\n", text_of(one, "file"),
                             text_of(one, "result"), done ? ", " : "", done ? done : "",
                             as ? " as " : "", as ? as : "",
                             json_is_true(json_object_get(one, "both_ways"))
                                 ? " (it would go in both ways)"
                             : json_is_true(json_object_get(one, "rewritten"))
                                 ? " (its lines, in other surroundings)"
                                 : "");
        json_array_foreach(json_object_get(one, "moved"), k, hunk)
        {
            iw_buffer_add_format(out, "             %s\n", json_string_value(hunk));
        }
        json_array_foreach(json_object_get(one, "hunks"), k, hunk)
        {
            tell_hunk(out, hunk);
        }
    }
    json_array_foreach(json_object_get(report, "proofs"), i, one)
    {
        iw_buffer_add_format(out, "  proof      %s: %s, %s\n", text_of(one, "patch"),
                             text_of(one, "result"), text_of(one, "why"));
    }
}

/* What was moved along, because the release can't be built without. */
static void tell_with(iw_buffer *out, const json_t *report)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(report, "with"), i, one)
    {
        bool pinned = json_is_true(json_object_get(one, "pinned"));
        iw_buffer_add_format(out, "  with       %s %s → %s, %s\n", text_of(one, "name"),
                             text_of(one, "from"), text_of(one, "to"),
                             pinned ? "which it pins" : "to build it");
        tell_with(out, one);
    }
}

/* --- what a wheel brings along --- */

static void tell_companions(iw_buffer *out, const json_t *report)
{
    const json_t *cuda = json_object_get(report, "cuda");
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(report, "companions"), i, one)
    {
        const char *from = text_of(one, "from"), *to = text_of(one, "to");
        iw_buffer_add_format(out, "  %-10s %s %s%s%s%s%s\n", text_of(one, "change"),
                             text_of(one, "name"), from, *from && *to ? " → " : "",
                             iw_json_get(one, "as") ? text_of(one, "as") : "",
                             iw_json_get(one, "as") ? " " : "", to);
    }
    if (!cuda) return;
    iw_buffer_add_format(out, "  CUDA       %s%s%s", text_of(cuda, "from"),
                         iw_json_get(cuda, "from") ? " → " : "", text_of(cuda, "to"));
    if (iw_json_get(cuda, "driver"))
        iw_buffer_add_format(out, ": asks for driver >= %s", text_of(cuda, "driver"));
    if (iw_json_get(cuda, "driver_before"))
        iw_buffer_add_format(out, ", before >= %s", text_of(cuda, "driver_before"));
    iw_buffer_add_char(out, '\n');
}

/* --- metadata --------------------------------------------------------------------- */

static void tell_texts(iw_buffer *out, const char *sign, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (i < SHOWN) iw_buffer_add_format(out, "    %s %s\n", sign, json_string_value(one));
    }
    left_out(out, json_array_size(list));
}

static void tell_needs(iw_buffer *out, const json_t *metadata, const char *key, const char *title)
{
    const json_t *both = json_object_get(metadata, key);
    if (!both) return;
    iw_buffer_add_format(out, "  %s\n", title);
    tell_texts(out, "+", json_object_get(both, "added"));
    tell_texts(out, "-", json_object_get(both, "removed"));
}

static void tell_pair(iw_buffer *out, const json_t *object, const char *key, const char *title)
{
    const json_t *pair = json_object_get(object, key);
    if (!pair) return;
    const char *from = json_string_value(json_array_get(pair, 0)),
               *to = json_string_value(json_array_get(pair, 1));
    iw_buffer_add_format(out, "  %-10s %.80s → %.80s\n", title, from ? from : "nothing",
                         to ? to : "nothing");
}

static void tell_instructions(iw_buffer *out, const json_t *metadata)
{
    const json_t *list = json_object_get(metadata, "instructions");
    size_t i, k;
    json_t *one, *sign;
    if (!json_array_size(list)) return;
    iw_buffer_add_text(out, "  sources that ask for instruction sets, and didn't before\n");
    json_array_foreach(list, i, one)
    {
        if (i >= SHOWN) break;
        iw_buffer_add_format(out, "    %s:", text_of(one, "file"));
        json_array_foreach(json_object_get(one, "signs"), k, sign)
        {
            iw_buffer_add_format(out, " %s", json_string_value(sign));
        }
        iw_buffer_add_char(out, '\n');
    }
    left_out(out, json_array_size(list));
}

static void tell_metadata(iw_buffer *out, const json_t *report)
{
    const json_t *metadata = json_object_get(report, "metadata");
    tell_pair(out, metadata, "python", "Python");
    tell_pair(out, metadata, "licence", "licence");
    tell_pair(out, metadata, "backend", "back end");
    tell_needs(out, metadata, "build", "needs to build");
    tell_needs(out, metadata, "run", "needs to run");
    tell_instructions(out, metadata);
    if (json_object_get(metadata, "vendored")) iw_buffer_add_text(out, "  new folders\n");
    tell_texts(out, "+", json_object_get(metadata, "vendored"));
    tell_texts(out, "!", json_object_get(report, "unmet"));
}

/* --- the plan, and what came of it --------------------------------------------------- */

static void tell_rebuild(iw_buffer *out, const json_t *report)
{
    const json_t *list = json_object_get(report, "rebuild");
    size_t i;
    json_t *one;
    if (!list) return;
    iw_cleanup_free char *time =
        iw_format_seconds(json_number_value(json_object_get(report, "seconds")));
    iw_buffer_add_format(out, "  to build   %zu packages, about %s\n", json_array_size(list), time);
    json_array_foreach(list, i, one)
    {
        if (i < SHOWN)
            iw_buffer_add_format(out, "    %s %s: %s\n", text_of(one, "package"),
                                 text_of(one, "version"), text_of(one, "reason"));
    }
    left_out(out, json_array_size(list));
}

static void tell_counts(iw_buffer *out, const json_t *list, const char *title, const char *first,
                        const char *second)
{
    size_t i;
    json_t *one;
    if (json_array_size(list)) iw_buffer_add_format(out, "  %s\n", title);
    json_array_foreach(list, i, one)
    {
        if (i < SHOWN)
            iw_buffer_add_format(out, "    %s  %s: %lld → %lld\n", text_of(one, first),
                                 text_of(one, second),
                                 (long long)json_integer_value(json_object_get(one, "before")),
                                 (long long)json_integer_value(json_object_get(one, "after")));
    }
    left_out(out, json_array_size(list));
}

static void tell_checks(iw_buffer *out, const json_t *checks)
{
    static const char *const keys[][2] = {
        {"broken", "!"}, {"fixed", "*"}, {"added", "+"}, {"removed", "-"}};
    if (json_object_size(checks)) iw_buffer_add_text(out, "  checks\n");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        tell_texts(out, keys[i][1], json_object_get(checks, keys[i][0]));
}

static void tell_packages(iw_buffer *out, const json_t *difference)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(difference, "packages"), i, one)
    {
        const char *from = iw_json_get(one, "from"), *to = iw_json_get(one, "to");
        iw_buffer_add_format(out, "  package    %s %s → %s\n", text_of(one, "name"),
                             from ? from : "not there", to ? to : "gone");
    }
    json_array_foreach(json_object_get(difference, "times"), i, one)
    {
        iw_cleanup_free char *a = iw_format_seconds(
                                 json_number_value(json_object_get(one, "before"))),
                             *b = iw_format_seconds(
                                 json_number_value(json_object_get(one, "after")));
        iw_buffer_add_format(out, "  time       %s: %s → %s\n", text_of(one, "package"), a, b);
    }
}

static void tell_difference(iw_buffer *out, const json_t *report)
{
    const json_t *found = json_object_get(report, "difference"),
                 *size = json_object_get(found, "size");
    if (!found) return;
    if (json_is_null(found)) {
        iw_buffer_add_text(out, "  difference not known: the stack as it was isn't built\n");
        return;
    }
    tell_packages(out, found);
    if (size) {
        iw_cleanup_free char *a = iw_format_bytes(
                                 (uint64_t)json_integer_value(json_array_get(size, 0))),
                             *b = iw_format_bytes(
                                 (uint64_t)json_integer_value(json_array_get(size, 1)));
        iw_buffer_add_format(out, "  size       %s → %s\n", a, b);
    }
    tell_pair(out, found, "floor", "glibc");
    tell_counts(out, json_object_get(found, "instructions"),
                "instructions beyond the profile, by function", "file", "function");
    tell_counts(out, json_object_get(found, "flags"), "flags that the wrapper took out", "package",
                "flag");
    tell_checks(out, json_object_get(found, "checks"));
}

static void tell_libraries(iw_buffer *out, const json_t *report)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(report, "libraries"), i, one)
    {
        iw_buffer_add_format(out, "  needs      %s, for its files need shared libraries of it\n",
                             json_string_value(one));
    }
}

static void tell_hints(iw_buffer *out, const json_t *report)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(report, "hints"), i, one)
    {
        iw_buffer_add_format(out, "  hint       %s\n", json_string_value(one));
    }
}

/* Tools that the stack is pinned to, for two of them would have met. */
static void tell_tools(iw_buffer *out, const json_t *report)
{
    const char *name;
    json_t *version;
    json_object_foreach(json_object_get(report, "tools"), name, version)
    {
        iw_buffer_add_format(out, "  pinned     %s %s, to build all of the stack with\n", name,
                             json_string_value(version));
    }
}

char *iw_bump_text(const json_t *report)
{
    iw_buffer out = {0};
    const char *to = iw_json_get(report, "to"), *from = iw_json_get(report, "from");
    if (json_object_get(report, "packages"))
        iw_buffer_add_format(&out, "stack %s\n", text_of(report, "stack"));
    else
        iw_buffer_add_format(&out, "%s %s%s%s in stack %s\n", text_of(report, "name"),
                             from ? from : "?", to ? " → " : "", to ? to : "",
                             text_of(report, "stack"));
    tell_passed(&out, report);
    if (json_is_true(json_object_get(report, "edited")))
        iw_buffer_add_text(&out, "  edited     the copy as a person left it\n");
    tell_source(&out, report);
    tell_patches(&out, report);
    tell_with(&out, report);
    tell_tools(&out, report);
    tell_companions(&out, report);
    tell_metadata(&out, report);
    tell_libraries(&out, report);
    tell_rebuild(&out, report);
    tell_difference(&out, report);
    if (iw_json_get(report, "bundle"))
        iw_buffer_add_format(&out, "  bundle     %s\n", text_of(report, "bundle"));
    if (iw_json_get(report, "page"))
        iw_buffer_add_format(&out, "  report     %s\n", text_of(report, "page"));
    tell_hints(&out, report);
    if (iw_json_get(report, "kept") && to)
        iw_buffer_add_format(&out,
                             "  kept       %s/tree: edit recipes/%s/%s.yaml there, and `ironwheel "
                             "bump --continue %s` goes on with it\n",
                             text_of(report, "kept"), text_of(report, "name"), to,
                             text_of(report, "name"));
    iw_buffer_add_format(&out, "%s: %s\n", text_of(report, "name"), text_of(report, "verdict"));
    return iw_buffer_take(&out);
}

/* --- many ---------------------------------------------------------------------------- */

static size_t width_of(const json_t *reports, const char *key, size_t least)
{
    size_t i;
    json_t *one;
    json_array_foreach(reports, i, one)
    {
        size_t length = strlen(text_of(one, key));
        if (length > least) least = length;
    }
    return least;
}

/* Why a package stayed, or which driver the CUDA asks for that it brings. Caller frees. */
static char *remark(const json_t *report)
{
    const char *cause = text_of(report, "cause");
    const json_t *cuda = json_object_get(report, "cuda");
    if (*cause || !iw_json_get(cuda, "driver")) return iw_strndup(cause, strcspn(cause, "\n"));
    return iw_format("CUDA %s, which asks for driver >= %s", text_of(cuda, "to"),
                     text_of(cuda, "driver"));
}

char *iw_bump_markdown(const json_t *reports)
{
    iw_buffer out = {0};
    size_t i;
    json_t *one;
    iw_buffer_add_text(&out, "| package | from | to | what came of it | why |\n"
                             "| --- | --- | --- | --- | --- |\n");
    json_array_foreach(reports, i, one)
    {
        iw_cleanup_free char *why = remark(one);
        const char *to = iw_json_get(one, "to");
        const char *const cells[] = {text_of(one, "name"), text_of(one, "from"), to ? to : "–",
                                     text_of(one, "verdict"), why};
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
            iw_buffer_add_cell(&out, cells[k]);
        iw_buffer_add_text(&out, "|\n");
    }
    return iw_buffer_take(&out);
}

char *iw_bump_table(const json_t *reports)
{
    iw_buffer out = {0};
    size_t i, name = width_of(reports, "name", 7), from = width_of(reports, "from", 4),
              to = width_of(reports, "to", 4);
    json_t *one;
    json_array_foreach(reports, i, one)
    {
        iw_cleanup_free char *why = remark(one);
        iw_buffer_add_format(&out, "%-*s  %-*s  %-*s  %s", (int)name, text_of(one, "name"),
                             (int)from, text_of(one, "from"), (int)to, text_of(one, "to"),
                             text_of(one, "verdict"));
        if (*why) iw_buffer_add_format(&out, ": %s", why);
        iw_buffer_add_char(&out, '\n');
    }
    return iw_buffer_take(&out);
}
