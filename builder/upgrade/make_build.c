/* Building a draft, and learning from what goes wrong, in bounded rounds. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "recipe/version.h"
#include "upgrade/ask.h"
#include "upgrade/learn.h"
#include "upgrade/maker.h"

enum { ROUNDS = 16, LOG_BYTES = 128 << 10 };

/* --- the temporary stack -------------------------------------------------- */

int iw_maker_stack(const iw_maker *maker, const iw_sketch *draft, iw_error *err)
{
    iw_cleanup_buffer iw_buffer text = {0};
    iw_cleanup_strings iw_strings except = {0};
    iw_strings_add_format(&except, "%s ", draft->name);
    iw_strings_add(&except, "python ");
    iw_buffer_add_format(&text,
                         "name: new-%s\nversion: %s\nsummary: What was drafted of %s\ntoolchain: "
                         "%s\nprofiles: [%s]\npackages:\n  python: %s\n  %s: %s\npins:\n",
                         draft->name, draft->version, draft->name, maker->toolchain,
                         maker->options->profile, maker->python, draft->name, draft->version);
    size_t before = text.length;
    if (iw_rig_pins(&maker->rig, &maker->wanted, &except, &text, err) != 0) return -1;
    if (text.length == before) {
        text.length -= strlen("pins:\n");
        text.data[text.length] = 0;
    }
    iw_cleanup_free char *path = iw_format("recipes/stacks/new-%s.yaml", draft->name);
    return iw_rig_write(&maker->rig, path, text.data, err);
}

/* --- one try -------------------------------------------------------------- */

struct failure {
    const iw_sink *next;
    char *subject, *log; /* the first package that failed */
};

static void on_event(void *context, const iw_event *event)
{
    struct failure *failure = context;
    if (event->type == IW_EVENT_FAILED && event->subject && !failure->subject) {
        failure->subject = iw_strdup(event->subject);
        failure->log = event->path ? iw_strdup(event->path) : NULL;
    }
    if (event->type != IW_EVENT_RESULT) iw_emit(failure->next, *event);
}

static void failure_clear(struct failure *failure)
{
    free(failure->subject);
    free(failure->log);
    failure->subject = failure->log = NULL;
}

/* What is installed, as far as it tells of modules and needs. */
static int read_installed(iw_maker *maker, const iw_session *session, const iw_sketch *draft,
                          json_t **answer, iw_error *err)
{
    iw_node *node;
    iw_cleanup_free char *folder = NULL;
    if (iw_session_node(session, draft->name, &node, err) != 0 ||
        iw_temporary_folder(maker->rig.folder, "read-", &folder, err) != 0)
        return -1;
    iw_cleanup_free char *source = iw_path_join(folder, "src");
    int status = iw_make_folders(source, 0755, err);
    if (status == 0)
        status = iw_store_lay_artifact(maker->store, &node->artifact, source, NULL, err);
    if (status == 0)
        status = iw_ask(maker->root, maker->rig.folder, folder, "installed", answer, err);
    iw_remove_tree(folder, NULL);
    return status;
}

/* Modules for the check, and the needs that only the built metadata tell. *changed: the recipe is
 * another one now. */
static int take_installed(iw_maker *maker, iw_entry *entry, const json_t *answer, bool *changed,
                          iw_error *err)
{
    iw_sketch *draft = &entry->draft;
    const json_t *one = json_array_get(json_object_get(answer, "distributions"), 0), *item;
    size_t i;
    *changed = false;
    json_array_foreach(json_object_get(one, "modules"), i, item)
    {
        const char *module = json_string_value(item);
        if (module && draft->modules.count < 24 && !iw_strings_has(&entry->dropped, module))
            *changed |= iw_sketch_add(&draft->modules, module);
    }
    json_array_foreach(json_object_get(one, "run"), i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name")),
                   *spec = json_string_value(json_object_get(item, "spec"));
        iw_cleanup_free char *need = NULL, *why = NULL;
        if (!name || strcmp(name, draft->project) == 0) continue;
        if (iw_maker_need(maker, name, spec, true, &need, &why, err) != 0) return -1;
        if (need) *changed |= iw_sketch_need(&draft->run, need);
        if (why) iw_sketch_add(&draft->todo, why);
    }
    return 0;
}

