/* What the tests of `triage` share: a fresh folder per test, failures that print the error. */
#ifndef IW_TESTS_TRIAGE_KIT_H
#define IW_TESTS_TRIAGE_KIT_H

#include "../emulate/kit.h"

#endif
