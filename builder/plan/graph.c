#include "plan/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "recipe/version.h"

/* A package while the graph grows. Needs are indices into graph.vertices. */
typedef struct vertex {
    const iw_recipe *recipe;
    size_t *build, *run; /* as many as the recipe has */
    enum { VERTEX_NEW, VERTEX_OPEN, VERTEX_DONE } state;
    size_t place; /* in topological order, once it is done */
} vertex;

typedef struct graph {
    iw_catalog *catalog;
    const iw_stack *stack;
    vertex *vertices;
    size_t count, capacity;
    size_t *trail, depth, trail_capacity; /* open vertices, for the text of a cycle */
    size_t *order, done, order_capacity;
    iw_plan_clash *clash; /* borrowed, or NULL */
} graph;

int iw_fail_place(iw_error *err, const iw_place *place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    iw_cleanup_free char *text = iw_vformat(format, arguments);
    va_end(arguments);
    if (!place || !place->file) return iw_fail(err, IW_E_RECIPE, "%s", text);
    return iw_fail(err, IW_E_RECIPE, "%s:%d:%d: %s", place->file, place->line, place->column, text);
}

/* --- versions ------------------------------------------------------------- */

static const iw_pin *find_pin(const iw_pin *pins, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pins[i].name, name) == 0) return &pins[i];
    return NULL;
}

static const iw_pin *pin_of(const iw_stack *stack, const char *name)
{
    const iw_pin *pin = find_pin(stack->packages, stack->package_count, name);
    return pin ? pin : find_pin(stack->pins, stack->pin_count, name);
}

