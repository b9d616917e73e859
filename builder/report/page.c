#include "report/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/html.h"

/* --- the verdict ---------------------------------------------------------- */

typedef struct standing {
    bool audited;
    int64_t files, clean, guarded, tried, broken;
    size_t checks, failed;
    const json_t *audit, *results;
} standing;

static bool is_verdict(const json_t *file, const char *verdict)
{
    const char *text = iw_page_text(file, "verdict");
    return text && strcmp(text, verdict) == 0;
}

static standing judge(const iw_page *page)
{
    standing s = {.audit = iw_page_object(page->details, "audit"),
                  .results = iw_page_list(page->details, "checks")};
    if (!s.audit) s.audit = iw_page_object(page->manifest, "audit");
    if (!s.results) s.results = iw_page_list(page->manifest, "checks");
    s.audited = s.audit != NULL;
    s.files = json_integer_value(json_object_get(s.audit, "files"));
    s.clean = json_integer_value(json_object_get(s.audit, "clean"));
    s.guarded = json_integer_value(json_object_get(s.audit, "guarded"));
    s.tried = json_integer_value(json_object_get(s.audit, "tried"));
    const json_t *files = iw_page_list(s.audit, "not_clean");
    for (size_t i = 0; i < json_array_size(files); i++)
        s.broken += is_verdict(json_array_get(files, i), "broken");
    if (s.audited && s.broken == 0 && is_verdict(s.audit, "broken")) s.broken = 1;
    s.checks = json_array_size(s.results);
    for (size_t i = 0; i < s.checks; i++)
        s.failed += !json_is_true(json_object_get(json_array_get(s.results, i), "passed"));
    return s;
}

static void add_profiles(iw_page *page)
{
    const json_t *profiles = iw_page_list(page->manifest, "profiles");
    size_t count = json_array_size(profiles), i = 0;
    if (count == 0) iw_page_add(page, "an unnamed CPU");
    for (; i < count && i < 12; i++)
        iw_page_add(page,
                    i == 0           ? "%s"
                    : i + 1 == count ? " and %s"
                                     : ", %s",
                    json_string_value(json_array_get(profiles, i)));
    if (i < count) iw_page_add(page, " and %n more", (int64_t)(count - i));
}

static void add_checks_verdict(iw_page *page, const standing *s)
{
    if (s->checks == 0) iw_page_add(page, "no check was run");
    else if (s->failed)
        iw_page_add(page, s->checks == 1 ? "the one check fails" : "%n of %n checks fail",
                    (int64_t)s->failed, (int64_t)s->checks);
    else
        iw_page_add(page, s->checks == 1 ? "its one check passes" : "all %n checks pass",
                    (int64_t)s->checks);
}

static void add_sentence(iw_page *page, const standing *s, bool fails, bool proven)
{
    iw_page_add(page, fails ? "Doesn’t hold on " : proven ? "Runs on " : "Not proven on ");
    add_profiles(page);
    iw_page_add(page, ": ");
    if (!s->audited) iw_page_add(page, "no file was audited");
    if (s->audited) iw_page_count(page, (size_t)s->clean, "file");
    if (s->audited) iw_page_add(page, " clean");
    if (s->guarded) iw_page_add(page, ", %n guarded", s->guarded);
    if (s->tried) iw_page_add(page, ", %n only tried", s->tried);
    if (s->broken) iw_page_add(page, ", %n broken", s->broken);
    iw_page_add(page, ", ");
    add_checks_verdict(page, s);
}

static void add_fact(iw_page *page, const char *name, const char *value)
{
    if (value) iw_page_add(page, "<div><dt>%s</dt><dd>%s</dd></div>\n", name, value);
}

