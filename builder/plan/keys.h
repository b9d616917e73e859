/* Keys, and the inputs that they are made of as text. Internal to `plan`. */
#ifndef IW_PLAN_KEYS_H
#define IW_PLAN_KEYS_H

#include "plan/graph.h"

/* Sets plan_key of every node, in order. */
void iw_keys_make(iw_plan_body *body);
/* Sets bundle_key, once the plan keys are there. */
void iw_keys_make_bundle(iw_plan_body *body);

#endif
