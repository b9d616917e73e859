#include "cli/published.h"

#include <stdlib.h>

#include "base/memory.h"

static void note(iw_context *context, const char *text)
{
    iw_emit(context->sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = "with-upstream", .detail = text});
}

/* The size of a wheel that the store no longer has isn't known, and a page must tell it. */
static void tell_missing(iw_context *context, const iw_triage_wheels *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const iw_triage_wheel *one = &found->items[i];
        if (one->size || one->dies) continue;
        iw_cleanup_free char *text =
            iw_format("%s isn't listed: its size isn't known any more; `ironwheel triage --again "
                      "%s==%s` tells it",
                      one->file, one->project, one->version);
        note(context, text);
    }
}

int iw_known_wheels_read(iw_context *context, iw_store *store, const iw_profile *profile,
                         iw_known_wheels *known, iw_published_list *out, iw_error *err)
{
    if (iw_triage_kept(store, profile, &known->found, err) != 0) return -1;
    known->items = iw_alloc((known->found.count + 1) * sizeof *known->items);
    for (size_t i = 0; i < known->found.count; i++) {
        const iw_triage_wheel *one = &known->found.items[i];
        known->items[i] = (iw_published){.project = one->project,
                                         .file = one->file,
                                         .url = one->url,
                                         .sha256 = one->sha256,
                                         .requires_python = one->requires_python,
                                         .size = one->size,
                                         .dies = one->dies};
    }
    *out = (iw_published_list){known->items, known->found.count};
    tell_missing(context, &known->found);
    if (known->found.count) return 0;
    iw_cleanup_free char *text =
        iw_format("no published wheel is known to work on %s: `ironwheel triage -p %s NAME…` tries "
                  "some, and the store keeps what came of it",
                  profile->name, profile->name);
    note(context, text);
    return 0;
}

void iw_known_wheels_clear(iw_known_wheels *known)
{
    iw_triage_wheels_free(&known->found);
    free(known->items);
    known->items = NULL;
}
