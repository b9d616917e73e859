/* One run of `heal`. Internal to the room. */
#ifndef IW_UPGRADE_HEALER_H
#define IW_UPGRADE_HEALER_H

#include "triage/triage.h"
#include "upgrade/heal.h"
#include "upgrade/maker.h"
#include "upgrade/resolve.h"

typedef struct iw_decision { /* about one package, kept over the rounds */
    char *name, *version;    /* as the index calls it: its recipe's name is iw_healer_called */
    char *recipe;            /* its recipe's version, where one builds it */
    char *was;               /* what died */
    iw_fate fate;
    char *why;
    bool settled; /* it was tried, or needs no trial */
    char *sha256; /* of the sdist that it is to be made from; or NULL */
} iw_decision;

typedef struct iw_healer {
    const iw_heal_options *options;
    iw_catalog *catalog; /* of the tree as it is */
    json_t *called;      /* project: name of its recipe, as far as they were asked for */
    iw_store *store;
    iw_new_options making; /* for the maker */
    iw_maker maker;
    iw_requirements requirements;
    iw_resolver resolver;
    iw_resolution resolution;
    iw_strings pins;   /* "name==version" */
    iw_strings beside; /* likewise: a wheel that runs, in place of what is built here, for trials */
    iw_strings moving; /* names of build tools for which the tree's version was asked */
    iw_strings alone;  /* names of what is built here and has no such wheel */
    iw_decision *decisions;
    size_t count, capacity;
    iw_sketch *sketches; /* of the wheels that are kept */
    size_t sketch_count, sketch_capacity;
    iw_strings libraries; /* recipes of libraries that wheels expect from a system */
    iw_triage **triages;  /* two for each CPU: one that tries versions, one that searches them */
    iw_strings warned;    /* what pip warned of, and was told */
    bool tried;
} iw_healer;

iw_decision *iw_healer_find(const iw_healer *healer, const char *name);
/* What the recipe of a project is, or will be, called: its own name, or python-<name> where the
 * tree has a library of that name. Borrowed. */
const char *iw_healer_called(const iw_healer *healer, const char *name);
/* The other way: what was resolved whose recipe is called so, or NULL. Borrowed. */
iw_dist *iw_healer_dist(const iw_healer *healer, const char *recipe);

/* --- heal_decide.c --- */
/* Reads the requirements; IW_E_USAGE names every line that is refused. */
int iw_healer_read(iw_healer *healer, iw_error *err);
/* Resolves, tries, repairs, until nothing moves. */
int iw_healer_decide(iw_healer *healer, iw_error *err);
/* Further pins ("name==version"). *fits: the requirements allow them all, and nothing
 * else moves. The resolution is that one then, else it and the pins are what they were. */
int iw_healer_try_pins(iw_healer *healer, const iw_strings *lines, bool *fits, iw_error *err);
/* `recipe`, `was`, `why` may be NULL; all are copied. */
void iw_healer_settle(iw_healer *healer, const char *name, const char *version, const char *recipe,
                      iw_fate fate, const char *was, const char *why);

/* --- heal_tools.c --- */
/* What the recipes in question are built with stays in the tree's version where the requirements
 * allow it, nobody asked for it and nothing else moves: another setuptools would have all of them
 * built anew. */
int iw_healer_keep_tools(iw_healer *healer, iw_error *err);

/* --- heal_write.c --- */
/* Recipes of the wheels, and the stack, into the copy of the tree. */
int iw_healer_write(iw_healer *healer, iw_error *err);
/* Recipes that are to be made from sdists; a failure makes its decision impossible. */
int iw_healer_make(iw_healer *healer, iw_error *err);
/* Builds; counts what the wheels hold; writes the bundle. */
int iw_healer_build(iw_healer *healer, iw_error *err);
/* pylock.toml as text; caller frees. */
int iw_healer_lock(iw_healer *healer, char **text, iw_error *err);

#endif
