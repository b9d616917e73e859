#include "upgrade/watch.h"

#include <regex.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"
#include "recipe/version.h"

enum { LINK_LIMIT = 2000 };

void iw_watch_read(const iw_recipe *recipe, char **page, const char **pattern)
{
    const char *watch = recipe->watch, *space = strchr(watch, ' ');
    bool given = space && (iw_starts_with(watch, "http://") || iw_starts_with(watch, "https://"));
    if (given) {
        *page = iw_strndup(watch, (size_t)(space - watch));
        *pattern = space + 1 + strspn(space + 1, " ");
        return;
    }
    const char *url = recipe->sources[0].name, *last = strrchr(url, '/');
    *page = iw_strndup(url, last ? (size_t)(last + 1 - url) : strlen(url));
    *pattern = watch;
}

/* A link's address: whole, from the host's root, or beside the page. */
static char *resolve(const char *page, const char *link)
{
    if (iw_starts_with(link, "http://") || iw_starts_with(link, "https://")) return iw_strdup(link);
    const char *host = strstr(page, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    if (!path || strchr(link, ':')) return NULL;
    if (link[0] == '/') return iw_format("%.*s%s", (int)(path - page), page, link);
    const char *last = strrchr(page, '/');
    return iw_format("%.*s%s", (int)(last + 1 - page), page, link);
}

static bool known(const iw_candidates *list, const char *version)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].version, version) == 0) return true;
    return false;
}

/* What the pattern makes of a name: a candidate at `url`. */
static void take_name(const char *name, const char *url, const regex_t *pattern,
                      const iw_candidate_rules *rules, iw_candidates *out)
{
    regmatch_t match[2];
    iw_version version;
    if (regexec(pattern, name, 2, match, 0) != 0 || match[1].rm_so < 0) return;
    iw_cleanup_free char *text =
        iw_strndup(name + match[1].rm_so, (size_t)(match[1].rm_eo - match[1].rm_so));
    if (!url || !iw_version_parse(text, &version) || known(out, text)) return;
    bool early = iw_version_is_early(&version) && !rules->early && !rules->only;
    iw_candidates_add(out, &(iw_candidate){.version = text,
                                           .passed = early ? "a pre-release" : NULL,
                                           .file = (char *)name,
                                           .url = (char *)url,
                                           .uploaded = -1});
}

static void take_link(const char *link, const char *page, const regex_t *pattern,
                      const iw_candidate_rules *rules, iw_candidates *out)
{
    iw_cleanup_free char *url = resolve(page, link);
    take_name(iw_path_base(link), url, pattern, rules, out);
}

/* Every href="…" of the page, in either kind of quotes, without query and fragment. */
static void take_links(const char *html, const char *page, const regex_t *pattern,
                       const iw_candidate_rules *rules, iw_candidates *out)
{
    for (const char *at = html; (at = strstr(at, "href=")); at++) {
        char quote = at[5];
        if (quote != '"' && quote != '\'') continue;
        size_t length = strnlen(at + 6, LINK_LIMIT);
        const char *end = memchr(at + 6, quote, length);
        if (!end) continue;
        iw_cleanup_free char *link = iw_strndup(at + 6, (size_t)(end - at - 6));
        link[strcspn(link, "?#")] = '\0';
        take_link(link, page, pattern, rules, out);
    }
}

/* The whole of a name must fit, and a group say the version. */
static int compile(const iw_recipe *recipe, const char *pattern, regex_t *out, iw_error *err)
{
    iw_cleanup_free char *whole = iw_format("^%s$", pattern);
    if (regcomp(out, whole, REG_EXTENDED) != 0)
        return iw_fail(err, IW_E_RECIPE, "%s: `watch` holds no regular expression: %s",
                       recipe->path, pattern);
    if (out->re_nsub > 0) return 0;
    regfree(out);
    return iw_fail(err, IW_E_RECIPE, "%s: `watch` has no (group) for the version: %s", recipe->path,
                   pattern);
}

int iw_candidates_watch(const iw_recipe *recipe, const char *html, const char *page,
                        const char *pattern, const iw_candidate_rules *rules, iw_candidates *out,
                        iw_error *err)
{
    regex_t compiled;
    *out = (iw_candidates){0};
    if (compile(recipe, pattern, &compiled, err) != 0) return -1;
    take_links(html, page, &compiled, rules, out);
    regfree(&compiled);
    iw_candidates_sort(out);
    return 0;
}

int iw_candidates_tags(const iw_recipe *recipe, const iw_strings *names, const iw_strings *commits,
                       const char *pattern, const iw_candidate_rules *rules, iw_candidates *out,
                       iw_error *err)
{
    regex_t compiled;
    *out = (iw_candidates){0};
    if (compile(recipe, pattern, &compiled, err) != 0) return -1;
    for (size_t i = 0; i < names->count && i < commits->count; i++)
        take_name(names->items[i], commits->items[i], &compiled, rules, out);
    regfree(&compiled);
    iw_candidates_sort(out);
    return 0;
}
