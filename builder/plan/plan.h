/* The plan: the graph of everything a stack needs for its profiles, with keys, actions and reasons.
 * Pure but for look-ups in the store. */
#ifndef IW_PLAN_PLAN_H
#define IW_PLAN_PLAN_H

#include "recipe/recipe.h"
#include "store/store.h"

typedef enum iw_action {
    IW_ACTION_REUSE,
    IW_ACTION_PULL, /* a remote has it: what it holds is known, its bytes aren't here yet */
    IW_ACTION_BUILD,
    IW_ACTION_FETCH_BLOCKED
} iw_action;

typedef struct iw_node iw_node;
struct iw_node {
    size_t index; /* in iw_plan.nodes, which is in topological order: what is needed comes first */
    const iw_recipe *recipe;
    iw_node **build_needs; /* direct: laid while building, with their run closure */
    size_t build_need_count;
    iw_node **run_needs; /* direct */
    size_t run_need_count;
    iw_node **laid; /* run closure of build_needs and run_needs: what is at the prefix while it
                       builds; sorted by name */
    size_t laid_count;
    bool in_bundle;
    char plan_key[IW_SHA256_HEX];
    iw_action action;
    const char *reason;            /* one line, for people */
    bool maybe;                    /* built only if something below it changes its bytes */
    char build_key[IW_SHA256_HEX]; /* known where every dependency's content is; else "" */
    iw_artifact artifact;          /* where action is REUSE or PULL */
    bool measured;                 /* expected_seconds comes from an earlier build */
    double
        expected_seconds; /* from earlier builds, else from the recipe's size class; 0 for reuse */
};

typedef struct iw_plan {
    const iw_stack *stack;
    const iw_profile *profile; /* the stack's profiles joined */
    const iw_toolchain *toolchain;
    iw_node *nodes;
    size_t node_count;
    char bundle_key[IW_SHA256_HEX]; /* over the bundle's plan keys, checks and format numbers */
    const char *policy;             /* as in the options */
} iw_plan;

/* Whether it need not be built: what it holds is known. */
static inline bool iw_node_is_done(const iw_node *node)
{
    return node->action == IW_ACTION_REUSE || node->action == IW_ACTION_PULL;
}

/* Two versions of one package at one prefix, or between which nobody chose: what a plan fails of.
 * Zero-initialise; owned by the caller. */
typedef struct iw_plan_clash {
    char *name, *versions[2]; /* NULL where there is no such clash */
} iw_plan_clash;

void iw_plan_clash_clear(iw_plan_clash *clash);

typedef struct iw_plan_options {
    bool offline;
    bool graph; /* no more than which nodes there are and what they need: no keys, no actions, no
                   reasons; the store isn't asked (and may be NULL) */
    /* Whether somebody offers an artifact of node->build_key, which the store lacks: fills content,
     * file digest and sizes, and says so in one line (owned by the plan). NULL: nobody is asked. */
    bool (*offered)(void *context, const iw_plan *plan, const iw_node *node, iw_artifact *out,
                    char **reason);
    void *context;      /* of that */
    const char *policy; /* IW_POLICY_NUMBER of the wrapper and the format numbers of build and pack,
                           as text: part of every key */
    iw_plan_clash *clash; /* filled in where the plan fails of one; NULL: nobody asks */
} iw_plan_options;

/* Resolves, checks for cycles (named in full) and two versions of one package in one prefix,
 * computes keys, looks up the store. An artifact found by its build key, though the plan is new, is
 * linked to the plan. The plan borrows from the catalog; caller frees with iw_plan_free. */
int iw_plan_make(iw_catalog *catalog, iw_store *store, const iw_stack *stack,
                 const iw_plan_options *options, iw_plan **out, iw_error *err);
void iw_plan_free(iw_plan *plan);
/* Seconds of work to build every package of it anew, what would be reused included. */
int iw_plan_whole_seconds(const iw_plan *plan, iw_catalog *catalog, iw_store *store,
                          double *seconds, iw_error *err);
/* Seconds of work to build the node anew: by earlier builds, else the recipe. */
int iw_plan_seconds(iw_catalog *catalog, iw_store *store, const iw_node *node, double *seconds,
                    iw_error *err);
/* The build key of a node once the content digests of all its `laid` nodes are known: contents[i]
 * belongs to node->laid[i]. */
void iw_plan_build_key(const iw_plan *plan, const iw_node *node, const char *const *contents,
                       char key[IW_SHA256_HEX]);
/* What a check runs and how it is judged, as a digest: for results that are kept. */
void iw_plan_check_key(const iw_check *check, char key[IW_SHA256_HEX]);
/* The named inputs of a node's plan key as "name value" lines, for `why` (compared with the last
 * ones in the store). What is laid stands with its content digest where that is known. Caller
 * frees. */
char *iw_plan_inputs(const iw_plan *plan, const iw_node *node);
/* To be called when a node was built, or reused by its build key: the store remembers its inputs,
 * from which the next plan tells what changed. */
int iw_plan_note(const iw_plan *plan, const iw_node *node, iw_store *store, iw_error *err);
iw_node *iw_plan_find(const iw_plan *plan, const char *name,
                      const char *version); /* version NULL: any; NULL where absent */
/* The one of that name in the bundle, which may be built with another version; NULL where there is
 * none. */
iw_node *iw_plan_find_bundled(const iw_plan *plan, const char *name);
/* Text for `why PACKAGE`: who needs it, what changed since the last time, what it waits for. Caller
 * frees. */
int iw_plan_why(const iw_plan *plan, iw_store *store, const char *name, char **out, iw_error *err);

/* --- scheduling: a pure core without forks or clocks ---------------------- */

typedef struct iw_schedule iw_schedule;
iw_schedule *iw_schedule_new(const iw_plan *plan); /* nodes with action REUSE count as done */
/* Leaves out everything but `node`, which has all that it waits for. Before the first
 * iw_schedule_next. */
void iw_schedule_only(iw_schedule *schedule, const iw_node *node);
void iw_schedule_free(iw_schedule *schedule);
iw_node *iw_schedule_next(iw_schedule *schedule); /* a ready node (longest expected path first), now
                                                     running; NULL: none ready */
void iw_schedule_done(iw_schedule *schedule, iw_node *node);
void iw_schedule_failed(iw_schedule *schedule, iw_node *node); /* what needs it will not run */
bool iw_schedule_finished(const iw_schedule *schedule); /* nothing runs and nothing is ready */
size_t iw_schedule_skipped(const iw_schedule *schedule, iw_node **out,
                           size_t capacity); /* not run because something failed */

#endif