static void add_facts(iw_page *page, const standing *s)
{
    const json_t *bytes = json_object_get(page->details, "bytes"),
                 *packages = iw_page_list(page->manifest, "packages");
    iw_cleanup_free char *size =
        json_is_integer(bytes) ? iw_format_bytes((uint64_t)json_integer_value(bytes)) : NULL;
    iw_cleanup_free char *code =
        s->audited
            ? iw_format_bytes((uint64_t)json_integer_value(json_object_get(s->audit, "code_bytes")))
            : NULL;
    size_t bundled = 0;
    for (size_t i = 0; i < json_array_size(packages); i++)
        bundled += json_is_true(json_object_get(json_array_get(packages, i), "in_bundle"));
    iw_page_add(page, "<dl class=\"facts\">\n");
    iw_page_add(page, "<div><dt>Packages</dt><dd>%n</dd></div>\n", (int64_t)bundled);
    add_fact(page, "Needs glibc", iw_page_text(iw_page_object(page->manifest, "glibc"), "floor"));
    add_fact(page, "Code decoded", code);
    add_fact(page, "Bundle", size);
    iw_page_add(page, "</dl>\n");
}

static void add_verdict(iw_page *page, const standing *s)
{
    const char *problem = iw_page_text(page->details, "problem");
    bool fails = problem || s->broken || s->failed, proven = s->audited && s->checks && !fails;
    bool bare = json_is_false(json_object_get(page->manifest, "sandboxed")) ||
                json_is_false(json_object_get(page->manifest, "sandbox"));
    const json_t *profiles = iw_page_list(page->manifest, "profiles");
    iw_page_add(page, "<header>\n<p class=\"what\">%s <span>%s</span></p>\n",
                iw_page_text(page->manifest, "stack"), iw_page_text(page->manifest, "version"));
    iw_page_add(page, "<h1 class=\"%s\"><span class=\"mark\" aria-hidden=\"true\">",
                fails    ? "bad"
                : proven ? "good"
                         : "unsure");
    iw_page_add(page, fails ? "✕" : proven ? "✓" : "?");
    iw_page_add(page, "</span> <span>");
    add_sentence(page, s, fails, proven);
    iw_page_add(page, "</span></h1>\n");
    if (problem) iw_page_add(page, "<p class=\"problem\" role=\"note\">%s</p>\n", problem);
    if (bare)
        iw_page_add(page, "<p class=\"problem\" role=\"note\">Built without a sandbox, by the "
                          "host’s own tools: what it holds depends on that host.</p>\n");
    for (size_t i = 0; i < json_array_size(profiles) && i < 12; i++) {
        const char *name = json_string_value(json_array_get(profiles, i)),
                   *what =
                       name ? iw_page_text(iw_page_object(page->details, "profiles"), name) : NULL;
        if (what) iw_page_add(page, "<p class=\"quiet\"><b>%s</b> is %s</p>\n", name, what);
    }
    add_facts(page, s);
    iw_page_add(page, "</header>\n\n");
}

/* --- packages ------------------------------------------------------------- */

static void add_source(iw_page *page, const json_t *source)
{
    const char *file = iw_page_text(source, "file"), *version = iw_page_text(source, "version"),
               *commit = iw_page_text(source, "commit");
    iw_page_add(page, "<li><b>%s</b> <span class=\"quiet\">%s",
                file ? file : iw_page_text(source, "name"), iw_page_text(source, "kind"));
    if (file && iw_page_text(source, "name"))
        iw_page_add(page, " · %s", iw_page_text(source, "name"));
    if (version) iw_page_add(page, " · %s", version);
    iw_page_add(page, "</span>");
    if (commit) iw_page_add(page, "<br>commit <code>%s</code>", commit);
    if (iw_page_text(source, "sha256"))
        iw_page_add(page, "<br>sha256 <code>%s</code>", iw_page_text(source, "sha256"));
    iw_page_add(page, "</li>\n");
}

static void add_patch(iw_page *page, const json_t *patch)
{
    static const char *const keys[][2] = {{"origin", "Origin"},
                                          {"author", "Author"},
                                          {"forwarded", "Forwarded"}};
    const char *why = iw_page_text(patch, "description");
    iw_page_add(page, "<li><b>%p</b><br><span class=\"reason\">%s</span>",
                iw_page_text(patch, "file"), why ? why : "It gives no reason.");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (iw_page_text(patch, keys[i][0]))
            iw_page_add(page, "<br><span class=\"quiet\">%s: %s</span>", keys[i][1],
                        iw_page_text(patch, keys[i][0]));
    if (iw_page_text(patch, "sha256"))
        iw_page_add(page, "<br>sha256 <code>%s</code>", iw_page_text(patch, "sha256"));
    iw_page_add(page, "</li>\n");
}

