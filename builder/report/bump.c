/* The page about a bump: what moved, what became of the patches, and what differs in the bundle. */
#include "base/memory.h"
#include "report/html.h"
#include "report/report.h"

static void add_top(iw_page *page)
{
    iw_page_add(page,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
                "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "style-src 'unsafe-inline'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s in stack %s · "
                "Ironwheel bump</title>\n<style>\n",
                iw_page_text(page->details, "name"), iw_page_text(page->details, "stack"));
    iw_buffer_add_text(&page->out, iw_report_style);
    iw_page_add(page, "</style>\n</head>\n<body>\n<main id=\"main\">\n<h1>%s: %s</h1>\n",
                iw_page_text(page->details, "name"), iw_page_text(page->details, "verdict"));
    if (iw_page_text(page->details, "cause"))
        iw_page_add(page, "<p>%s</p>\n", iw_page_text(page->details, "cause"));
}

/* A table of texts: `keys` name the columns' values, `titles` their heads; NULL-terminated. */
static void add_table(iw_page *page, const char *title, const json_t *list,
                      const char *const *titles, const char *const *keys)
{
    size_t count = json_array_size(list), shown = 0;
    int columns = 0;
    if (count == 0) return;
    iw_page_add(page, "<section>\n<h2>%s</h2>\n<table><thead><tr>", title);
    for (; titles[columns]; columns++)
        iw_page_add(page, "<th scope=\"col\">%s</th>", titles[columns]);
    iw_page_add(page, "</tr></thead>\n<tbody>\n");
    for (; shown < count && iw_page_room(page, shown); shown++) {
        const json_t *row = json_array_get(list, shown);
        iw_page_add(page, "<tr>");
        for (size_t i = 0; keys[i]; i++) {
            const json_t *value = json_object_get(row, keys[i]);
            if (json_is_number(value))
                iw_page_add(page, "<td class=\"figure\">%n</td>",
                            (int64_t)json_number_value(value));
            else iw_page_add(page, "<td>%p</td>", json_string_value(value));
        }
        iw_page_add(page, "</tr>\n");
    }
    iw_page_left_out(page, "tr", columns, shown, count);
    iw_page_add(page, "</tbody></table>\n</section>\n");
}

static void add_patches(iw_page *page, const json_t *report)
{
    static const char *const heads[] = {"Patch", "Result", "Done", "As", NULL},
                             *const keys[] = {"file", "result", "done", "as", NULL},
                             *const proof_heads[] = {"Patch", "Without it", "Why", NULL},
                             *const proof_keys[] = {"patch", "result", "why", NULL};
    add_table(page, "Patches", iw_page_list(report, "patches"), heads, keys);
    add_table(page, "Are they needed?", iw_page_list(report, "proofs"), proof_heads, proof_keys);
}

static void add_moves(iw_page *page)
{
    static const char *const heads[] = {"Package", "From", "To", "Verdict", "Cause", NULL},
                             *const keys[] = {"name", "from", "to", "verdict", "cause", NULL},
                             *const passed_heads[] = {"Passed over", "Why", NULL},
                             *const passed_keys[] = {"version", "reason", NULL};
    const json_t *packages = iw_page_list(page->details, "packages");
    add_table(page, "Packages", packages, heads, keys);
    add_table(page, "Releases", iw_page_list(page->details, "passed_over"), passed_heads,
              passed_keys);
    add_patches(page, page->details);
    for (size_t i = 0; i < json_array_size(packages) && iw_page_room(page, i); i++)
        add_patches(page, json_array_get(packages, i));
}

static void add_difference(iw_page *page)
{
    static const char *const moved[] = {"Package", "From", "To", NULL},
                             *const moved_keys[] = {"name", "from", "to", NULL},
                             *const code[] = {"File", "Function", "Before", "After", NULL},
                             *const code_keys[] = {"file", "function", "before", "after", NULL},
                             *const flags[] = {"Package", "Flag", "Before", "After", NULL},
                             *const flag_keys[] = {"package", "flag", "before", "after", NULL},
                             *const times[] = {"Package", "Before (s)", "After (s)", NULL},
                             *const time_keys[] = {"package", "before", "after", NULL};
    const json_t *found = iw_page_object(page->details, "difference");
    add_table(page, "In the bundle", iw_page_list(found, "packages"), moved, moved_keys);
    add_table(page, "Instructions beyond the profile, by function",
              iw_page_list(found, "instructions"), code, code_keys);
    add_table(page, "Flags that the wrapper took out", iw_page_list(found, "flags"), flags,
              flag_keys);
    add_table(page, "Time to build", iw_page_list(found, "times"), times, time_keys);
}

static void add_checks(iw_page *page)
{
    static const char *const kinds[][2] = {{"broken", "Checks that fail now"},
                                           {"fixed", "Checks that pass now"},
                                           {"added", "New checks"},
                                           {"removed", "Checks that are gone"}};
    const json_t *checks = iw_page_object(iw_page_object(page->details, "difference"), "checks");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const json_t *list = iw_page_list(checks, kinds[i][0]);
        size_t count = json_array_size(list), shown = 0;
        if (count == 0) continue;
        iw_page_add(page, "<section>\n<h2>%s</h2>\n<ul>\n", kinds[i][1]);
        for (; shown < count && iw_page_room(page, shown); shown++)
            iw_page_add(page, "<li>%s</li>\n", json_string_value(json_array_get(list, shown)));
        iw_page_left_out(page, "li", 0, shown, count);
        iw_page_add(page, "</ul>\n</section>\n");
    }
}

int iw_report_bump(const char *report, char **html, iw_error *err)
{
    json_error_t why;
    iw_cleanup_free char *valid = iw_valid_utf8(report);
    json_t *object = json_loads(valid, JSON_ALLOW_NUL, &why);
    if (!json_is_object(object)) {
        json_decref(object);
        return iw_fail(err, IW_E_FORMAT, "the bump's report is no JSON object");
    }
    iw_page page = {.manifest = object, .details = object};
    add_top(&page);
    add_moves(&page);
    add_difference(&page);
    add_checks(&page);
    iw_page_add(&page, "</main>\n<footer>\n<p>Written by <code>ironwheel bump</code></p>\n"
                       "</footer>\n</body>\n</html>\n");
    *html = iw_buffer_take(&page.out);
    json_decref(object);
    return 0;
}
