/* The encoding tables, as data. */
#include "audit/encoding.h"

#include "audit/tables.inc"
