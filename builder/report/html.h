/* Writing HTML that can't be broken by what is written. Internal to `report`. */
#ifndef IW_REPORT_HTML_H
#define IW_REPORT_HTML_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define IW_REPORT_ROWS 400               /* of one list */
#define IW_REPORT_TEXT 1200              /* bytes of one text */
#define IW_REPORT_PAGE ((size_t)4 << 20) /* from here on lists end */

extern const char iw_report_style[];

typedef struct iw_page {
    iw_buffer out;
    const json_t *manifest, *details;
} iw_page;

/* `html` as it is, but for %s: a text, escaped (NULL: a dash), %p: a path, which may break after a
 * slash, %n: an int64_t with its digits in threes, and %f: seconds (double) as "4 min 10 s". */
void iw_page_add(iw_page *page, const char *html, ...);
/* Whether another row may be written, `index` being there already. */
bool iw_page_room(const iw_page *page, size_t index);
/* Counts what was left out, as the last item or row: `element` is li, or tr with `columns`. Nothing
 * where nothing was. */
void iw_page_left_out(iw_page *page, const char *element, int columns, size_t shown, size_t all);
/* "1 file", "7 files": adds the number and the noun. */
void iw_page_count(iw_page *page, size_t count, const char *noun);

/* The text of a key, NULL where it is missing, empty or no text. */
const char *iw_page_text(const json_t *object, const char *key);
/* The array or object of a key, NULL where it is something else. */
const json_t *iw_page_list(const json_t *object, const char *key);
const json_t *iw_page_object(const json_t *object, const char *key);
/* What is known of a package beyond the manifest, or NULL. */
const json_t *iw_page_package(const iw_page *page, const char *name);

/* Bytes as UTF-8: what is broken becomes U+FFFD. Caller frees. */
char *iw_valid_utf8(const char *text);

/* The seconds of a package's phases together; negative where they aren't known. */
double iw_package_seconds(const json_t *known);
/* The section about times. */
void iw_page_times(iw_page *page);

#endif