static bool is_from_source(const json_t *patch)
{
    return iw_page_text(patch, "from") && !iw_page_text(patch, "description");
}

/* The recipe's own with their reasons, then those that come with a source. */
static void add_patches(iw_page *page, const json_t *patches)
{
    size_t count = json_array_size(patches), shown = 0, from_source = 0;
    for (size_t i = 0; i < count; i++) from_source += is_from_source(json_array_get(patches, i));
    if (from_source < count) iw_page_add(page, "<h4>Patches</h4>\n<ul class=\"plain\">\n");
    for (size_t i = 0; i < count; i++)
        if (!is_from_source(json_array_get(patches, i)) && iw_page_room(page, shown)) {
            add_patch(page, json_array_get(patches, i));
            shown++;
        }
    iw_page_left_out(page, "li", 0, shown, count - from_source);
    if (from_source < count) iw_page_add(page, "</ul>\n");
    if (!from_source) return;
    iw_page_add(
        page,
        "<h4>Patches that a source brings</h4>\n<p class=\"quiet\">The distribution’s own; the "
        "reason stands at the top of each, in that source.</p>\n<ul class=\"plain close\">\n");
    shown = 0;
    for (size_t i = 0; i < count; i++)
        if (is_from_source(json_array_get(patches, i)) && iw_page_room(page, shown)) {
            iw_page_add(page, "<li><code>%p</code> <span class=\"quiet\">in %s</span></li>\n",
                        iw_page_text(json_array_get(patches, i), "file"),
                        iw_page_text(json_array_get(patches, i), "from"));
            shown++;
        }
    iw_page_left_out(page, "li", 0, shown, from_source);
    iw_page_add(page, "</ul>\n");
}

static void add_rows(iw_page *page, const json_t *list, void (*add)(iw_page *, const json_t *))
{
    size_t count = json_array_size(list), i = 0;
    iw_page_add(page, "<ul class=\"plain\">\n");
    for (; i < count && iw_page_room(page, i); i++) add(page, json_array_get(list, i));
    iw_page_left_out(page, "li", 0, i, count);
    iw_page_add(page, "</ul>\n");
}

static void add_list(iw_page *page, const char *title, const json_t *list,
                     void (*add)(iw_page *, const json_t *))
{
    if (!json_array_size(list)) return;
    iw_page_add(page, "<h4>%s</h4>\n", title);
    add_rows(page, list, add);
}

static void add_names(iw_page *page, const char *title, const json_t *names)
{
    size_t count = json_array_size(names), i = 0;
    if (!count) return;
    iw_page_add(page, "<h4>%s</h4>\n<p>", title);
    for (; i < count && iw_page_room(page, i); i++)
        iw_page_add(page, i ? ", %s" : "%s", json_string_value(json_array_get(names, i)));
    if (i < count) iw_page_add(page, " and %n more", (int64_t)(count - i));
    iw_page_add(page, "</p>\n");
}

/* {name: number} as chips. */
static void add_counts(iw_page *page, const json_t *counts)
{
    const char *name;
    json_t *number;
    size_t shown = 0;
    iw_page_add(page, "<ul class=\"chips\">");
    json_object_foreach((json_t *)counts, name, number)
    {
        if (shown >= 60 || !iw_page_room(page, shown)) break;
        iw_page_add(page, "<li>%s <b>%n</b></li>", name, (int64_t)json_integer_value(number));
        shown++;
    }
    iw_page_left_out(page, "li", 0, shown, json_object_size(counts));
    iw_page_add(page, "</ul>\n");
}

static void add_keys(iw_page *page, const json_t *package)
{
    static const char *const keys[][2] = {{"plan_key", "plan key"},
                                          {"build_key", "build key"},
                                          {"content_sha256", "content"}};
    iw_page_add(page, "<h4>Keys</h4>\n<ul class=\"plain\">\n");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (iw_page_text(package, keys[i][0]))
            iw_page_add(page, "<li>%s <code>%s</code></li>\n", keys[i][1],
                        iw_page_text(package, keys[i][0]));
    iw_page_add(page, "</ul>\n");
}

