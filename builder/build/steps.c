#include "build/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/path.h"
#include "build/box.h"
#include "build/sandbox.h"
#include "store/archive.h"

const iw_step_paths iw_step_paths_boxed = {IW_PREFIX, "/build", IW_PREFIX "/bin:/usr/bin:/bin",
                                           IW_RUN_FOLDER "/objects", NULL};

/* --- ${NAME} in a recipe's values ----------------------------------------- */

typedef struct known {
    const char *name, *value;
} known;

static char *expand(const char *text, const known *names, size_t count)
{
    iw_buffer out = {0};
    while (*text) {
        size_t taken = 0;
        for (size_t i = 0; i < count && !taken && text[0] == '$' && text[1] == '{'; i++) {
            size_t length = strlen(names[i].name);
            if (strncmp(text + 2, names[i].name, length) || text[2 + length] != '}') continue;
            iw_buffer_add_text(&out, names[i].value);
            taken = length + 3;
        }
        if (!taken) iw_buffer_add_char(&out, *text);
        text += taken ? taken : 1;
    }
    return iw_buffer_take(&out);
}

/* --- scripts -------------------------------------------------------------- */

/* Words of a list, quoted, with ${PREFIX} and the like left for the shell to replace. */
static void add_words(iw_buffer *out, iw_list words)
{
    static const known shell[] = {{"PREFIX", "'\"$PREFIX\"'"},
                                  {"DESTDIR", "'\"$DESTDIR\"'"},
                                  {"SRC", "'\"$SRC\"'"},
                                  {"JOBS", "'\"$JOBS\"'"},
                                  {"FILES", "'\"$FILES\"'"}};
    for (size_t i = 0; i < words.count; i++) {
        iw_buffer_add_char(out, ' ');
        iw_cleanup_free char *quoted = iw_shell_quote(words.items[i]);
        iw_cleanup_free char *expanded = expand(quoted, shell, sizeof shell / sizeof *shell);
        iw_buffer_add_text(out, expanded);
    }
}

/* Whether one of the words is a target of make: neither a variable nor an option. */
static bool has_target(iw_list words)
{
    for (size_t i = 0; i < words.count; i++)
        if (words.items[i][0] != '-' && !strchr(words.items[i], '=')) return true;
    return false;
}

static void make_install(iw_buffer *out, const iw_build *build, const char *variables)
{
    iw_buffer_add_format(out, "make DESTDIR=\"$DESTDIR\"%s", variables);
    add_words(out, build->install);
    if (!has_target(build->install)) iw_buffer_add_text(out, " install");
}

static void configure_script(iw_buffer *out, const iw_build *build)
{
    if (build->system == IW_SYSTEM_AUTOTOOLS)
        iw_buffer_add_text(out, "./configure --prefix=\"$PREFIX\" --libdir=\"$PREFIX/lib\"");
    else if (build->system == IW_SYSTEM_CMAKE)
        iw_buffer_add_text(
            out,
            "cmake -G Ninja -S . -B \"$IRONWHEEL_BUILD/cmake\" -DCMAKE_INSTALL_PREFIX=\"$PREFIX\" "
            "-DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_LIBDIR=lib");
    else return;
    add_words(out, build->arguments);
}

static void compile_script(iw_buffer *out, const iw_build *build)
{
    switch (build->system) {
    case IW_SYSTEM_AUTOTOOLS:
    case IW_SYSTEM_MAKE:
        iw_buffer_add_text(out, "make -j\"$JOBS\"");
        add_words(out, build->make);
        break;
    case IW_SYSTEM_CMAKE:
        iw_buffer_add_text(out, "cmake --build \"$IRONWHEEL_BUILD/cmake\" --parallel \"$JOBS\"");
        add_words(out, build->make);
        break;
    case IW_SYSTEM_PYTHON:
        iw_buffer_add_text(out, "python3 -m pip wheel -v --no-build-isolation --no-deps --no-index "
                                "--wheel-dir \"$IRONWHEEL_BUILD/wheel\" .");
        add_words(out, build->arguments);
        break;
    case IW_SYSTEM_CARGO:
        iw_buffer_add_text(out, "cargo build --release --offline --frozen");
        add_words(out, build->arguments);
        break;
    case IW_SYSTEM_WHEEL:
    case IW_SYSTEM_SCRIPT: break;
    }
}

#define PIP                                                                                        \
    "python3 -m pip install --no-deps --no-index --no-compile --no-warn-script-location "          \
    "--ignore-installed --root \"$DESTDIR\" --prefix \"$PREFIX\""