/* The version of a need that names none: the stack's, else the only one there is. */
static int choose_version(graph *g, const char *name, const iw_place *place, const char **version,
                          iw_error *err)
{
    const iw_pin *pin = pin_of(g->stack, name);
    if (pin) {
        *version = pin->version;
        return 0;
    }
    iw_list versions = {0};
    if (iw_catalog_versions(g->catalog, name, &versions, err) != 0)
        return iw_wrap(err, "%s:%d:%d", place->file, place->line, place->column);
    if (versions.count == 1) {
        *version = versions.items[0];
        return 0;
    }
    if (versions.count == 0) {
        iw_list names = {0};
        const char *near = iw_catalog_names(g->catalog, &names, NULL) == 0
                               ? iw_nearest(name, names.items, names.count)
                               : NULL;
        return iw_fail_place(err, place, "there is no recipe \"%s\"%s%s%s", name,
                             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    iw_cleanup_buffer iw_buffer list = {0};
    for (size_t i = 0; i < versions.count; i++)
        iw_buffer_add_format(&list, "%s%s", i ? ", " : "", versions.items[i]);
    if (g->clash)
        *g->clash = (iw_plan_clash){iw_strdup(name),
                                    {iw_strdup(versions.items[0]),
                                     iw_strdup(iw_version_newest(&versions))}};
    return iw_fail_place(err, place,
                         "stack \"%s\" doesn't say which %s: there are %s; name one in the stack "
                         "below \"pins\", or here as %s/%s",
                         g->stack->name, name, list.data, name, iw_version_newest(&versions));
}

/* --- growing -------------------------------------------------------------- */

static int visit(graph *g, const char *name, const char *version, const iw_place *place,
                 size_t *index, iw_error *err);

static int fail_cycle(graph *g, size_t again, const iw_place *place, iw_error *err)
{
    iw_cleanup_buffer iw_buffer path = {0};
    size_t from = 0;
    while (g->trail[from] != again) from++;
    for (size_t i = from; i < g->depth; i++)
        iw_buffer_add_format(&path, "%s → ", g->vertices[g->trail[i]].recipe->name);
    iw_buffer_add_text(&path, g->vertices[again].recipe->name);
    return iw_fail_place(err, place, "packages need each other in a circle: %s", path.data);
}

static int visit_needs(graph *g, const iw_needs *needs, size_t *out, iw_error *err)
{
    for (size_t i = 0; i < needs->count; i++) {
        const iw_need *need = &needs->items[i];
        const char *version = need->version;
        if (!version && choose_version(g, need->name, &need->place, &version, err) != 0) return -1;
        if (visit(g, need->name, version, &need->place, &out[i], err) != 0) return -1;
    }
    return 0;
}

static size_t add_vertex(graph *g, const iw_recipe *recipe)
{
    iw_grow((void **)&g->vertices, &g->capacity, g->count + 1, sizeof *g->vertices);
    g->vertices[g->count] =
        (vertex){.recipe = recipe,
                 .build = iw_alloc((recipe->build_needs.count + 1) * sizeof(size_t)),
                 .run = iw_alloc((recipe->run_needs.count + 1) * sizeof(size_t))};
    return g->count++;
}

static int visit(graph *g, const char *name, const char *version, const iw_place *place,
                 size_t *index, iw_error *err)
{
    size_t self = 0;
    while (self < g->count && (strcmp(g->vertices[self].recipe->name, name) != 0 ||
                               strcmp(g->vertices[self].recipe->version, version) != 0))
        self++;
    *index = self;
    if (self < g->count) {
        if (g->vertices[self].state == VERTEX_OPEN) return fail_cycle(g, self, place, err);
        return 0;
    }
    const iw_recipe *recipe = NULL;
    if (iw_catalog_recipe(g->catalog, name, version, &recipe, err) != 0) {
        /* What is wrong inside that recipe says where itself. */
        if (err && place->file && !iw_starts_with(iw_error_text(err), "recipes/"))
            iw_wrap(err, "%s:%d:%d", place->file, place->line, place->column);
        return -1;
    }
    self = add_vertex(g, recipe);
    g->vertices[self].state = VERTEX_OPEN;
    iw_grow((void **)&g->trail, &g->trail_capacity, g->depth + 1, sizeof *g->trail);
    g->trail[g->depth++] = self;
    size_t *build = g->vertices[self].build,
           *run = g->vertices[self].run; /* vertices may move meanwhile */
    if (visit_needs(g, &recipe->build_needs, build, err) != 0 ||
        visit_needs(g, &recipe->run_needs, run, err) != 0)
        return -1;
    g->depth--;
    g->vertices[self].state = VERTEX_DONE;
    g->vertices[self].place = g->done;
    iw_grow((void **)&g->order, &g->order_capacity, g->done + 1, sizeof *g->order);
    g->order[g->done++] = self;
    return 0;
}

/* --- closures ------------------------------------------------------------- */

/* Sets of nodes: one row of 64-bit words per node. */
typedef struct closures {
    uint64_t *words;
    size_t width;
} closures;

static uint64_t *row_of(const closures *c, size_t index)
{
    return c->words + index * c->width;
}

static void join(uint64_t *into, const uint64_t *from, size_t width)
{
    for (size_t i = 0; i < width; i++) into[i] |= from[i];
}

/* The run closure of every node, itself included. Nodes are in order, so that what is needed is
 * there already. */
static void run_closures(const iw_plan *plan, closures *c)
{
    c->width = plan->node_count / 64 + 1;
    c->words = iw_alloc(plan->node_count * c->width * sizeof *c->words + sizeof *c->words);
    for (size_t i = 0; i < plan->node_count; i++) {
        const iw_node *node = &plan->nodes[i];
        uint64_t *row = row_of(c, i);
        row[i / 64] |= (uint64_t)1 << i % 64;
        for (size_t j = 0; j < node->run_need_count; j++)
            join(row, row_of(c, node->run_needs[j]->index), c->width);
    }
}

static int by_name(const void *a, const void *b)
{
    const iw_recipe *x = (*(iw_node *const *)a)->recipe, *y = (*(iw_node *const *)b)->recipe;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->version, y->version);
}

static iw_node **take_set(iw_plan_body *body, const uint64_t *row, size_t *count)
{
    iw_plan *plan = &body->plan;
    iw_node **set = iw_arena_alloc(body->arena, (plan->node_count + 1) * sizeof(iw_node *));
    *count = 0;
    for (size_t i = 0; i < plan->node_count; i++)
        if (row[i / 64] >> i % 64 & 1) set[(*count)++] = &plan->nodes[i];
    if (*count > 1) qsort(set, *count, sizeof *set, by_name);
    return set;
}

/* Two versions of one package can't stand at one prefix. `who`: what they are laid for. */
static int check_versions(const iw_plan_body *body, iw_node *const *set, size_t count,
                          const iw_place *place, const char *who, iw_error *err)
{
    const iw_plan *plan = &body->plan;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(set[i]->recipe->name, set[i - 1]->recipe->name) != 0) continue;
        iw_cleanup_free char *one = iw_graph_path(plan, set[i - 1]),
                             *two = iw_graph_path(plan, set[i]);
        if (body->clash)
            *body->clash = (iw_plan_clash){iw_strdup(set[i]->recipe->name),
                                           {iw_strdup(set[i - 1]->recipe->version),
                                            iw_strdup(set[i]->recipe->version)}};
        return iw_fail_place(err, place,
                             "%s would hold two versions of %s: %s (%s) and %s (%s); let the "
                             "stack's \"pins\" or their recipes agree on one",
                             who, set[i]->recipe->name, set[i - 1]->recipe->version, one,
                             set[i]->recipe->version, two);
    }
    return 0;
}

void iw_plan_clash_clear(iw_plan_clash *clash)
{
    free(clash->name), free(clash->versions[0]), free(clash->versions[1]);
    *clash = (iw_plan_clash){0};
}

static int set_laid(iw_plan_body *body, const closures *c, iw_node *node, iw_error *err)
{
    uint64_t *row = iw_alloc(c->width * sizeof *row);
    for (size_t i = 0; i < node->build_need_count; i++)
        join(row, row_of(c, node->build_needs[i]->index), c->width);
    for (size_t i = 0; i < node->run_need_count; i++)
        join(row, row_of(c, node->run_needs[i]->index), c->width);
    node->laid = take_set(body, row, &node->laid_count);
    free(row);
    iw_cleanup_free char *who =
        iw_format("the prefix that %s %s is built with", node->recipe->name, node->recipe->version);
    return check_versions(body, node->laid, node->laid_count, &node->recipe->place, who, err);
}

