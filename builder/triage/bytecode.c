/* Python's bytecode, made natively for the sandbox: an emulated Python would take ten times as long
 * for it. Compiling runs nothing of what is compiled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "build/checks_root.h"
#include "triage/internal.h"

#define LIBRARY "/usr/lib/python3.11"
#define SITE_SECONDS 8 /* on the processor, for a package and what it needs; the nearest first */

/* `top` is seen as `shown` in the sandbox. What can't be compiled there can't be here. The limits
 * are for sources that are meant to be more than they look. */
static const char compile_code[] =
    "import os, py_compile, resource, sys, time\n"
    "top, shown, out, seconds = sys.argv[1:]\n"
    "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
    "skip = {'test', 'tests', 'idlelib', 'lib2to3', 'tkinter', 'turtledemo', 'ensurepip', "
    "'pydoc_data', 'distutils', '__pycache__', 'dist-packages', 'site-packages'}\n"
    "sources = []\n"
    "for folder, folders, files in os.walk(top):\n"
    "    folders[:] = [name for name in folders if name not in skip]\n"
    "    sources += [os.path.relpath(os.path.join(folder, name), top) for name in files if "
    "name.endswith('.py')]\n"
    "for source in sorted(sources, key=lambda source: (source.count('/'), source)):\n"
    "    path = os.path.join(top, source)\n"
    "    if time.process_time() > float(seconds):\n"
    "        break\n"
    "    if os.path.islink(path) or os.path.getsize(path) > 1 << 20:\n"
    "        continue\n"
    "    try:\n"
    "        py_compile.compile(path, os.path.join(out, source)[:-3] + '.' + "
    "sys.implementation.cache_tag + '.pyc', os.path.join(shown, source), True, "
    "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)\n"
    "    except (py_compile.PyCompileError, ValueError, OSError, MemoryError, RecursionError):\n"
    "        pass\n";

static int compile(const iw_triage *t, const char *top, const char *shown, const char *out,
                   unsigned seconds, iw_error *err)
{
    iw_cleanup_strings iw_strings argv = {0}, environment = {0};
    iw_triage_python(t, &argv, &environment);
    iw_strings_add_all(&argv,
                       (const char *const[]){"-I", "-c", compile_code, top, shown, out, NULL});
    iw_strings_add_format(&argv, "%u", seconds);
    return iw_run_capture((const char *const *)argv.items, (const char *const *)environment.items,
                          1 << 20, NULL, NULL, err);
}

/* Written aside and renamed: others may be reading. */
int iw_triage_compile_library(iw_triage *t, iw_error *err)
{
    iw_cleanup_free char *parent = iw_path_parent(t->root), *passing = NULL,
                         *top = iw_format("%s" LIBRARY, t->root);
    t->bytecode = iw_path_join(parent, "bytecode");
    t->cache = iw_checks_bytecode(t->root);
    if (iw_exists(t->bytecode)) return 0;
    if (iw_temporary_folder(parent, "bytecode-", &passing, err) != 0) return -1;
    iw_emit(&t->sink,
            (iw_event){.type = IW_EVENT_STARTED, .subject = "Python", .phase = "compile"});
    int status = compile(t, top, LIBRARY, passing, 600, err);
    if (status == 0) chmod(passing, 0755);
    if (status != 0 || (rename(passing, t->bytecode) != 0 && !iw_exists(t->bytecode)))
        status = status ? -1 : iw_fail_errno(err, IW_E_IO, "can't make %s", t->bytecode);
    if (iw_exists(passing)) iw_remove_tree(passing, NULL);
    iw_emit(&t->sink,
            (iw_event){.type = IW_EVENT_FINISHED, .subject = "Python", .phase = "compile"});
    return status;
}

void iw_triage_compile(const iw_attempt *a, const char *top, const char *shown)
{
    iw_error ignored = IW_ERROR_INIT;
    iw_cleanup_free char *out = iw_format("%s/bytecode%s", a->folder, shown);
    if (iw_make_folders(out, 0755, &ignored) == 0)
        (void)compile(a->triage, top, shown, out, SITE_SECONDS, &ignored);
    iw_error_clear(&ignored);
}