/* pip installs files only, and takes the tags from their names: what was unpacked for patches
 * becomes a wheel again, uncompressed. It holds its RECORD to nothing, and finishing writes a new
 * one. */
static char *packed_again(const iw_recipe *recipe)
{
    static const char program[] =
        "import os, sys, zipfile\n"
        "with zipfile.ZipFile(sys.argv[1], \"w\", strict_timestamps=False) as wheel:\n"
        "    for folder, folders, files in os.walk(\".\"):\n"
        "        folders[:] = sorted(set(folders) - {\".iw\"})\n"
        "        for file in sorted(files):\n"
        "            wheel.write(os.path.join(folder, file))\n";
    iw_cleanup_free char *name = iw_shell_quote(recipe->sources[0].file);
    return iw_format("mkdir -p \"$IRONWHEEL_BUILD/wheel\"\ncd \"$SRC\"\npython3 -c '%s' "
                     "\"$IRONWHEEL_BUILD\"/wheel/%s\n" PIP " \"$IRONWHEEL_BUILD\"/wheel/%s",
                     program, name, name);
}

static void install_script(iw_buffer *out, const iw_build *build)
{
    switch (build->system) {
    case IW_SYSTEM_AUTOTOOLS: make_install(out, build, ""); break;
    case IW_SYSTEM_MAKE: make_install(out, build, " PREFIX=\"$PREFIX\""); break;
    case IW_SYSTEM_CMAKE:
        iw_buffer_add_text(out, "cmake --install \"$IRONWHEEL_BUILD/cmake\"");
        add_words(out, build->install);
        break;
    case IW_SYSTEM_PYTHON: iw_buffer_add_text(out, PIP " \"$IRONWHEEL_BUILD\"/wheel/*.whl"); break;
    case IW_SYSTEM_CARGO:
        iw_buffer_add_text(
            out, "cargo install --offline --frozen --no-track --path . --root \"$DESTDIR$PREFIX\"");
        add_words(out, build->arguments);
        break;
    case IW_SYSTEM_WHEEL: iw_buffer_add_text(out, PIP " \"$SRC\"/*.whl"); break;
    case IW_SYSTEM_SCRIPT: break;
    }
}

static void add_step(iw_step *steps, size_t *count, const char *phase, const char *folder,
                     char *script)
{
    if (script && *script) {
        steps[*count] = (iw_step){phase, iw_strdup(folder), script};
        (*count)++;
    } else free(script);
}

/* The recipe's own text, else what the build system runs. */
static char *either(const char *own, void (*usual)(iw_buffer *, const iw_build *),
                    const iw_build *build)
{
    if (own) return iw_strdup(own);
    iw_buffer out = {0};
    usual(&out, build);
    return iw_buffer_take(&out);
}

size_t iw_steps_make(const iw_recipe *recipe, const iw_step_paths *paths,
                     iw_step steps[IW_STEP_LIMIT])
{
    const iw_build *build = &recipe->build;
    iw_cleanup_free char *source = iw_path_join(paths->build, "src");
    iw_cleanup_free char *joined = iw_path_join(source, build->directory);
    iw_cleanup_free char *folder = iw_path_clean(joined);
    iw_cleanup_free char *tree = iw_format("%s/out%s", paths->build, paths->prefix);
    size_t count = 0;
    add_step(steps, &count, "prepare", folder, iw_strdup(build->prepare));
    add_step(steps, &count, "configure", folder, either(build->configure, configure_script, build));
    add_step(steps, &count, "compile", folder, either(build->compile, compile_script, build));
    bool patched =
        build->system == IW_SYSTEM_WHEEL && recipe->patch_count && !build->install_script;
    add_step(steps, &count, "install", folder,
             patched ? packed_again(recipe) : either(build->install_script, install_script, build));
    add_step(steps, &count, "finish", tree, iw_strdup(build->finish));
    return count;
}

void iw_steps_free(iw_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(steps[i].folder);
        free(steps[i].script);
    }
}

/* --- environment ---------------------------------------------------------- */

static void set(iw_strings *out, const char *name, const char *value)
{
    iw_cleanup_free char *start = iw_format("%s=", name);
    iw_cleanup_free char *whole = iw_format("%s=%s", name, value);
    for (size_t i = 0; i < out->count; i++) {
        if (!iw_starts_with(out->items[i], start)) continue;
        free(out->items[i]);
        out->items[i] = iw_steal(&whole);
        return;
    }
    iw_strings_add(out, whole);
}