static int set_bundle(iw_plan_body *body, const closures *c, iw_error *err)
{
    iw_plan *plan = &body->plan;
    uint64_t *row = iw_alloc(c->width * sizeof *row);
    for (size_t i = 0; i < plan->stack->package_count; i++) {
        const iw_node *node =
            iw_plan_find(plan, plan->stack->packages[i].name, plan->stack->packages[i].version);
        if (node) join(row, row_of(c, node->index), c->width);
    }
    size_t count;
    iw_node **set = take_set(body, row, &count);
    free(row);
    for (size_t i = 0; i < count; i++) set[i]->in_bundle = true;
    return check_versions(body, set, count,
                          plan->stack->package_count ? &plan->stack->packages[0].place : NULL,
                          "the bundle", err);
}

/* --- from the graph to nodes ---------------------------------------------- */

static iw_node **take_needs(iw_plan_body *body, const graph *g, const size_t *needs, size_t count)
{
    iw_node **out = iw_arena_alloc(body->arena, (count + 1) * sizeof *out);
    for (size_t i = 0; i < count; i++) out[i] = &body->plan.nodes[g->vertices[needs[i]].place];
    return out;
}

static int make_nodes(iw_plan_body *body, const graph *g, iw_error *err)
{
    iw_plan *plan = &body->plan;
    plan->node_count = g->done;
    plan->nodes = iw_arena_alloc(body->arena, (g->done + 1) * sizeof *plan->nodes);
    for (size_t i = 0; i < g->done; i++) {
        const vertex *v = &g->vertices[g->order[i]];
        iw_node *node = &plan->nodes[i];
        node->index = i;
        node->recipe = v->recipe;
        node->reason = "";
        node->build_need_count = v->recipe->build_needs.count;
        node->build_needs = take_needs(body, g, v->build, node->build_need_count);
        node->run_need_count = v->recipe->run_needs.count;
        node->run_needs = take_needs(body, g, v->run, node->run_need_count);
    }
    closures c;
    run_closures(plan, &c);
    int status = set_bundle(body, &c, err);
    for (size_t i = 0; i < plan->node_count && status == 0; i++)
        status = set_laid(body, &c, &plan->nodes[i], err);
    free(c.words);
    return status;
}

int iw_graph_make(iw_catalog *catalog, iw_plan_body *body, iw_error *err)
{
    graph g = {.catalog = catalog, .stack = body->plan.stack, .clash = body->clash};
    int status = 0;
    for (size_t i = 0; i < g.stack->package_count && status == 0; i++) {
        const iw_pin *pin = &g.stack->packages[i];
        size_t index;
        status = visit(&g, pin->name, pin->version, &pin->place, &index, err);
    }
    if (status == 0) status = make_nodes(body, &g, err);
    for (size_t i = 0; i < g.count; i++) {
        free(g.vertices[i].build);
        free(g.vertices[i].run);
    }
    free(g.vertices);
    free(g.trail);
    free(g.order);
    return status;
}

/* --- paths ---------------------------------------------------------------- */

static bool needs(const iw_node *node, const iw_node *other)
{
    for (size_t i = 0; i < node->build_need_count; i++)
        if (node->build_needs[i] == other) return true;
    for (size_t i = 0; i < node->run_need_count; i++)
        if (node->run_needs[i] == other) return true;
    return false;
}

static bool is_package(const iw_stack *stack, const iw_node *node)
{
    const iw_pin *pin = find_pin(stack->packages, stack->package_count, node->recipe->name);
    return pin && strcmp(pin->version, node->recipe->version) == 0;
}

char *iw_graph_path(const iw_plan *plan, const iw_node *node)
{
    /* Breadth first, from the node upwards; what needs it stands behind it. */
    size_t *next = iw_alloc((plan->node_count + 1) * sizeof *next),
           *queue = iw_alloc((plan->node_count + 1) * sizeof *queue), head = 0, tail = 0;
    bool *seen = iw_alloc(plan->node_count + 1);
    iw_buffer out = {0};
    iw_buffer_add_text(&out, plan->stack->name);
    queue[tail++] = node->index;
    seen[node->index] = true;
    next[node->index] = node->index;
    while (head < tail) {
        size_t at = queue[head++];
        if (is_package(plan->stack, &plan->nodes[at])) {
            for (;; at = next[at]) {
                iw_buffer_add_format(&out, " → %s", plan->nodes[at].recipe->name);
                if (next[at] == at) break;
            }
            break;
        }
        for (size_t i = at + 1; i < plan->node_count; i++) {
            if (seen[i] || !needs(&plan->nodes[i], &plan->nodes[at])) continue;
            seen[i] = true;
            next[i] = at;
            queue[tail++] = i;
        }
    }
    free(next);
    free(queue);
    free(seen);
    return iw_buffer_take(&out);
}