static iw_deliver_options deliver_options(const iw_maker *maker, const iw_sink *sink,
                                          const char *output)
{
    iw_deliver_options options = maker->options->deliver;
    options.root = maker->rig.tree;
    options.output = output;
    options.level = 1;
    options.sink = sink;
    return options;
}

/* Builds the package alone, reads what came of it, then (`again` false) audits it, runs its checks
 * and bundles it. *again: the recipe changed by what was read. */
static int try_once(iw_maker *maker, iw_entry *entry, struct failure *failure, bool *again,
                    iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_session session = {0};
    json_t *answer = NULL;
    iw_sink sink = {.emit = on_event, .context = failure};
    iw_cleanup_free char *name = iw_format("new-%s", entry->draft.name),
                         *output = iw_path_join(maker->rig.folder, "dist");
    iw_deliver_options options = deliver_options(maker, &sink, output);
    *again = false;
    if (iw_catalog_open(maker->rig.tree, &catalog, err) != 0) return -1;
    int status = iw_session_open(catalog, maker->store, name, &options, &session, err);
    if (status == 0) status = iw_session_build_packages(&session, err);
    if (status == 0) status = read_installed(maker, &session, &entry->draft, &answer, err);
    if (status == 0) status = take_installed(maker, entry, answer, again, err);
    bool needed = maker->options->part ||
                  maker->open.count > 1; /* then the bundle of what needs it checks it, too */
    if (status == 0 && !*again && !needed && entry->draft.todo.count == 0)
        status = iw_session_bundle(&session, true, err);
    json_decref(answer);
    iw_session_close(&session);
    iw_catalog_free(catalog);
    iw_remove_tree(output, NULL);
    return status;
}

/* --- learning ------------------------------------------------------------- */

static char *end_of(const char *path)
{
    iw_cleanup_free char *text = NULL;
    size_t length = 0;
    if (!path || iw_read_file(path, 256 << 20, &text, &length, NULL) != 0) return iw_strdup("");
    iw_cleanup_free char *end = iw_strdup(length > LOG_BYTES ? text + (length - LOG_BYTES) : text);
    return iw_steal(&end);
}

static void note(const iw_maker *maker, iw_entry *entry, const char *text)
{
    iw_cleanup_free char *subject = iw_format("%s/%s", entry->draft.name, entry->draft.version);
    iw_strings_add(&entry->edits, text);
    iw_emit(maker->options->deliver.sink,
            (iw_event){.type = IW_EVENT_NOTE, .subject = subject, .detail = text});
}

/* A package that this tree has a recipe of? */
static bool has_recipe(const iw_maker *maker, const char *name)
{
    iw_cleanup_free char *folder = iw_path_join3(maker->rig.tree, "recipes", name);
    return iw_exists(folder);
}

/* Whether a recipe needs `to` to run, or one of those that it needs does. */
static int leads_to(iw_catalog *catalog, const char *from, const char *to, iw_strings *seen,
                    bool *leads, iw_error *err)
{
    const iw_recipe *recipe;
    iw_cleanup_free char *name = iw_strndup(from, strcspn(from, "/"));
    const char *version = from[strlen(name)] ? from + strlen(name) + 1 : NULL;
    *leads = strcmp(name, to) == 0;
    if (*leads || iw_strings_has(seen, name)) return 0;
    iw_strings_add(seen, name);
    if ((!version && iw_rig_usual(catalog, name, &version, err) != 0) ||
        (version && iw_catalog_recipe(catalog, name, version, &recipe, err) != 0))
        return -1;
    for (size_t i = 0; version && i < recipe->run_needs.count && !*leads; i++)
        if (leads_to(catalog, recipe->run_needs.items[i].name, to, seen, leads, err) != 0)
            return -1;
    return 0;
}

