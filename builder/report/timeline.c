/* Build times: a drawing whose text keeps its size at any width (positions in percent, no view
 * box), and the same as a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/html.h"

#define BARS 60 /* of one drawing; the table has all */
#define ROW 34  /* pixels */

enum { PREPARE, CONFIGURE, COMPILE, INSTALL, KINDS };
static const char *const kind_class[] = {"prepare", "configure", "compile", "install"};
static const char *const kind_name[] = {"Prepare", "Configure", "Compile", "Install"};

typedef struct row {
    const char *name, *version;
    bool now;       /* built in this run */
    double started; /* seconds from the first of them */
    double kinds[KINDS], total;
} row;

static int kind_of(const char *phase)
{
    static const char *const prepare[] = {"unpack", "patch", "prefix", "prepare",
                                          "lay",    "lock",  NULL};
    for (size_t i = 0; prepare[i]; i++)
        if (strcmp(phase, prepare[i]) == 0) return PREPARE;
    return strcmp(phase, "configure") == 0 ? CONFIGURE
           : strcmp(phase, "compile") == 0 ? COMPILE
                                           : INSTALL;
}

static double seconds_of(const json_t *value)
{
    double seconds = json_number_value(value);
    return seconds > 0 && seconds < 1e8 ? seconds : 0;
}

static bool read_seconds(const json_t *known, double kinds[KINDS])
{
    const json_t *seconds = iw_page_object(known, "seconds");
    const char *phase;
    json_t *value;
    if (!seconds) return false;
    json_object_foreach((json_t *)seconds, phase, value) kinds[kind_of(phase)] += seconds_of(value);
    return true;
}

double iw_package_seconds(const json_t *known)
{
    double kinds[KINDS] = {0}, total = 0;
    if (!read_seconds(known, kinds)) return -1;
    for (int i = 0; i < KINDS; i++) total += kinds[i];
    return total;
}

static int by_start(const void *a, const void *b)
{
    const row *x = a, *y = b;
    return x->started < y->started ? -1 : x->started > y->started;
}

static int by_total(const void *a, const void *b)
{
    const row *x = a, *y = b;
    return x->total > y->total ? -1 : x->total < y->total;
}

/* Those built in this run, by start, then the others, longest first. Caller frees. */
static row *read_rows(const iw_page *page, size_t *count, size_t *now, size_t *unknown)
{
    const json_t *packages = iw_page_list(page->manifest, "packages");
    row *rows = iw_alloc((json_array_size(packages) + 1) * sizeof *rows);
    *count = *now = *unknown = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < json_array_size(packages); i++) {
            const json_t *package = json_array_get(packages, i);
            row r = {.name = iw_page_text(package, "name"),
                     .version = iw_page_text(package, "version")};
            const json_t *known = iw_page_package(page, r.name),
                         *started = json_object_get(known, "started");
            r.now = json_is_number(started);
            r.started = r.now ? seconds_of(started) : 0;
            if (r.now != (pass == 0)) continue;
            if (!read_seconds(known, r.kinds)) {
                *unknown += 1;
                continue;
            }
            for (int k = 0; k < KINDS; k++) r.total += r.kinds[k];
            rows[(*count)++] = r;
            *now += r.now;
        }
    qsort(rows, *now, sizeof *rows, by_start);
    qsort(rows + *now, *count - *now, sizeof *rows, by_total);
    for (size_t i = *now; i-- > 0;) rows[i].started -= rows[0].started;
    return rows;
}

/* printf's %f would take the locale's comma. */
static void add_percent(iw_page *page, const char *attribute, double part, double whole)
{
    long hundredths = whole > 0 ? (long)(part / whole * 10000 + 0.5) : 0;
    iw_buffer_add_format(&page->out, " %s=\"%ld.%02ld%%\"", attribute, hundredths / 100,
                         hundredths % 100);
}

static void draw_row(iw_page *page, const row *r, size_t index, double whole)
{
    int top = (int)index * ROW;
    double at = r->started;
    iw_cleanup_free char *label = iw_format("%.48s", r->name ? r->name : "?");
    iw_buffer_add_format(&page->out, "<g%s><text x=\"0\" y=\"%d\">",
                         r->now ? "" : " class=\"reused\"", top + 14);
    iw_page_add(page, "%s</text>", label);
    iw_buffer_add_format(&page->out, "<text x=\"100%%\" y=\"%d\" class=\"end\">", top + 14);
    iw_page_add(page, "%f</text>", r->total);
    iw_buffer_add_format(
        &page->out,
        "<rect class=\"track\" x=\"0\" y=\"%d\" width=\"100%%\" height=\"8\" rx=\"2\"/>", top + 20);
    for (int k = 0; k < KINDS; k++) {
        if (r->kinds[k] <= 0) continue;
        double width = r->kinds[k] / whole < 0.003 && k == COMPILE ? 0.003 * whole : r->kinds[k];
        iw_buffer_add_format(&page->out, "<rect class=\"%s\" y=\"%d\" height=\"8\"", kind_class[k],
                             top + 20);
        add_percent(page, "x", at, whole);
        add_percent(page, "width", at + width > whole ? whole - at : width, whole);
        iw_page_add(page, "/>");
        at += r->kinds[k];
    }
    iw_page_add(page, "</g>\n");
}

