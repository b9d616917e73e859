/* `why PACKAGE`: text for people. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "plan/changes.h"
#include "plan/graph.h"

static const char *title_of(const iw_node *node)
{
    switch (node->action) {
    case IW_ACTION_REUSE: return "reused";
    case IW_ACTION_PULL: return "taken from a remote";
    case IW_ACTION_FETCH_BLOCKED: return "can't be built: a source is missing";
    default: return node->maybe ? "to be built, perhaps" : "to be built";
    }
}

static bool is_among(iw_node *const *nodes, size_t count, const iw_node *node)
{
    for (size_t i = 0; i < count; i++)
        if (nodes[i] == node) return true;
    return false;
}

static void tell_users(const iw_plan *plan, const iw_node *node, iw_buffer *out)
{
    iw_buffer_add_text(out, "needed by:\n");
    for (size_t i = 0; i < plan->stack->package_count; i++)
        if (strcmp(plan->stack->packages[i].name, node->recipe->name) == 0)
            iw_buffer_add_format(out, "  stack %s itself\n", plan->stack->name);
    for (size_t i = node->index + 1; i < plan->node_count; i++) {
        const iw_node *user = &plan->nodes[i];
        bool run = is_among(user->run_needs, user->run_need_count, node);
        if (!run && !is_among(user->build_needs, user->build_need_count, node)) continue;
        iw_cleanup_free char *path = iw_graph_path(plan, user);
        iw_buffer_add_format(out, "  %s %s, to %s (%s → %s)\n", user->recipe->name,
                             user->recipe->version, run ? "run" : "build", path,
                             node->recipe->name);
    }
    iw_buffer_add_format(out, "in the bundle: %s\n",
                         node->in_bundle ? "yes" : "no, it is only needed while others are built");
}

static void tell_needs(const char *title, iw_node *const *needs, size_t count, iw_buffer *out)
{
    if (!count) return;
    iw_buffer_add_format(out, "%s: ", title);
    for (size_t i = 0; i < count; i++)
        iw_buffer_add_format(out, "%s%s %s (%s)", i ? ", " : "", needs[i]->recipe->name,
                             needs[i]->recipe->version, title_of(needs[i]));
    iw_buffer_add_char(out, '\n');
}

static int tell_changes(const iw_plan *plan, iw_store *store, const iw_node *node, iw_buffer *out,
                        iw_error *err)
{
    iw_cleanup_free char *last = NULL, *now = iw_plan_inputs(plan, node);
    if (iw_changes_last(plan, store, node, &last, err) != 0) return -1;
    if (!last) {
        iw_buffer_add_text(out, "changed since the last time: it was never built in this store\n");
        return 0;
    }
    iw_cleanup_free char *list = iw_changes_list(last, now);
    iw_buffer_add_format(out, "changed since the last time:%s%s", *list ? "\n" : " nothing\n",
                         list);
    return 0;
}

static void tell_waits(const iw_node *node, iw_buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < node->laid_count; i++) {
        const iw_node *laid = node->laid[i];
        if (iw_node_is_done(node) || iw_node_is_done(laid)) continue;
        iw_buffer_add_format(out, "%s%s", count++ ? ", " : "waits for: ", laid->recipe->name);
    }
    if (count) iw_buffer_add_char(out, '\n');
}

static int tell_times(iw_store *store, const iw_node *node, iw_buffer *out, iw_error *err)
{
    static const char *const phases[] = {"unpack",  "patch",   "prepare", "configure",
                                         "compile", "install", "finish",  "pack"};
    iw_measure m, cpu;
    bool found, cpu_found;
    if (iw_store_measured(store, node->recipe->name, node->recipe->version, "", &m, &found, err) !=
        0)
        return -1;
    if (iw_store_measured(store, node->recipe->name, node->recipe->version, IW_MEASURE_CPU, &cpu,
                          &cpu_found, err) != 0)
        return -1;
    if (!found || (!iw_node_is_done(node) && !node->measured)) {
        if (iw_node_is_done(node)) return 0;
        iw_cleanup_free char *guess = iw_format_seconds(node->expected_seconds);
        iw_buffer_add_format(out, "time: never measured; a rough guess is %s\n", guess);
        return 0;
    }
    iw_cleanup_free char *whole = iw_format_seconds(m.seconds),
                         *used = iw_format_seconds(cpu_found ? cpu.seconds : 0);
    iw_buffer_add_format(out, "time: %s the last time", whole);
    if (cpu_found) iw_buffer_add_format(out, ", %s of CPU time", used);
    for (size_t i = 0, count = 0; i < sizeof phases / sizeof *phases; i++) {
        if (iw_store_measured(store, node->recipe->name, node->recipe->version, phases[i], &m,
                              &found, err) != 0)
            return -1;
        if (!found || m.seconds < 0.5) continue;
        iw_cleanup_free char *part = iw_format_seconds(m.seconds);
        iw_buffer_add_format(out, "%s%s %s", count++ ? ", " : ": ", phases[i], part);
        if (m.peak_memory)
            iw_buffer_add_format(out, " (up to %llu MiB)", (unsigned long long)m.peak_memory);
    }
    iw_buffer_add_char(out, '\n');
    return 0;
}

static int fail_unknown(const iw_plan *plan, const char *name, iw_error *err)
{
    const char **names = iw_alloc((plan->node_count + 1) * sizeof *names);
    for (size_t i = 0; i < plan->node_count; i++) names[i] = plan->nodes[i].recipe->name;
    const char *near = iw_nearest(name, names, plan->node_count);
    iw_fail(err, IW_E_NOT_FOUND, "stack %s has no package \"%s\"%s%s%s", plan->stack->name, name,
            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    free(names);
    return -1;
}

int iw_plan_why(const iw_plan *plan, iw_store *store, const char *name, char **out, iw_error *err)
{
    iw_buffer text = {0};
    bool any = false;
    *out = NULL;
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        if (strcmp(node->recipe->name, name) != 0) continue;
        iw_buffer_add_format(&text, "%s%s %s: %s: %s\nplan key: %s\n", any ? "\n" : "",
                             node->recipe->name, node->recipe->version, title_of(node),
                             node->reason, node->plan_key);
        any = true;
        tell_users(plan, node, &text);
        tell_needs("needs to build", node->build_needs, node->build_need_count, &text);
        tell_needs("needs to run", node->run_needs, node->run_need_count, &text);
        tell_waits(node, &text);
        if (tell_changes(plan, store, node, &text, err) != 0 ||
            tell_times(store, node, &text, err) != 0) {
            iw_buffer_free(&text);
            return -1;
        }
    }
    if (!any) return fail_unknown(plan, name, err);
    *out = iw_buffer_take(&text);
    return 0;
}