/* Where it came from, where it wasn't built by whoever wrote the page. */
static void add_origin(iw_page *page, const char *what, const json_t *origin)
{
    const char *remote = iw_page_text(origin, "remote"), *key = iw_page_text(origin, "key"),
               *at = iw_page_text(origin, "at"), *audit = iw_page_text(origin, "audit");
    if (!remote) return;
    iw_page_add(page, "<p>%s from <code>%s</code>", what, remote);
    if (at) iw_page_add(page, ", %s", at);
    if (key) iw_page_add(page, ", signed by key <code>%s</code>", key);
    if (audit) iw_page_add(page, "; audited here: %s", audit);
    iw_page_add(page, ".</p>\n");
}

static void add_package(iw_page *page, const json_t *package)
{
    const char *name = iw_page_text(package, "name");
    const json_t *known = iw_page_package(page, name), *flags = iw_page_object(known, "flags"),
                 *origin = iw_page_object(known, "origin");
    size_t patches = json_array_size(iw_page_list(package, "patches"));
    double seconds = iw_package_seconds(known);
    iw_page_add(page,
                "<details class=\"package\"><summary><span class=\"name\">%s <span "
                "class=\"version\">%s</span></span> <span class=\"tags\">",
                name, iw_page_text(package, "version"));
    if (patches) iw_page_add(page, "<span class=\"tag\">");
    if (patches) iw_page_count(page, patches, patches == 1 ? "patch" : "patche");
    if (patches) iw_page_add(page, "</span> ");
    if (known)
        iw_page_add(page, json_is_number(json_object_get(known, "started"))
                              ? "<span class=\"tag\">built</span>"
                          : origin ? "<span class=\"tag\">pulled</span>"
                                   : "<span>reused</span>");
    iw_page_add(page, "</span>");
    if (seconds >= 0) iw_page_add(page, " <span class=\"figure\">%f</span>", seconds);
    iw_page_add(
        page,
        "</summary>\n<div class=\"inside\">\n<p>%s. <span class=\"quiet\">Licence: %s</span></p>\n",
        iw_page_text(package, "summary"), iw_page_text(package, "licence"));
    add_origin(page, "Pulled", origin);
    add_list(page, "Sources", iw_page_list(package, "sources"), add_source);
    add_patches(page, iw_page_list(package, "patches"));
    if (json_object_size(flags)) {
        iw_page_add(page, "<h4>Flags that the compiler wrapper took out</h4>\n");
        add_counts(page, flags);
    }
    add_names(page, "Needs", iw_page_list(package, "needs"));
    add_keys(page, package);
    iw_page_add(page, "</div></details>\n");
}

static void add_packages_of(iw_page *page, const json_t *packages, bool bundled)
{
    size_t shown = 0, all = 0;
    for (size_t i = 0; i < json_array_size(packages); i++) {
        const json_t *package = json_array_get(packages, i);
        if (json_is_true(json_object_get(package, "in_bundle")) != bundled) continue;
        if (all++ == shown && iw_page_room(page, shown)) {
            add_package(page, package);
            shown++;
        }
    }
    iw_page_left_out(page, "p", 0, shown, all);
    if (!all) iw_page_add(page, "<p class=\"quiet\">None.</p>\n");
}

static void add_packages(iw_page *page)
{
    const json_t *packages = iw_page_list(page->manifest, "packages");
    iw_page_add(page,
                "<section aria-labelledby=\"packages\">\n<h2 id=\"packages\">Packages</h2>\n<p "
                "class=\"quiet\">Each opens: sources with their digests, patches with their "
                "reasons, flags that were taken out, keys.</p>\n<h3>In the bundle</h3>\n");
    add_packages_of(page, packages, true);
    iw_page_add(page, "<h3>Only used to build</h3>\n");
    add_packages_of(page, packages, false);
    iw_page_add(page, "</section>\n\n");
}

/* --- audit ---------------------------------------------------------------- */

static void add_function(iw_page *page, const json_t *function)
{
    iw_page_add(page, "<li><code>%s</code> <span class=\"figure\">%n</span></li>\n",
                iw_page_text(function, "name"),
                (int64_t)json_integer_value(json_object_get(function, "count")));
}