/* What needs this package can't be among its needs. *why (owned; NULL: it may be) is a question. */
static int check_circle(const iw_maker *maker, const iw_entry *entry, const char *need,
                        const char *missing, char **why, iw_error *err)
{
    iw_catalog *catalog = NULL;
    iw_cleanup_strings iw_strings seen = {0};
    const char *name = entry->draft.name;
    bool circle = false;
    if (iw_catalog_open(maker->rig.tree, &catalog, err) != 0) return -1;
    int status = leads_to(catalog, need, name, &seen, &circle, err);
    iw_catalog_free(catalog);
    if (status == 0 && circle)
        *why = iw_format("it imports %s, and %s, which has that, needs %s: recipes can't need each "
                         "other. Leave the need out here, and its check; a stack that names both "
                         "has what it wants",
                         missing, need, name);
    return status;
}

static int learn_project(iw_maker *maker, iw_entry *entry, const iw_lesson *lesson, bool *changed,
                         iw_error *err)
{
    iw_cleanup_free char *need = NULL, *why = NULL;
    if (strcmp(lesson->what, entry->draft.project) == 0) return 0;
    if (iw_maker_need(maker, lesson->what, lesson->conditions ? lesson->conditions : "",
                      lesson->run, &need, &why, err) != 0 ||
        (need && lesson->run && check_circle(maker, entry, need, lesson->missing, &why, err) != 0))
        return -1;
    if (need && !why)
        *changed = iw_sketch_need(lesson->run ? &entry->draft.run : &entry->draft.build, need);
    if (why) iw_sketch_add(&entry->draft.todo, why);
    if (!*changed) return 0;
    iw_cleanup_free char *text = iw_format("%s is missing: %s, needed to %s", lesson->missing, need,
                                           lesson->run ? "run" : "build");
    note(maker, entry, text);
    return 0;
}

static void learn_piece(iw_maker *maker, iw_entry *entry, const iw_lesson *lesson, bool *changed)
{
    iw_sketch *draft = &entry->draft;
    if (lesson->what && has_recipe(maker, lesson->what)) {
        *changed = iw_sketch_need(&draft->run, lesson->what);
        if (!lesson->run && iw_sketch_need(&draft->build, lesson->what)) *changed = true;
        iw_cleanup_free char *text =
            iw_format("%s is missing: %s has it", lesson->missing, lesson->what);
        if (*changed) note(maker, entry, text);
        if (*changed) return;
    }
    iw_cleanup_free char *text =
        iw_format("%s is missing%s%s%s", lesson->missing,
                  lesson->debian ? "; Debian's "
                                 : "; no package of the toolchain or recipe is known "
                                   "to have it",
                  lesson->debian ? lesson->debian : "",
                  lesson->debian ? " has it: it wants a recipe of its own" : "");
    iw_sketch_add(&draft->todo, text);
}

static void learn_tool(iw_entry *entry, const iw_lesson *lesson)
{
    iw_cleanup_free char *text =
        iw_format("the toolchain has no program %s%s%s%s", lesson->missing,
                  lesson->debian ? "; Debian's " : "", lesson->debian ? lesson->debian : "",
                  lesson->debian ? " has it" : "");
    iw_sketch_add(&entry->draft.todo, text);
}

