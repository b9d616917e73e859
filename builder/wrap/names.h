/* The names in /usr/bin that the wrapper is bound over. */
#ifndef IW_WRAP_NAMES_H
#define IW_WRAP_NAMES_H

/* NULL-terminated, static, sorted. */
const char *const *iw_wrapped_names(void);

#endif