static void add_file(iw_page *page, const json_t *file)
{
    const char *verdict = iw_page_text(file, "verdict");
    const json_t *top = iw_page_list(file, "top");
    bool broken = is_verdict(file, "broken");
    iw_page_add(page, "<li><span class=\"verdict %s\">%s</span> <code>%p</code>\n",
                broken ? "bad" : "unsure", verdict, iw_page_text(file, "file"));
    add_counts(page, iw_page_object(file, "counts"));
    if (json_array_size(top) && json_array_size(top) <= 2) {
        for (size_t i = 0; i < json_array_size(top); i++)
            iw_page_add(page, i ? " and <code>%s</code>" : "<p class=\"quiet\">in <code>%s</code>",
                        iw_page_text(json_array_get(top, i), "name"));
        iw_page_add(page, "</p>\n");
    } else if (json_array_size(top)) {
        iw_page_add(page, "<details><summary>Functions with most of them</summary>\n");
        add_rows(page, top, add_function);
        iw_page_add(page, "</details>\n");
    }
    iw_page_add(page, "</li>\n");
}

/* Broken ones first. */
static void add_not_clean(iw_page *page, const json_t *files, bool tried)
{
    size_t count = json_array_size(files), shown = 0;
    if (!count) return;
    iw_page_add(
        page,
        "<h3>Files with instructions beyond the profile</h3>\n<p class=\"quiet\"><b>Guarded</b>: "
        "only in code that tests the CPU first, as a reviewed exception says. The "
        "numbers are instructions, by the feature that they need.</p>\n");
    if (tried)
        iw_page_add(page, "<p class=\"quiet\"><b>Tried</b>: nobody reviewed them. The package was "
                          "imported and used under emulation; what wasn’t reached may die.</p>\n");
    iw_page_add(page, "<ul class=\"plain files\">\n");
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++)
            if (is_verdict(json_array_get(files, i), "broken") == (pass == 0) &&
                iw_page_room(page, shown)) {
                add_file(page, json_array_get(files, i));
                shown++;
            }
    iw_page_left_out(page, "li", 0, shown, count);
    iw_page_add(page, "</ul>\n");
}

static void add_clean(iw_page *page, const json_t *every)
{
    size_t shown = 0, all = 0;
    if (!json_array_size(every)) return;
    iw_page_add(page,
                "<details><summary>Every clean file, with its "
                "code</summary>\n<table><thead><tr><th scope=\"col\">File</th><th scope=\"col\" "
                "class=\"figure\">Bytes of code</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < json_array_size(every); i++) {
        const json_t *file = json_array_get(every, i);
        if (!is_verdict(file, "clean")) continue;
        if (all++ != shown || !iw_page_room(page, shown)) continue;
        shown++;
        iw_page_add(page, "<tr><td><code>%p</code></td><td class=\"figure\">%n</td></tr>\n",
                    iw_page_text(file, "file"),
                    (int64_t)json_integer_value(json_object_get(file, "code_bytes")));
    }
    iw_page_left_out(page, "tr", 2, shown, all);
    iw_page_add(page, "</tbody></table></details>\n");
}

static void add_exception(iw_page *page, const json_t *exception)
{
    const json_t *features = iw_page_list(exception, "features");
    iw_page_add(page, "<li><b>%s</b> <code>%s</code>", iw_page_text(exception, "package"),
                iw_page_text(exception, "file"));
    if (iw_page_text(exception, "symbol"))
        iw_page_add(page, " in <code>%s</code>", iw_page_text(exception, "symbol"));
    for (size_t i = 0; i < json_array_size(features) && i < 40; i++)
        iw_page_add(page, i ? ", %s" : ": %s", json_string_value(json_array_get(features, i)));
    iw_page_add(page, "<br><span class=\"reason\">%s</span></li>\n",
                iw_page_text(exception, "reason"));
}