/* The other version of a package that would be laid twice: the newest there is. */
static void learn_pin(iw_maker *maker, iw_entry *entry, const char *name, bool *changed)
{
    const char *best = NULL;
    for (size_t i = 0; i < entry->draft.build.count; i++) {
        const char *need = entry->draft.build.items[i], *slash = strchr(need, '/');
        if (slash && strncmp(need, name, strlen(name)) == 0 && need[strlen(name)] == '/')
            best = slash + 1;
    }
    iw_cleanup_free char *line = iw_format("%s %s", name, best ? best : "");
    if (!best || iw_strings_has(&maker->wanted, line)) return;
    for (size_t i = 0; i < maker->wanted.count; i++)
        if (strncmp(maker->wanted.items[i], line, strlen(name) + 1) == 0) return;
    iw_strings_add(&maker->wanted, line);
    iw_cleanup_free char *text = iw_format("its build tools need %s, too: a stack that takes it "
                                           "pins %s",
                                           name, line);
    note(maker, entry, text);
    *changed = true;
}

/* A module that needs what the package doesn't ask for: left out of the checks, if others remain.
 */
static bool drop_module(iw_maker *maker, iw_entry *entry, const char *message)
{
    iw_strings *modules = &entry->draft.modules, kept = {0};
    for (size_t i = 0; i < modules->count; i++) {
        iw_cleanup_free char *line =
            iw_format("  import %s of %s ", modules->items[i], entry->draft.name);
        if (!strstr(message, line)) iw_strings_add(&kept, modules->items[i]);
    }
    if (kept.count == 0 || kept.count == modules->count) {
        iw_strings_free(&kept);
        return false;
    }
    iw_cleanup_buffer iw_buffer text = {0};
    iw_buffer_add_text(&text, "not imported by its check, for want of what it doesn't ask for:");
    for (size_t i = 0; i < modules->count; i++)
        if (!iw_strings_has(&kept, modules->items[i])) {
            iw_buffer_add_format(&text, " %s", modules->items[i]);
            iw_strings_add(&entry->dropped, modules->items[i]);
        }
    note(maker, entry, text.data);
    iw_strings_free(modules);
    *modules = kept;
    return true;
}

static int apply(iw_maker *maker, iw_entry *entry, const iw_lesson *lesson, const char *message,
                 bool *changed, iw_error *err)
{
    iw_sketch *draft = &entry->draft;
    *changed = false;
    switch (lesson->kind) {
    case IW_LESSON_PYTHON_NEED:
        if (lesson->run && drop_module(maker, entry, message)) *changed = true;
        else return learn_project(maker, entry, lesson, changed, err);
        break;
    case IW_LESSON_NEED: learn_piece(maker, entry, lesson, changed); break;
    case IW_LESSON_TOOL: learn_tool(entry, lesson); break;
    case IW_LESSON_ENVIRONMENT: *changed = iw_sketch_add(&draft->environment, lesson->what); break;
    case IW_LESSON_DENY_FLAGS:
        *changed = !draft->deny_flags;
        draft->deny_flags = true;
        if (*changed)
            note(maker, entry, "code for newer CPUs: its flags are refused (`flags: deny`)");
        break;
    case IW_LESSON_PIN: learn_pin(maker, entry, lesson->what, changed); break;
    case IW_LESSON_DROP_MODULE: *changed = drop_module(maker, entry, message); break;
    case IW_LESSON_QUESTION: iw_sketch_add(&draft->todo, lesson->what); break;
    case IW_LESSON_NONE: break;
    }
    return 0;
}

/* Without the path of the copy of the tree, which goes. Caller frees. */
static char *without_copy(const iw_maker *maker, const char *text)
{
    iw_cleanup_free char *top = iw_format("%s/", maker->rig.tree);
    iw_buffer out = {0};
    for (const char *at; (at = strstr(text, top)) != NULL; text = at + strlen(top))
        iw_buffer_add(&out, text, (size_t)(at - text));
    iw_buffer_add_text(&out, text);
    return iw_buffer_take(&out);
}