static void set_format(iw_strings *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_format(iw_strings *out, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    iw_cleanup_free char *value = iw_vformat(format, arguments);
    va_end(arguments);
    set(out, name, value);
}

static void set_places(iw_strings *out, const iw_step_paths *paths, unsigned jobs)
{
    set(out, "PREFIX", paths->prefix);
    set_format(out, "DESTDIR", "%s/out", paths->build);
    set_format(out, "SRC", "%s/src", paths->build);
    set_format(out, "FILES", "%s/files", paths->build);
    set_format(out, "HOME", "%s/home", paths->build);
    set_format(out, "TMPDIR", "%s/tmp", paths->build);
    set_format(out, "CARGO_TARGET_DIR", "%s/target", paths->build);
    set(out, "IRONWHEEL_BUILD", paths->build);
    set(out, "PATH", paths->path);
    set_format(out, "JOBS", "%u", jobs);
    set_format(out, "CMAKE_BUILD_PARALLEL_LEVEL", "%u", jobs);
    set_format(out, "CPPFLAGS", "-I%s/include", paths->prefix);
    /* A program that a step builds and runs finds the prefix's libraries; finishing makes the run
     * path relative. */
    set_format(out, "LDFLAGS", "-L%s/lib -Wl,-rpath,%s/lib", paths->prefix, paths->prefix);
    set_format(out, "PKG_CONFIG_PATH", "%s/lib/pkgconfig:%s/share/pkgconfig", paths->prefix,
               paths->prefix);
    set(out, "CMAKE_PREFIX_PATH", paths->prefix);
    set(out, "IRONWHEEL_OBJECTS", paths->objects);
    if (!paths->run) return;
    set_format(out, "IRONWHEEL_POLICY", "%s/policy", paths->run);
    set_format(out, "IRONWHEEL_BROKER", "%s/broker", paths->run);
}

static void set_fixed(iw_strings *out)
{
    static const char *const fixed[][2] = {
        /* clang-format off */
        {"LC_ALL", "C.UTF-8"},       {"TZ", "UTC"},
        {"PYTHONHASHSEED", "0"},     {"PYTHONNOUSERSITE", "1"},
        {"USER", "builder"},         {"LOGNAME", "builder"},
        {"SHELL", "/bin/sh"},        {"TERM", "dumb"},
        {"CARGO_NET_OFFLINE", "true"}, {"PIP_DISABLE_PIP_VERSION_CHECK", "1"},
        {"PIP_NO_CACHE_DIR", "1"},   {"PIP_NO_INDEX", "1"},
        {"PIP_ROOT_USER_ACTION", "ignore"}, {"PIP_CONFIG_FILE", "/dev/null"},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) set(out, fixed[i][0], fixed[i][1]);
    set_format(out, "SOURCE_DATE_EPOCH", "%d", IW_ARCHIVE_TIME);
}

void iw_step_environment(const iw_recipe *recipe, const iw_profile *profile,
                         const iw_step_paths *paths, unsigned jobs, iw_strings *out)
{
    static const char *const flags[] = {"CFLAGS", "CXXFLAGS", "FFLAGS", NULL};
    const iw_build *build = &recipe->build;
    set_places(out, paths, jobs);
    set_fixed(out);
    for (size_t i = 0; flags[i]; i++) set(out, flags[i], build->optimise);
    set(out, "IRONWHEEL_OPENBLAS_TARGET", profile->openblas_target ? profile->openblas_target : "");
    set(out, "IRONWHEEL_NUMPY_BASELINE", profile->numpy_baseline ? profile->numpy_baseline : "");
    set(out, "IRONWHEEL_RUST_CPU", profile->rust_cpu ? profile->rust_cpu : "");
    iw_cleanup_free char *destdir = iw_format("%s/out", paths->build),
                         *src = iw_format("%s/src", paths->build);
    iw_cleanup_free char *files = iw_format("%s/files", paths->build),
                         *count = iw_format("%u", jobs);
    const known names[] = {{"PREFIX", paths->prefix},
                           {"DESTDIR", destdir},
                           {"SRC", src},
                           {"JOBS", count},
                           {"FILES", files}};
    for (size_t i = 0; i < build->environment_count; i++) {
        iw_cleanup_free char *value =
            expand(build->environment[i].value, names, sizeof names / sizeof *names);
        set(out, build->environment[i].name, value);
    }
    iw_strings_sort(out);
}