static void add_audit(iw_page *page, const standing *s)
{
    const json_t *exceptions = iw_page_list(page->details, "exceptions");
    iw_page_add(page, "<section aria-labelledby=\"audit\">\n<h2 id=\"audit\">Audit</h2>\n");
    if (!s->audited) {
        iw_page_add(page, "<p>No audit is recorded for this bundle.</p>\n</section>\n\n");
        return;
    }
    iw_page_add(page, "<p>Every instruction of ");
    iw_page_count(page, (size_t)s->files, "file");
    iw_page_add(page, " was decoded and held against <b>%s</b>: %n bytes of code.</p>\n",
                iw_page_text(s->audit, "profile"),
                (int64_t)json_integer_value(json_object_get(s->audit, "code_bytes")));
    iw_page_add(page,
                "<dl "
                "class=\"facts\"><div><dt>Clean</dt><dd>%n</dd></div><div><dt>Guarded</dt><dd>%n</"
                "dd></div>",
                s->clean, s->guarded);
    if (s->tried) iw_page_add(page, "<div><dt>Tried</dt><dd>%n</dd></div>", s->tried);
    iw_page_add(page, "<div><dt>Broken</dt><dd>%n</dd></div></dl>\n", s->broken);
    add_not_clean(page, iw_page_list(s->audit, "not_clean"), s->tried > 0);
    if (json_array_size(exceptions)) {
        iw_page_add(page, "<details><summary>Reviewed exceptions and their reasons</summary>\n");
        add_rows(page, exceptions, add_exception);
        iw_page_add(page, "</details>\n");
    }
    add_clean(page, iw_page_list(s->audit, "every"));
    iw_page_add(page, "</section>\n\n");
}

/* --- checks --------------------------------------------------------------- */

static void add_check(iw_page *page, const json_t *check)
{
    const json_t *seconds = json_object_get(check, "seconds"),
                 *made = json_object_get(check, "run_time_code");
    bool passed = json_is_true(json_object_get(check, "passed"));
    iw_page_add(page, "<tr><th scope=\"row\">%s</th><td>%s", iw_page_text(check, "package"),
                iw_page_text(check, "name"));
    if (json_integer_value(made) > 0)
        iw_page_add(page, " <span class=\"quiet\">(made %n bytes of code at run time)</span>",
                    (int64_t)json_integer_value(made));
    else if (json_is_true(made))
        iw_page_add(page, " <span class=\"quiet\">(made code at run time)</span>");
    iw_page_add(page, "</td><td><span class=\"verdict %s\">%s</span></td>", passed ? "good" : "bad",
                passed ? "passed" : "failed");
    if (json_is_number(seconds) && json_number_value(seconds) >= 0)
        iw_page_add(page, "<td class=\"figure\">%f</td></tr>\n",
                    json_number_value(seconds) < 1e8 ? json_number_value(seconds) : 0.0);
    else iw_page_add(page, "<td class=\"figure\">–</td></tr>\n");
}

#define PROFILES 24

/* The profiles that the results name, in their order. */
static size_t find_profiles(const json_t *results, const char *profiles[PROFILES])
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(results); i++) {
        const char *name = iw_page_text(json_array_get(results, i), "profile");
        size_t k = 0;
        while (name && k < count && strcmp(profiles[k], name) != 0) k++;
        if (name && k == count && count < PROFILES) profiles[count++] = name;
    }
    return count;
}

static bool of_profile(const json_t *check, const char *profile)
{
    const char *name = iw_page_text(check, "profile");
    return name && strcmp(name, profile) == 0;
}

/* How they ran, and what that leaves to the audit. */
static void add_how(iw_page *page, const json_t *results, const char *profile)
{
    const json_t *first = NULL;
    for (size_t i = 0; i < json_array_size(results) && !first; i++)
        if (of_profile(json_array_get(results, i), profile)) first = json_array_get(results, i);
    const json_t *unseen = iw_page_list(first, "unseen");
    if (iw_page_text(first, "how"))
        iw_page_add(page,
                    "<p class=\"quiet\">Run by <code>%s</code>, in the finished environment, in a "
                    "root with glibc and nothing else.",
                    iw_page_text(first, "how"));
    for (size_t i = 0; iw_page_text(first, "how") && i < json_array_size(unseen) && i < 20; i++)
        iw_page_add(page,
                    i ? ", %s" : " It doesn’t stop at these, which only the audit looks for: %s",
                    json_string_value(json_array_get(unseen, i)));
    if (iw_page_text(first, "how"))
        iw_page_add(page, json_array_size(unseen) ? ".</p>\n" : "</p>\n");
}