/* One sentence for what nobody can mend here. */
static void give_up(const iw_maker *maker, iw_entry *entry, const iw_lesson *lesson,
                    const char *message)
{
    iw_slice rest = iw_slice_of(message), first = {"", 0};
    iw_slice_next(&rest, '\n', &first);
    iw_cleanup_free char *text =
        lesson->kind == IW_LESSON_NONE && lesson->what ? iw_strdup(lesson->what)
        : lesson->missing ? iw_format("%s is still missing, though %s is among its needs",
                                      lesson->missing, lesson->what ? lesson->what : "what has it")
                          : iw_strndup(first.data, first.length);
    if (strstr(message, "hold instructions that")) {
        free(text);
        iw_slice_next(&rest, '\n', &first);
        text = iw_format("holds instructions that the CPU doesn't have, in %.*s: which option or "
                         "file do they come from?",
                         (int)iw_slice_trim(first).length, iw_slice_trim(first).data);
    }
    iw_cleanup_free char *shown = without_copy(maker, text);
    iw_sketch_add(&entry->draft.todo, shown);
}

static int learn(iw_maker *maker, iw_entry *entry, const char *message,
                 const struct failure *failure, bool *again, iw_error *err)
{
    iw_cleanup_free char *log = end_of(failure->log),
                         *self = iw_format("%s/%s", entry->draft.name, entry->draft.version);
    iw_lesson lesson;
    if (failure->subject && strchr(failure->subject, '/') && strcmp(failure->subject, self) != 0) {
        iw_cleanup_free char *line =
            iw_telling_line(message, log); /* teaches nothing of this one */
        iw_strings_add_format(&entry->draft.todo, "its need %s doesn't build: %s", failure->subject,
                              line);
        return 0;
    }
    iw_learn(entry->draft.name, entry->draft.version, message, log, &lesson);
    int status = apply(maker, entry, &lesson, message, again, err);
    if (status == 0 && !*again && entry->draft.todo.count == 0)
        give_up(maker, entry, &lesson, message);
    iw_lesson_clear(&lesson);
    return status;
}

/* --- the loop ------------------------------------------------------------- */

static int write_draft(const iw_maker *maker, const iw_entry *entry, iw_error *err)
{
    iw_sketch shown = entry->draft; /* what is to do doesn't keep it from being tried */
    shown.todo = (iw_strings){0};
    iw_cleanup_free char *text = iw_sketch_text(&shown),
                         *path = iw_format("recipes/%s/%s.yaml", shown.name, shown.version);
    return iw_rig_write(&maker->rig, path, text, err);
}

static bool hopeless(const iw_error *err)
{
    return err->kind == IW_E_CANCELLED || err->kind == IW_E_ENVIRONMENT || err->kind == IW_E_IO;
}

static int one_round(iw_maker *maker, iw_entry *entry, bool *again, iw_error *err)
{
    struct failure failure = {.next = maker->options->deliver.sink};
    iw_error trouble = IW_ERROR_INIT;
    if (write_draft(maker, entry, err) != 0 || iw_maker_stack(maker, &entry->draft, err) != 0)
        return -1;
    int status = try_once(maker, entry, &failure, again, &trouble);
    if (status == 0) entry->built = !*again && entry->draft.todo.count == 0;
    else if (hopeless(&trouble)) {
        iw_fail(err, trouble.kind, "%s", iw_error_text(&trouble));
    } else status = learn(maker, entry, iw_error_text(&trouble), &failure, again, err);
    iw_error_clear(&trouble);
    failure_clear(&failure);
    return status;
}

int iw_maker_build(iw_maker *maker, iw_entry *entry, iw_error *err)
{
    bool again = entry->draft.todo.count == 0;
    for (int round = 0; again && round < ROUNDS; round++) {
        if (one_round(maker, entry, &again, err) != 0) return -1;
        if (entry->draft.todo.count) break;
    }
    if (!entry->built && entry->draft.todo.count == 0)
        iw_sketch_add(&entry->draft.todo,
                      "every try taught something, and it still fails: its last log says how");
    if (!entry->built) entry->cause = iw_strdup(entry->draft.todo.items[0]);
    return 0;
}
