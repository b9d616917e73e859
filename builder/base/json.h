/* JSON from somebody's text, and back: what every room needs of it beside jansson itself. */
#ifndef IW_BASE_JSON_H
#define IW_BASE_JSON_H

#include <jansson.h>
#include <stdint.h>

/* A new reference: the text; where it isn't UTF-8 (names of files, output of programs), with "?"
 * for each byte above 127; null for NULL. */
json_t *iw_json_text(const char *text);
/* object[key] = that text; `put` leaves the key out where the text is NULL. */
void iw_json_set(json_t *object, const char *key, const char *text);
void iw_json_put(json_t *object, const char *key, const char *text);
/* A new array of `count` texts. */
json_t *iw_json_texts(const char *const *items, size_t count);
/* object[key] where it is a text, else NULL; borrowed. `object` may be NULL. */
const char *iw_json_get(const json_t *object, const char *key);

#endif