static void add_checks_of(iw_page *page, const json_t *results, const char *profile)
{
    size_t shown = 0, all = 0;
    iw_page_add(page, "<h3>On %s</h3>\n", profile);
    add_how(page, results, profile);
    iw_page_add(page, "<table class=\"checks\"><thead><tr><th scope=\"col\">Package</th><th "
                      "scope=\"col\">Check</th><th scope=\"col\">Result</th>"
                      "<th scope=\"col\" class=\"figure\">Time</th></tr></thead>\n<tbody>\n");
    for (int pass = 0; pass < 2; pass++) /* failed ones first */
        for (size_t i = 0; i < json_array_size(results); i++) {
            const json_t *check = json_array_get(results, i);
            if (!of_profile(check, profile) ||
                json_is_true(json_object_get(check, "passed")) != (pass == 1))
                continue;
            if (all++ != shown || !iw_page_room(page, shown)) continue;
            add_check(page, check);
            shown++;
        }
    iw_page_left_out(page, "tr", 4, shown, all);
    iw_page_add(page, "</tbody></table>\n");
}

static void add_checks(iw_page *page, const standing *s)
{
    const char *profiles[PROFILES];
    size_t count = find_profiles(s->results, profiles);
    iw_page_add(page, "<section aria-labelledby=\"checks\">\n<h2 id=\"checks\">Checks</h2>\n");
    if (!s->checks) iw_page_add(page, "<p>No check was run.</p>\n");
    for (size_t i = 0; i < count; i++) add_checks_of(page, s->results, profiles[i]);
    iw_page_add(page, "</section>\n\n");
}

/* --- glibc, keys ---------------------------------------------------------- */

/* "hypot in lib/libword.so": the part before " in " of a line that needs the floor's version, the
 * whole where there is none. */
static size_t symbol_length(const char *line)
{
    const char *end = strstr(line, " in ");
    return end ? (size_t)(end - line) : strlen(line);
}

static const char *symbol_line(const json_t *lines, size_t i)
{
    const char *line = json_string_value(json_array_get(lines, i));
    return line ? line : "";
}

static bool same_symbol(const char *a, const char *b)
{
    return symbol_length(a) == symbol_length(b) && strncmp(a, b, symbol_length(a)) == 0;
}

/* A symbol, where it stands first, with every file that needs it. */
static void add_symbol(iw_page *page, const json_t *lines, size_t first, size_t shown)
{
    const char *line = symbol_line(lines, first);
    for (size_t i = 0; i < first; i++)
        if (same_symbol(symbol_line(lines, i), line)) return;
    iw_cleanup_free char *name = iw_format("%.*s", (int)symbol_length(line), line);
    iw_page_add(page, "<li><b><code>%s</code></b>", name);
    for (size_t i = first; i < shown; i++) {
        const char *other = symbol_line(lines, i);
        if (same_symbol(other, line) && other[symbol_length(other)])
            iw_page_add(page, "<br><code>%p</code>", other + symbol_length(other) + strlen(" in "));
    }
    iw_page_add(page, "</li>\n");
}

static void add_floor(iw_page *page)
{
    const json_t *glibc = iw_page_object(page->manifest, "glibc"),
                 *lines = iw_page_list(glibc, "because_of");
    size_t count = json_array_size(lines), shown = count < IW_REPORT_ROWS ? count : IW_REPORT_ROWS;
    iw_page_add(page,
                "<section aria-labelledby=\"glibc\">\n<h2 id=\"glibc\">glibc</h2>\n<p>Runs with "
                "glibc <b>%s</b> or newer.",
                iw_page_text(glibc, "floor"));
    iw_page_add(
        page, count
                  ? " These symbols, in these files, need that version:</p>\n<ul class=\"plain\">\n"
                  : "</p>\n");
    for (size_t i = 0; i < shown; i++) add_symbol(page, lines, i, shown);
    iw_page_left_out(page, "li", 0, shown, count);
    iw_page_add(page, count ? "</ul>\n</section>\n\n" : "</section>\n\n");
}

