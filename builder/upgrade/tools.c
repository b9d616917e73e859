#include "upgrade/tools.h"

#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/path.h"
#include "plan/plan.h"
#include "recipe/version.h"
#include "upgrade/edit.h"

#define STACK_LIMIT ((size_t)1 << 20)
enum { MOST_TOOLS = 100 };

static bool names_itself(const iw_stack *stack, const char *tool)
{
    const iw_pin *pin = iw_find_pin(stack->pins, stack->pin_count, tool);
    return (pin && strcmp(pin->place.file, stack->path) == 0) ||
           iw_find_pin(stack->packages, stack->package_count, tool);
}

static int put_pin(const char *draft, const iw_stack *stack, const char *tool, const char *version,
                   iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(draft, stack->path), *text = NULL;
    if (iw_read_file(path, STACK_LIMIT, &text, NULL, err) != 0) return -1;
    iw_cleanup_free char *edited = iw_edit_stack(text, stack, tool, version);
    return iw_write_passing(path, edited, strlen(edited), 0644, err);
}

/* The first clash that a pin may settle; *settled says whether there was one. */
static int settle_one(const char *draft, const iw_stack *own, const json_t *never, json_t *pinned,
                      bool *settled, iw_error *err)
{
    iw_catalog *catalog = NULL;
    const iw_stack *stack;
    iw_plan *plan = NULL;
    iw_plan_clash clash = {0};
    iw_plan_options options = {.graph = true, .clash = &clash};
    int status = iw_catalog_open(draft, &catalog, err);
    if (status == 0) status = iw_catalog_stack(catalog, own->name, &stack, err);
    if (status == 0 && iw_plan_make(catalog, NULL, stack, &options, &plan, NULL) != 0 &&
        clash.name && !json_object_get(never, clash.name) && !json_object_get(pinned, clash.name) &&
        !names_itself(own, clash.name)) {
        bool second = iw_version_compare_text(clash.versions[1], clash.versions[0]) > 0;
        iw_json_set(pinned, clash.name, clash.versions[second]);
        status = put_pin(draft, stack, clash.name, clash.versions[second], err);
        *settled = true;
    }
    iw_plan_clash_clear(&clash);
    iw_plan_free(plan);
    iw_catalog_free(catalog);
    return status;
}

int iw_settle_tools(const char *draft, const iw_stack *stack, const json_t *never, json_t *pinned,
                    iw_error *err)
{
    bool settled = true;
    for (size_t i = 0; i < MOST_TOOLS && settled; i++) {
        settled = false;
        if (settle_one(draft, stack, never, pinned, &settled, err) != 0) return -1;
    }
    return 0;
}
