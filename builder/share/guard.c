#include "share/guard.h"

#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "pack/pack.h"

/* @NEEDS@: words of the line "flags" in /proc/cpuinfo. Old Pythons run the .pth, those from 3.15 on
 * the .start file (PEP 829). */
static const char module[] =
    "\"\"\"Says at import that this CPU can't run what was compiled for @LABEL@.\"\"\"\n"
    "import sys\n"
    "\n"
    "LABEL = \"@LABEL@\"\n"
    "NEEDS = \"@NEEDS@\"\n"
    "\n"
    "\n"
    "def _cpu():\n"
    "    model, flags = \"this CPU\", None\n"
    "    try:\n"
    "        with open(\"/proc/cpuinfo\", encoding=\"utf-8\", errors=\"replace\") as lines:\n"
    "            for line in lines:\n"
    "                name, _, value = line.partition(\":\")\n"
    "                if name.strip() == \"model name\":\n"
    "                    model = value.strip()\n"
    "                elif name.strip() == \"flags\":\n"
    "                    flags = set(value.split())\n"
    "                    break\n"
    "    except OSError:\n"
    "        pass\n"
    "    return model, flags\n"
    "\n"
    "\n"
    "def _modules():\n"
    "    import csv\n"
    "    import importlib.metadata\n"
    "    found = {}\n"
    "    for one in importlib.metadata.distributions():\n"
    "        text = one.read_text(\"METADATA\") or \"\"\n"
    "        if \"\\nRequires-Dist: iw-cpu==\" not in text.replace(\"\\r\", \"\"):\n"
    "            continue\n"
    "        label = f\"{one.metadata['Name']} {one.version}\"  # parsed anew each time it is "
    "asked\n"
    "        for row in csv.reader((one.read_text(\"RECORD\") or \"\").splitlines()):\n"
    "            first = row[0].split(\"/\")[0] if row else \"..\"\n"
    "            if first != \"..\" and not first.endswith(\".dist-info\"):\n"
    "                found[first.split(\".\")[0]] = label\n"
    "    return found\n"
    "\n"
    "\n"
    "class _Guard:\n"
    "    def __init__(self, model, lacking):\n"
    "        self.model, self.lacking, self.modules = model, lacking, None\n"
    "\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if self.modules is None:\n"
    "            self.modules = {}  # what it imports itself asks here, too\n"
    "            self.modules = _modules()\n"
    "        if name in self.modules:\n"
    "            raise ImportError(f\"{self.modules[name]} was compiled for {LABEL}; this CPU "
    "({self.model}) lacks {self.lacking}, and would stop at an illegal instruction. Install it "
    "from "
    "the index of this CPU's profile.\", name=name)\n"
    "        return None\n"
    "\n"
    "\n"
    "def start():\n"
    "    model, flags = _cpu()\n"
    "    lacking = [need for need in NEEDS.split() if flags is not None and need not in flags]\n"
    "    if lacking:\n"
    "        sys.meta_path.insert(0, _Guard(model, \", \".join(lacking)))\n";

/* gcc's name of a feature and the kernel's, where they differ (arch/x86/include/asm/cpufeatures.h).
 */
static const char *kernel_name(const char *feature)
{
    static const char *const names[][2] = {{"sse3", "pni"},      {"sse4.1", "sse4_1"},
                                           {"sse4.2", "sse4_2"}, {"crc32", "sse4_2"},
                                           {"sahf", "lahf_lm"},  {"pclmul", "pclmulqdq"},
                                           {"lzcnt", "abm"},     {"bmi", "bmi1"},
                                           {"rdrnd", "rdrand"},  {"prfchw", "3dnowprefetch"},
                                           {"sha", "sha_ni"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], feature) == 0) return names[i][1];
    return feature;
}

static char *needs_of(const iw_profile *profile)
{
    iw_cleanup_strings iw_strings names = {0};
    iw_buffer out = {0};
    for (size_t i = 0; i < profile->usable.count; i++) {
        const char *name = kernel_name(profile->usable.items[i]);
        if (!iw_is_never_missed(profile->usable.items[i]) && !iw_strings_has(&names, name))
            iw_strings_add(&names, name);
    }
    iw_strings_sort(&names);
    for (size_t i = 0; i < names.count; i++)
        iw_buffer_add_format(&out, "%s%s", i ? " " : "", names.items[i]);
    return iw_buffer_take(&out);
}

static char *fill(const char *label, const char *needs)
{
    iw_buffer out = {0};
    for (const char *rest = module; *rest;) {
        const char *at = strchr(rest, '@');
        iw_buffer_add(&out, rest, at ? (size_t)(at - rest) : strlen(rest));
        if (!at) break;
        iw_buffer_add_text(&out, iw_starts_with(at, "@LABEL@") ? label : needs);
        rest = strchr(at + 1, '@') + 1;
    }
    return iw_buffer_take(&out);
}

static int write_text(const char *tree, const char *name, const char *text, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(tree, name);
    return iw_write_passing(path, text, strlen(text), 0644, err);
}

int iw_guard_lay(const char *tree, const iw_profile *profile, const char *label, iw_error *err)
{
    iw_cleanup_free char *needs = needs_of(profile), *text = fill(label, needs);
    return write_text(tree, "_iw_cpu.py", text, err) == 0 &&
                   write_text(tree, "_iw_cpu.pth", "import _iw_cpu; _iw_cpu.start()\n", err) == 0 &&
                   write_text(tree, "_iw_cpu.start", "_iw_cpu:start\n", err) == 0
               ? 0
               : -1;
}
