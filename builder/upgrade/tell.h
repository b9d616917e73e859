/* A bump's report as text for people. */
#ifndef IW_UPGRADE_TELL_H
#define IW_UPGRADE_TELL_H

#include <jansson.h>

/* `report` as iw_bump gives it; without its diff. Caller frees. */
char *iw_bump_text(const json_t *report);
/* The table of a bump of many packages: a row for each report in the array. Caller frees. */
char *iw_bump_table(const json_t *reports);
/* The same in Markdown. Caller frees. */
char *iw_bump_markdown(const json_t *reports);

#endif
