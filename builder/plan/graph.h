/* The graph of a stack: recipes chosen by version, needs resolved, in topological order. Internal
 * to `plan`. */
#ifndef IW_PLAN_GRAPH_H
#define IW_PLAN_GRAPH_H

#include "base/arena.h"
#include "plan/plan.h"

/* A plan with what belongs to it. */
typedef struct iw_plan_body {
    iw_plan plan; /* first: iw_plan_free casts back */
    iw_arena *arena;
    iw_plan_clash *clash; /* borrowed, or NULL */
} iw_plan_body;

/* IW_E_RECIPE at a place of a recipe or stack. */
int iw_fail_place(iw_error *err, const iw_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Fills body->plan.nodes: recipes, needs, laid, in_bundle, order. The stack is set. Errors: an
 * unknown recipe or an ambiguous version, a cycle (named in full), two versions of one package at
 * one prefix. */
int iw_graph_make(iw_catalog *catalog, iw_plan_body *body, iw_error *err);

/* The shortest way from a package of the stack to the node: "base → monotonic-align → numpy".
 * Caller frees. */
char *iw_graph_path(const iw_plan *plan, const iw_node *node);

#endif