static void draw(iw_page *page, const row *rows, size_t count, const char *title)
{
    double whole = 0.001;
    size_t shown = count < BARS ? count : BARS;
    for (size_t i = 0; i < count; i++)
        if (rows[i].started + rows[i].total > whole) whole = rows[i].started + rows[i].total;
    iw_buffer_add_format(&page->out,
                         "<svg role=\"img\" width=\"100%%\" height=\"%d\" aria-label=\"",
                         (int)shown * ROW);
    iw_page_add(page, "%s\">\n", title);
    for (size_t i = 0; i < shown; i++) draw_row(page, &rows[i], i, whole);
    iw_page_add(page, "</svg>\n");
    if (shown < count)
        iw_page_add(page, "<p class=\"rest\">and %n more, in the table below</p>\n",
                    (int64_t)(count - shown));
}

static void add_table(iw_page *page, const row *rows, size_t count)
{
    size_t i = 0;
    iw_page_add(page, "<details><summary>The same as a table</summary>\n<div class=\"wide\" "
                      "tabindex=\"0\" role=\"group\" aria-label=\"Build times\"><table>\n"
                      "<thead><tr><th scope=\"col\">Package</th>");
    for (int k = 0; k < KINDS; k++)
        iw_page_add(page, "<th scope=\"col\" class=\"figure\">%s</th>", kind_name[k]);
    iw_page_add(page, "<th scope=\"col\" class=\"figure\">Total</th><th "
                      "scope=\"col\">Built</th></tr></thead>\n<tbody>\n");
    for (; i < count && iw_page_room(page, i); i++) {
        iw_page_add(page, "<tr><th scope=\"row\">%s %s</th>", rows[i].name, rows[i].version);
        for (int k = 0; k < KINDS; k++)
            if (rows[i].kinds[k] > 0)
                iw_page_add(page, "<td class=\"figure\">%f</td>", rows[i].kinds[k]);
            else iw_page_add(page, "<td class=\"figure\">–</td>");
        iw_page_add(page, "<td class=\"figure\">%f</td><td>%s</td></tr>\n", rows[i].total,
                    rows[i].now ? "in this run" : "before, reused");
    }
    iw_page_left_out(page, "tr", KINDS + 3, i, count);
    iw_page_add(page, "</tbody></table></div></details>\n");
}

void iw_page_times(iw_page *page)
{
    size_t count, now, unknown;
    row *rows = read_rows(page, &count, &now, &unknown);
    double spent = 0;
    for (size_t i = 0; i < count; i++) spent += rows[i].total;
    iw_page_add(page, "<section aria-labelledby=\"times\">\n<h2 id=\"times\">Build times</h2>\n");
    if (count) {
        iw_page_add(page, "<p>%f of work, packages added up.</p>\n<ul class=\"legend\">", spent);
        for (int k = 0; k < KINDS; k++)
            iw_page_add(page, "<li><span class=\"key %s\"></span>%s</li>", kind_class[k],
                        kind_name[k]);
        iw_page_add(page, "</ul>\n");
    } else {
        iw_page_add(page, "<p>This store doesn’t hold the builds that made these packages, so "
                          "their times aren’t known here.</p>\n");
    }
    if (now) {
        iw_page_add(page, "<h3>Built in this run</h3>\n<p class=\"quiet\">From the start of its "
                          "first package to the end of its last.</p>\n");
        draw(page, rows, now,
             "Timeline of the packages that this run built; the table below has the same figures");
    }
    if (count > now) {
        iw_page_add(page, "<h3>Reused</h3>\n<p class=\"quiet\">Built before: the time is that of "
                          "the build that made them, longest first.</p>\n");
        draw(page, rows + now, count - now,
             "Build times of reused packages; the table below has the same figures");
    }
    if (count) add_table(page, rows, count);
    if (count && unknown) {
        iw_page_add(page, "<p class=\"quiet\">Not known here: the times of ");
        iw_page_count(page, unknown, "package");
        iw_page_add(page, ".</p>\n");
    }
    iw_page_add(page, "</section>\n\n");
    free(rows);
}
