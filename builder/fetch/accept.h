/* Licences that a user must have accepted before anything under them is fetched. */
#ifndef IW_FETCH_ACCEPT_H
#define IW_FETCH_ACCEPT_H

#include "fetch/fetch.h"

/* IW_E_USAGE where something that is missing belongs to a recipe whose `accept` names a licence
 * that neither options->accepted nor IRONWHEEL_ACCEPT_LICENCE has (names, separated by commas); it
 * says where to read it, and how to accept it. `missing` is as iw_fetch_missing has it. */
int iw_check_accepted(const iw_wanted *wanted, const bool *missing, size_t count,
                      const iw_fetch_options *options, iw_error *err);

#endif