static void add_identity(iw_page *page)
{
    const json_t *toolchain = iw_page_object(page->manifest, "toolchain");
    iw_page_add(
        page,
        "<section aria-labelledby=\"keys\">\n<h2 id=\"keys\">Keys</h2>\n<ul class=\"plain\">\n");
    iw_page_add(page, "<li>Bundle <code>%s</code>", iw_page_text(page->manifest, "bundle"));
    if (iw_page_text(page->details, "sha256"))
        iw_page_add(page, "<br>sha256 <code>%s</code>", iw_page_text(page->details, "sha256"));
    if (iw_page_text(page->details, "tar_sha256"))
        iw_page_add(page, "<br>sha256 of the uncompressed tar, its identity <code>%s</code>",
                    iw_page_text(page->details, "tar_sha256"));
    iw_page_add(page, "</li>\n<li>Toolchain <b>%s</b><br>digest <code>%s</code>",
                iw_page_text(toolchain, "name"), iw_page_text(toolchain, "digest"));
    if (iw_page_text(toolchain, "tools"))
        iw_page_add(page, "<br>%s", iw_page_text(toolchain, "tools"));
    iw_page_add(page, "</li>\n");
    iw_page_add(page, "</ul>\n<p class=\"quiet\">Each package’s plan key, build key and content "
                      "digest stand with it, above.</p>\n</section>\n\n");
}

/* --- the page ------------------------------------------------------------- */

static void add_start(iw_page *page)
{
    static const char *const parts[][2] = {{"packages", "Packages"}, {"times", "Build times"},
                                           {"audit", "Audit"},       {"checks", "Checks"},
                                           {"glibc", "glibc"},       {"keys", "Keys"}};
    iw_page_add(page,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
                "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "style-src 'unsafe-inline'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s · Ironwheel "
                "report</title>\n<style>\n",
                iw_page_text(page->manifest, "bundle"));
    iw_buffer_add_text(&page->out, iw_report_style);
    iw_page_add(page, "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the "
                      "report</a>\n<nav aria-label=\"Parts of this report\"><ul>\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        iw_page_add(page, "<li><a href=\"#%s\">%s</a></li>\n", parts[i][0], parts[i][1]);
    iw_page_add(page, "</ul></nav>\n<main id=\"main\" tabindex=\"-1\">\n");
}

static void add_end(iw_page *page)
{
    const char *by = iw_page_text(page->details, "by"), *when = iw_page_text(page->details, "when"),
               *file = iw_page_text(page->details, "file");
    iw_page_add(page, "</main>\n<footer>\n");
    add_origin(page, "The bundle was pulled", iw_page_object(page->details, "origin"));
    iw_page_add(page, "<p>");
    iw_page_add(page,
                file ? "About <code>%s</code>, which holds the same as <code>manifest.json</code>. "
                     : "%s",
                file ? file : "");
    if (by) iw_page_add(page, "Written by <code>ironwheel %s</code>", by);
    if (by && when) iw_page_add(page, ", %s", when);
    iw_page_add(page, "</p>\n</footer>\n</body>\n</html>\n");
}

static json_t *read_object(const char *text, const char *what, iw_error *err)
{
    json_error_t why;
    iw_cleanup_free char *valid = iw_valid_utf8(text);
    json_t *object = json_loads(valid, JSON_ALLOW_NUL, &why);
    if (json_is_object(object)) return object;
    iw_fail(err, IW_E_FORMAT, "%s is no JSON object (%s); the report can't be written", what,
            object ? "something else" : why.text);
    json_decref(object);
    return NULL;
}

int iw_report_page(const char *manifest, const char *details, char **html, iw_error *err)
{
    json_t *of_bundle = read_object(manifest, "the manifest", err),
           *known = of_bundle
                        ? read_object(details ? details : "{}", "what is known of the bundle", err)
                        : NULL;
    iw_page page = {.manifest = of_bundle, .details = known};
    if (known) {
        standing s = judge(&page);
        add_start(&page);
        add_verdict(&page, &s);
        add_packages(&page);
        iw_page_times(&page);
        add_audit(&page, &s);
        add_checks(&page, &s);
        add_floor(&page);
        add_identity(&page);
        add_end(&page);
        *html = iw_buffer_take(&page.out);
    }
    json_decref(of_bundle);
    json_decref(known);
    return known ? 0 : -1;
}
