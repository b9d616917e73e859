#include "upgrade/hints.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"

enum { MOST = 6, LINE = 240 };

static bool matches(const char *pattern, const char *text)
{
    regex_t compiled;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0) return false;
    bool found = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

static void add(iw_strings *out, char *text)
{
    if (!iw_strings_has(out, text)) iw_strings_add(out, text);
    free(text);
}

/* "WARNING: CPU Feature "SSE3" is no longer explicitly supported, redirecting to "X86_V2"." */
static void from_warnings(const char *log, iw_strings *out)
{
    iw_slice rest = iw_slice_of(log), line;
    size_t before = out->count;
    while (iw_slice_next(&rest, '\n', &line) && out->count - before < MOST) {
        iw_slice plain = iw_slice_trim(line);
        if (plain.length == 0 || plain.length > LINE) continue;
        iw_cleanup_free char *text = iw_strndup(plain.data, plain.length);
        if (matches("warning", text) &&
            matches("CPU|SSE|AVX|X86_V[2-4]|x86-64-v|-march|baseline|dispatch", text) &&
            !matches("unused|deprecated|-W[a-z]", text))
            add(out, iw_format("its build says: %s", text));
    }
}

static void from_sources(const char *message, const char *log, const json_t *instructions,
                         iw_strings *out)
{
    size_t i, k, before = out->count;
    json_t *one, *sign;
    json_array_foreach((json_t *)instructions, i, one)
    {
        const char *file = iw_json_get(one, "file");
        iw_cleanup_buffer iw_buffer signs = {0};
        if (!file || out->count - before >= MOST ||
            (!strstr(message, iw_path_base(file)) && !strstr(log, iw_path_base(file))))
            continue;
        json_array_foreach(json_object_get(one, "signs"), k, sign)
        {
            iw_buffer_add_format(&signs, " %s", json_string_value(sign));
        }
        add(out, iw_format("%s asks for%s, as the old release's sources didn't", file,
                           signs.data ? signs.data : " instruction sets"));
    }
}

/* "<path>:<line>" of the recipe's argument; "" where it can't be found. Caller frees. */
static char *place_of(const iw_hint_recipe *recipe, const char *argument)
{
    const char *at = recipe->text && recipe->path ? strstr(recipe->text, argument) : NULL;
    size_t line = 1;
    if (!at) return iw_strdup("");
    for (const char *c = recipe->text; c < at; c++) line += *c == '\n';
    return iw_format(" (%s:%zu)", recipe->path, line);
}

/* Whether one of the values of "-Dcpu-baseline=sse3,popcnt" stands in quotes in one of the warnings
 * told. */
static bool is_warned_of(const char *argument, const iw_strings *told)
{
    const char *value = strrchr(argument, '=');
    iw_slice rest = iw_slice_of(value ? value + 1 : ""), part;
    while (iw_slice_next(&rest, ',', &part)) {
        if (part.length < 2) continue;
        for (size_t i = 0; i < told->count; i++)
            for (const char *quote = told->items[i]; (quote = strpbrk(quote, "\"'`")); quote++)
                if (strncasecmp(quote + 1, part.data, part.length) == 0 &&
                    strchr("\"'`", quote[1 + part.length]))
                    return true;
    }
    return false;
}

static void from_options(const iw_hint_recipe *recipe, iw_strings *out)
{
    const iw_strings warnings = {.items = out->items, .count = out->count};
    iw_cleanup_strings iw_strings told = {0};
    for (size_t i = 0; i < recipe->argument_count; i++) {
        const char *argument = recipe->arguments[i];
        iw_cleanup_free char *place = place_of(recipe, argument);
        if (is_warned_of(argument, &warnings))
            iw_strings_add_format(&told,
                                  "that is about the recipe's %s%s: this release takes the value "
                                  "for something else; give it another one there, or none",
                                  argument, place);
        else if (matches("cpu|simd|sse|avx|march|native|baseline|dispatch|isa", argument))
            iw_strings_add_format(&told, "the recipe chooses for the CPU: %s%s", argument, place);
    }
    iw_strings_add_all(out, (const char *const *)told.items);
}

void iw_bump_hints(const char *message, const char *log, const json_t *instructions,
                   const iw_hint_recipe *recipe, iw_strings *out)
{
    bool refused = matches("target specific option mismatch|no such instruction|is not supported "
                           "on `",
                           message) ||
                   matches("target specific option mismatch|no such instruction|is not supported "
                           "on `",
                           log);
    bool beyond = matches("hold[s]? instructions|instructions outside", message);
    from_warnings(log, out);
    if (!refused && !beyond && out->count == 0) return;
    from_options(recipe, out);
    from_sources(message, log, instructions, out);
    if (refused)
        add(out, iw_strdup("its build switches code for newer CPUs on: `flags: deny` under build "
                           "refuses such flags, so that its own tests of the compiler leave that "
                           "code out"));
}
