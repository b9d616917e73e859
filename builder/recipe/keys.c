/* The format: every key of every kind of file. One table drives reading, hints, defaults, meaning,
 * JSON Schema and reference. */
#include "recipe/keys.h"

#define SHAPE(table, type)                                                                         \
    .keys = table, .key_count = sizeof(table) / sizeof *(table), .size = sizeof(type)
#define AT(type, member) .offset = offsetof(type, member)
#define COUNT(type, member) .count_offset = offsetof(type, member)
#define BELOW(table) .shapes = table, .shape_count = sizeof(table) / sizeof *(table)
#define NO_PLACE .place_offset = IW_NONE
#define NO_KIND .kind_offset = IW_NONE

/* --- sources -------------------------------------------------------------- */

#define SOURCE(member) AT(iw_source, member)
#define SOURCE_ID                                                                                  \
    {                                                                                              \
        "id", IW_F_TEXT, IW_T_NAME, 0, SOURCE(id),                                                 \
            .doc = "Names the source for `patches`. Default: its number, from 1."                  \
    }
#define SOURCE_TO                                                                                  \
    {                                                                                              \
        "to", IW_F_TEXT, IW_T_FOLDER, IW_K_BUILT, SOURCE(to),                                      \
            .doc = "Folder below `$SRC` where it goes. Default: `.` for the first source, "        \
                   "`.iw/<id>` for others.",                                                       \
            .mistaken = "into folder directory path target dest destination"                       \
    }
#define SOURCE_STRIP                                                                               \
    {                                                                                              \
        "strip", IW_F_UNSIGNED, IW_T_COUNT, IW_K_BUILT, SOURCE(strip),                             \
            .maximum = 16,                                                                         \
            .doc = "Leading path parts dropped while unpacking. Default: 1; 0 for wheels "         \
                   "(`*.whl`), `*.debian.tar.*` and `*.deb`."                                      \
    }
#define SOURCE_UNPACK                                                                              \
    {                                                                                              \
        "unpack", IW_F_BOOLEAN, IW_T_COUNT, IW_K_BUILT, SOURCE(unpack),                            \
            .value = "true", .doc = "`false`: the file is laid there as it is.",                   \
            .mistaken = "extract"                                                                  \
    }
#define SOURCE_SHA256(text)                                                                        \
    {                                                                                              \
        "sha256", IW_F_TEXT, IW_T_SHA256, IW_K_REQUIRED | IW_K_BUILT, SOURCE(sha256),              \
            .doc = text, .mistaken = "shasum sha256sum checksum hash sha digest sha256-hash"       \
    }
#define SOURCE_FILE(more, text)                                                                    \
    {                                                                                              \
        "file", IW_F_TEXT, IW_T_FILE_NAME, IW_K_BUILT | (more), SOURCE(file),                      \
            .doc = text, .mistaken = "filename name"                                               \
    }

static const char *const pypi_kinds[] = {"sdist", "wheel", NULL};

static const iw_key pypi_keys[] = {
    {"pypi", IW_F_TEXT, IW_T_PROJECT, IW_K_REQUIRED, SOURCE(name),
     .doc = "The project; its file is found through the simple index that pip is configured with.",
     .mistaken = "pip project"},
    {"version", IW_F_TEXT, IW_T_VERSION, 0, SOURCE(version),
     .doc = "Default: the recipe's version without its local label (`+…`)."},
    {"kind", IW_F_SWITCH, IW_T_COUNT, IW_K_BUILT, SOURCE(wheel), .choices = pypi_kinds,
     .value = "sdist", .doc = "A source distribution or a built wheel.", .mistaken = "type"},
    SOURCE_FILE(IW_K_REQUIRED, "The file's name."),
    SOURCE_SHA256("Of the file."),
    SOURCE_ID,
    SOURCE_TO,
    SOURCE_STRIP,
    SOURCE_UNPACK,
};

static const iw_key url_keys[] = {
    {"url", IW_F_TEXT, IW_T_URL, IW_K_REQUIRED, SOURCE(name), .doc = "Where the file is.",
     .mistaken = "uri link href http"},
    {"mirrors", IW_F_LIST, IW_T_URL, IW_K_UNIQUE, SOURCE(mirrors),
     .doc = "Further places, tried in order.", .mistaken = "urls"},
    SOURCE_FILE(0, "The file's name. Default: the last part of the URL."),
    SOURCE_SHA256("Of the file."),
    SOURCE_ID,
    SOURCE_TO,
    SOURCE_STRIP,
    SOURCE_UNPACK,
};

static const iw_key debian_keys[] = {
    {"debian", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED, SOURCE(name),
     .doc = "A source package of Debian's archive (then of its snapshot archive), or a binary one.",
     .mistaken = "deb"},
    {"version", IW_F_TEXT, IW_T_DEBIAN_VERSION, IW_K_REQUIRED, SOURCE(version),
     .doc = "The package's full version, with its revision."},
    {"binary", IW_F_BOOLEAN, IW_T_COUNT, IW_K_BUILT, SOURCE(binary), .value = "false",
     .doc = "`true`: a binary package."},
    {"area", IW_F_TEXT, IW_T_NAME, 0, SOURCE(area), .value = "main",
     .doc = "The archive's: `contrib`, `non-free` or `non-free-firmware`.",
     .mistaken = "component section"},
    {"pinned", IW_F_TEXT, IW_T_MOMENT, 0, SOURCE(pinned),
     .doc = "When the archive had it: where `--debian-snapshot` looks first, once the archive "
            "has dropped it. Part of no key.",
     .mistaken = "date when"},
    SOURCE_FILE(IW_K_REQUIRED, "The file's name; of a source package, one of its files."),
    SOURCE_SHA256("Of the file."),
    SOURCE_ID,
    SOURCE_TO,
    SOURCE_STRIP,
    SOURCE_UNPACK,
};

static const iw_key git_keys[] = {
    {"git", IW_F_TEXT, IW_T_GIT_URL, IW_K_REQUIRED, SOURCE(name),
     .doc = "The repository. The whole history is fetched: prefer an archive where there is one.",
     .mistaken = "github repository"},
    {"commit", IW_F_TEXT, IW_T_COMMIT, IW_K_REQUIRED, SOURCE(commit),
     .doc = "The commit; a tag or branch is refused, for it can move.",
     .mistaken = "rev revision ref tag branch"},
    {"submodules", IW_F_BOOLEAN, IW_T_COUNT, 0, SOURCE(submodules), .value = "false",
     .doc = "`true`: with submodules, at the commits that the tree pins.", .mistaken = "recursive"},
    SOURCE_SHA256("Of the checked-out tree, as `ironwheel fetch` prints it."),
    SOURCE_ID,
    SOURCE_TO,
};

static const iw_key crates_keys[] = {
    {"crates", IW_F_TEXT, IW_T_PATH, IW_K_REQUIRED | IW_K_BUILT, SOURCE(name),
     .doc =
         "Path of a `Cargo.lock` below `$SRC`, which the first source has in it or a `local` one "
         "before brings: every crate in it, by the lock's own checksums, laid at `$SRC/vendor`.",
     .mistaken = "cargo lock crate"},
    {"without", IW_F_LIST, IW_T_GLOB, IW_K_BUILT | IW_K_SET | IW_K_UNIQUE, SOURCE(without),
     .doc =
         "Crates of the lock that aren't brought, for nothing that is built needs them: one from "
         "a git repository can't be pinned by a lock. `prepare` takes them out of `Cargo.toml`.",
     .mistaken = "skip exclude except"},
    SOURCE_SHA256("Of that `Cargo.lock`."),
    SOURCE_ID,
};

static const iw_key local_keys[] = {
    {"local", IW_F_TEXT, IW_T_PATH, IW_K_REQUIRED, SOURCE(name),
     .doc = "A file or folder below the recipe's folder. What it holds is part of the key. Links "
            "may not lead out of it.",
     .mistaken = "path"},
    SOURCE_ID,
    SOURCE_TO,
    {"unpack", IW_F_BOOLEAN, IW_T_COUNT, IW_K_BUILT, SOURCE(unpack), .value = "true",
     .doc = "`true`: laid below `$SRC` where `to` says (a folder's content, or the file). `false`: "
            "laid at `$FILES` under its own name (in the "
            "folder `to`, where that is given).",
     .mistaken = "extract"},
};

#define SOURCE_SHAPE(word, table, number, means)                                                   \
    {                                                                                              \
        .name = "sources: " word, .label = "a `" word "` source", SHAPE(table, iw_source),         \
        .place_offset = offsetof(iw_source, place), .kind_offset = offsetof(iw_source, kind),      \
        .kind = number, .meaning = means                                                           \
    }

static const iw_shape source_shapes[] = {
    SOURCE_SHAPE("pypi", pypi_keys, IW_SOURCE_PYPI, "file"),
    SOURCE_SHAPE("url", url_keys, IW_SOURCE_URL, "file"),
    SOURCE_SHAPE("debian", debian_keys, IW_SOURCE_DEBIAN, "file"),
    SOURCE_SHAPE("git", git_keys, IW_SOURCE_GIT, "git"),
    SOURCE_SHAPE("crates", crates_keys, IW_SOURCE_CRATES, "crates"),
    SOURCE_SHAPE("local", local_keys, IW_SOURCE_LOCAL, "local"),
};

/* --- patches, needs ------------------------------------------------------- */

static const iw_key patch_keys[] = {
    {"from", IW_F_TEXT, IW_T_NAME, 0, AT(iw_patch_entry, from),
     .doc = "The `id` of the source that carries the patches. Without it: `patches/<name>/` of "
            "this tree.",
     .mistaken = "source"},
    {"files", IW_F_LIST, IW_T_PATH, IW_K_REQUIRED | IW_K_UNIQUE, AT(iw_patch_entry, files),
     .doc = "The patches, named one by one, in order; paths inside that source.",
     .mistaken = "file patches"},
    {"strip", IW_F_UNSIGNED, IW_T_COUNT, 0, AT(iw_patch_entry, strip), .value = "1", .maximum = 16,
     .doc = "As `patch -p`: leading path parts dropped.", .mistaken = "p level"},
};

static const iw_shape patch_shapes[] = {
    {.name = "patches",
     .label = "an item of \"patches\"",
     SHAPE(patch_keys, iw_patch_entry),
     .place_offset = offsetof(iw_patch_entry, place),
     NO_KIND},
};

typedef struct iw_needs_pair {
    iw_needs build, run;
} iw_needs_pair;

_Static_assert(offsetof(iw_recipe, run_needs) - offsetof(iw_recipe, build_needs) ==
                   offsetof(iw_needs_pair, run),
               "`needs` is read into both at once");

static const iw_key needs_keys[] = {
    {"build", IW_F_NEEDS, IW_T_NEED, IW_K_BUILT | IW_K_SET, AT(iw_needs_pair, build),
     .doc = "Packages laid at the prefix while this one is built, with what they need to run.",
     .mistaken = "make host tools"},
    {"run", IW_F_NEEDS, IW_T_NEED, IW_K_BUILT | IW_K_SET, AT(iw_needs_pair, run),
     .doc = "Packages that it needs to run: laid while it is built too, and the bundle holds them.",
     .mistaken = "runtime"},
};

static const iw_shape needs_shapes[] = {
    {.name = "needs", .label = "\"needs\"", SHAPE(needs_keys, iw_needs_pair), NO_PLACE, NO_KIND},
};

/* --- build ---------------------------------------------------------------- */

#define REASONED(member) AT(iw_reasoned, member)

static const iw_key allow_keys[] = {
    {"file", IW_F_TEXT, IW_T_GLOB, IW_K_REQUIRED | IW_K_BUILT, REASONED(file),
     .doc = "Source files, below `$SRC`.", .mistaken = "files"},
    {"reason", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, REASONED(reason), .doc = "Why they may.",
     .mistaken = "because why"},
};

static const iw_shape allow_shapes[] = {
    {.name = "build: allow-isa",
     .label = "an item of \"allow-isa\"",
     SHAPE(allow_keys, iw_reasoned),
     .place_offset = offsetof(iw_reasoned, place),
     NO_KIND},
};

#define BUILD(member) AT(iw_build, member)
#define SHELL(key, member, text, also)                                                             \
    {                                                                                              \
        key, IW_F_TEXT, IW_T_LINES, IW_K_BUILT, BUILD(member), .doc = text, .mistaken = also       \
    }

static const char *const systems[] = {"python", "cmake", "make",   "autotools",
                                      "cargo",  "wheel", "script", NULL};
static const char *const flag_policies[] = {"strip", "deny", NULL};

static const iw_key build_keys[] = {
    {"system", IW_F_CHOICE, IW_T_COUNT, IW_K_REQUIRED | IW_K_BUILT, BUILD(system),
     .choices = systems, .doc = "See “What each build system runs”.",
     .mistaken = "type kind backend"},
    {"directory", IW_F_TEXT, IW_T_FOLDER, IW_K_BUILT, BUILD(directory), .value = ".",
     .doc = "Where the steps run, below `$SRC`.", .mistaken = "folder subdirectory dir path"},
    {"optimise", IW_F_TEXT, IW_T_TEXT, IW_K_BUILT, BUILD(optimise), .value = "-O2",
     .doc = "Goes into CFLAGS, CXXFLAGS and FFLAGS.",
     .mistaken = "optimize optimisation optimization cflags flags-optimise"},
    {"environment", IW_F_PAIRS, IW_T_ENVIRONMENT, IW_K_BUILT, BUILD(environment),
     COUNT(iw_build, environment_count),
     .doc = "Variables for every step; `${PREFIX}`, `${DESTDIR}`, `${SRC}`, `${JOBS}` and "
            "`${FILES}` are replaced.",
     .mistaken = "env variables vars"},
    {"arguments", IW_F_LIST, IW_T_TEXT, IW_K_BUILT, BUILD(arguments),
     .doc = "For `./configure`, `cmake` (`-D…`), `pip wheel` (`-C…`), `cargo build`.",
     .mistaken = "args options configure-arguments"},
    {"make", IW_F_LIST, IW_T_TEXT, IW_K_BUILT, BUILD(make),
     .doc = "Variables and targets for `make` (make, autotools) or `cmake --build` (cmake).",
     .mistaken = "targets"},
    {"install", IW_F_LIST, IW_T_TEXT, IW_K_BUILT, BUILD(install),
     .doc = "Variables and targets of the install step. Default: target `install`."},
    SHELL("prepare", prepare, "Shell, before configuring, in `$SRC/<directory>`.",
          "before pre prebuild setup"),
    SHELL("configure", configure, "Shell, instead of the build system's own step.", "conf"),
    SHELL("compile", compile, "Shell, instead of the build system's own step.", "build"),
    SHELL("install-script", install_script, "Shell, instead of the install step.",
          "install_script script"),
    SHELL("finish", finish, "Shell, after installing, in `$DESTDIR$PREFIX`.",
          "after post postinstall"),
    {"remove", IW_F_LIST, IW_T_GLOB, IW_K_BUILT | IW_K_SET | IW_K_UNIQUE, BUILD(remove),
     .doc = "Removed from the artifact; below the prefix.", .mistaken = "delete exclude rm"},
    {"development", IW_F_LIST, IW_T_GLOB, IW_K_BUILT | IW_K_SET | IW_K_UNIQUE, BUILD(development),
     .doc = "Kept in the artifact, left out of bundles; below the prefix.",
     .mistaken = "dev devel"},
    {"flags", IW_F_SWITCH, IW_T_COUNT, IW_K_BUILT, BUILD(deny_flags), .choices = flag_policies,
     .value = "strip",
     .doc = "Instruction-set flags that the build passes. `strip`: the wrapper removes them. "
            "`deny`: it refuses them as a compiler "
            "would that doesn't know them, so that configure checks drop those code paths."},
    {"allow-isa", IW_F_MAPPINGS, IW_T_COUNT, IW_K_BUILT | IW_K_SET, BUILD(allow_isa),
     COUNT(iw_build, allow_isa_count), BELOW(allow_shapes),
     .doc = "Files that may hold instructions outside the profile; the audit decides.",
     .mistaken = "isa allow"},
    {"memory", IW_F_UNSIGNED, IW_T_COUNT, 0, BUILD(memory), .value = "300", .minimum = 1,
     .maximum = 1048576, .doc = "MiB of one compile job, before anything was measured.",
     .mistaken = "mem ram"},
    {"link-memory", IW_F_UNSIGNED, IW_T_COUNT, 0, BUILD(link_memory), .minimum = 1,
     .maximum = 1048576, .doc = "MiB of one link. Default: `memory`."},
    {"minutes", IW_F_UNSIGNED, IW_T_COUNT, 0, BUILD(minutes), .minimum = 1, .maximum = 10000,
     .doc = "How long it takes on two cores: the estimate where the store has never built it. "
            "Where it has built another version that says so, too, that one's time counts, in the "
            "proportion of the two. Default: a rough figure for its `system`.",
     .mistaken = "time hours estimate"},
};

static const iw_shape build_shapes[] = {
    {.name = "build",
     .label = "\"build\"",
     SHAPE(build_keys, iw_build),
     .place_offset = offsetof(iw_build, place),
     NO_KIND},
};

/* --- relocation, checks, audit -------------------------------------------- */

static const iw_key keep_keys[] = {
    {"file", IW_F_TEXT, IW_T_GLOB, IW_K_REQUIRED | IW_K_BUILT, REASONED(file),
     .doc = "Files, below the prefix.", .mistaken = "files"},
    {"reason", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, REASONED(reason),
     .doc = "Why that does no harm.", .mistaken = "because why"},
    {"check", IW_F_TEXT, IW_T_TEXT, 0, REASONED(check),
     .doc = "Name of the check of this recipe that shows it."},
};

static const iw_shape keep_shapes[] = {
    {.name = "relocation: keep",
     .label = "an item of \"keep\"",
     SHAPE(keep_keys, iw_reasoned),
     .place_offset = offsetof(iw_reasoned, place),
     NO_KIND},
};

#define HOST_LIBRARY(member) AT(iw_host_library, member)

static const iw_key host_library_keys[] = {
    {"name", IW_F_TEXT, IW_T_FILE_NAME, IW_K_REQUIRED, HOST_LIBRARY(name),
     .doc = "The library, as the files name it: `libcuda.so.1`.", .mistaken = "library soname"},
    {"file", IW_F_TEXT, IW_T_GLOB, IW_K_REQUIRED, HOST_LIBRARY(file),
     .doc = "Files that may need it, below the prefix.", .mistaken = "files"},
    {"reason", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, HOST_LIBRARY(reason),
     .doc = "Why no bundle can hold it, and what goes on without it.", .mistaken = "because why"},
};

static const iw_shape host_library_shapes[] = {
    {.name = "relocation: host-libraries",
     .label = "an item of \"host-libraries\"",
     SHAPE(host_library_keys, iw_host_library),
     .place_offset = offsetof(iw_host_library, place),
     NO_KIND},
};

typedef struct iw_kept {
    const iw_reasoned *items;
    size_t count;
    const iw_host_library *libraries;
    size_t library_count;
} iw_kept;

#define KEPT(of_recipe, member)                                                                    \
    _Static_assert(offsetof(iw_recipe, of_recipe) - offsetof(iw_recipe, keep_prefix) ==            \
                       offsetof(iw_kept, member),                                                  \
                   "read at once")
KEPT(keep_prefix_count, count);
KEPT(host_libraries, libraries);
KEPT(host_library_count, library_count);

static const iw_key relocation_keys[] = {
    {"keep", IW_F_MAPPINGS, IW_T_COUNT, IW_K_BUILT | IW_K_SET, AT(iw_kept, items),
     COUNT(iw_kept, count), BELOW(keep_shapes), .doc = "Files that may hold the build prefix.",
     .mistaken = "allow"},
    {"host-libraries", IW_F_MAPPINGS, IW_T_COUNT, 0, AT(iw_kept, libraries),
     COUNT(iw_kept, library_count), BELOW(host_library_shapes),
     .doc = "Shared libraries that only the host can have, as a GPU's driver. Any other that a "
            "file of the bundle needs must be in the bundle, or be glibc's own.",
     .mistaken = "host_libraries libraries external system"},
};

static const iw_shape relocation_shapes[] = {
    {.name = "relocation",
     .label = "\"relocation\"",
     SHAPE(relocation_keys, iw_kept),
     NO_PLACE,
     NO_KIND},
};

#define CHECK(member) AT(iw_check, member)
#define CHECK_NAME(more, text)                                                                     \
    {                                                                                              \
        "name", IW_F_TEXT, IW_T_TEXT, (more), CHECK(name), .doc = text                             \
    }
#define CHECK_REST                                                                                 \
    {"timeout",                                                                                    \
     IW_F_UNSIGNED,                                                                                \
     IW_T_COUNT,                                                                                   \
     0,                                                                                            \
     CHECK(timeout),                                                                               \
     .value = "300",                                                                               \
     .minimum = 1,                                                                                 \
     .maximum = 86400,                                                                             \
     .doc = "Seconds, under emulation.",                                                           \
     .mistaken = "time seconds limit"},                                                            \
        {"network",       IW_F_SWITCH,                                                             \
         IW_T_COUNT,      0,                                                                       \
         CHECK(loopback), .choices = networks,                                                     \
         .value = "none", .doc = "What it may reach: nothing, or this machine's own loopback."},   \
    {                                                                                              \
        "requires", IW_F_LIST, IW_T_NAME, IW_K_UNIQUE, CHECK(requires),                            \
            .doc = "Packages that must be in the environment; else the check is left out.",        \
            .mistaken = "needs"                                                                    \
    }

static const char *const networks[] = {"none", "loopback", NULL};

static const iw_key import_keys[] = {
    {"import", IW_F_LIST, IW_T_MODULE, IW_K_REQUIRED, CHECK(arguments),
     .doc = "Python modules to import.", .mistaken = "imports modules"},
    CHECK_NAME(0, "Default: `import` and the modules' names."),
    CHECK_REST,
};
static const iw_key python_keys[] = {
    {"python", IW_F_TEXT, IW_T_LINES, IW_K_REQUIRED, CHECK(text),
     .doc = "Python code; an exception is a failure.", .mistaken = "code py"},
    CHECK_NAME(IW_K_REQUIRED, "Unique in the recipe."),
    CHECK_REST,
};
static const iw_key command_keys[] = {
    {"command", IW_F_LIST, IW_T_TEXT, IW_K_REQUIRED, CHECK(arguments),
     .doc = "A program (a path below the environment) and its arguments.",
     .mistaken = "run cmd exec"},
    CHECK_NAME(IW_K_REQUIRED, "Unique in the recipe."),
    CHECK_REST,
};
static const iw_key shell_keys[] = {
    {"shell", IW_F_TEXT, IW_T_LINES, IW_K_REQUIRED, CHECK(text),
     .doc = "Shell lines; `set -e` is on.", .mistaken = "script sh bash"},
    CHECK_NAME(IW_K_REQUIRED, "Unique in the recipe."),
    CHECK_REST,
};

#define CHECK_SHAPE(word, table, number)                                                           \
    {                                                                                              \
        .name = "checks: " word, .label = "a check with \"" word "\"", SHAPE(table, iw_check),     \
        .place_offset = offsetof(iw_check, place), .kind_offset = offsetof(iw_check, kind),        \
        .kind = number                                                                             \
    }

static const iw_shape check_shapes[] = {
    CHECK_SHAPE("import", import_keys, IW_CHECK_IMPORT),
    CHECK_SHAPE("python", python_keys, IW_CHECK_PYTHON),
    CHECK_SHAPE("command", command_keys, IW_CHECK_COMMAND),
    CHECK_SHAPE("shell", shell_keys, IW_CHECK_SHELL),
};

#define EXCEPTION(member) AT(iw_exception, member)

#define EXCEPTION_REST                                                                             \
    {"features",                                                                                   \
     IW_F_LIST,                                                                                    \
     IW_T_NAMED_FEATURE,                                                                           \
     IW_K_REQUIRED | IW_K_UNIQUE,                                                                  \
     EXCEPTION(features),                                                                          \
     .doc = "Instruction-set features that are excused there.",                                    \
     .mistaken = "feature isa"},                                                                   \
    {                                                                                              \
        "reason", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, EXCEPTION(reason),                          \
            .doc = "How a CPU without them never gets there.", .mistaken = "because why"           \
    }

static const iw_key symbol_keys[] = {
    {"symbol", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, EXCEPTION(symbol),
     .doc = "Functions: a glob on their names.", .mistaken = "symbols function"},
    {"file", IW_F_TEXT, IW_T_GLOB, IW_K_REQUIRED, EXCEPTION(file),
     .doc = "Files, below the prefix."},
    EXCEPTION_REST,
};
static const iw_key range_keys[] = {
    {"range", IW_F_TEXT, IW_T_RANGE, IW_K_REQUIRED, EXCEPTION(range),
     .doc = "Addresses in a file that has no symbols; the end is not part of it.",
     .mistaken = "address addresses"},
    {"file", IW_F_TEXT, IW_T_PATH, IW_K_REQUIRED, EXCEPTION(file),
     .doc = "The file, below the prefix."},
    {"sha256", IW_F_TEXT, IW_T_SHA256, IW_K_REQUIRED, EXCEPTION(sha256),
     .doc = "Of that file: with other bytes the range means nothing.",
     .mistaken = "shasum sha256sum checksum hash sha digest"},
    EXCEPTION_REST,
};

static const iw_shape exception_shapes[] = {
    {.name = "audit: exceptions: symbol",
     .label = "an exception",
     SHAPE(symbol_keys, iw_exception),
     .place_offset = offsetof(iw_exception, place),
     NO_KIND},
    {.name = "audit: exceptions: range",
     .label = "an exception",
     SHAPE(range_keys, iw_exception),
     .place_offset = offsetof(iw_exception, place),
     NO_KIND},
};

#define TRIED(member) AT(iw_tried, member)

static const iw_key tried_keys[] = {
    {"file", IW_F_TEXT, IW_T_PATH, IW_K_REQUIRED, TRIED(file),
     .doc = "The file, below the prefix."},
    {"sha256", IW_F_TEXT, IW_T_SHA256, IW_K_REQUIRED, TRIED(sha256),
     .doc = "Of that file: other bytes were not tried.",
     .mistaken = "shasum sha256sum checksum hash sha digest"},
    {"holds", IW_F_PAIRS, IW_T_NAMED_FEATURE, IW_K_REQUIRED, TRIED(holds),
     COUNT(iw_tried, holds_count),
     .doc = "`feature: number` of the instructions that no exception stands for, as the audit "
            "counts them.",
     .mistaken = "counts count"},
};

static const iw_shape tried_shapes[] = {
    {.name = "audit: tried",
     .label = "a tried file",
     SHAPE(tried_keys, iw_tried),
     .place_offset = offsetof(iw_tried, place),
     NO_KIND},
};

static const char *const policies[] = {"clean", "guarded", "tried", NULL};

typedef struct iw_audited {
    int policy;
    const iw_exception *exceptions;
    size_t exception_count;
    const iw_tried *tried;
    size_t tried_count;
} iw_audited;

#define READ_AT_ONCE(member)                                                                       \
    _Static_assert(offsetof(iw_recipe, member) - offsetof(iw_recipe, policy) ==                    \
                       offsetof(iw_audited, member),                                               \
                   "read at once")
READ_AT_ONCE(exceptions);
READ_AT_ONCE(exception_count);
READ_AT_ONCE(tried);
READ_AT_ONCE(tried_count);

static const iw_key audit_keys[] = {
    {"policy", IW_F_CHOICE, IW_T_COUNT, 0, AT(iw_audited, policy), .choices = policies,
     .value = "clean",
     .doc = "`clean`: no instruction outside the profile. `guarded`: only where an exception "
            "stands for it. `tried`: also in the files below `tried`, in a stack that says "
            "`tried: true`."},
    {"exceptions", IW_F_MAPPINGS, IW_T_COUNT, 0, AT(iw_audited, exceptions),
     COUNT(iw_audited, exception_count), BELOW(exception_shapes),
     .doc = "Places that a person has reviewed.", .mistaken = "exception allow"},
    {"tried", IW_F_MAPPINGS, IW_T_COUNT, 0, AT(iw_audited, tried), COUNT(iw_audited, tried_count),
     BELOW(tried_shapes),
     .doc = "Files that nobody reviewed, but that were imported and used under emulation. "
            "`ironwheel heal` writes them."},
};

static const iw_shape audit_shapes[] = {
    {.name = "audit", .label = "\"audit\"", SHAPE(audit_keys, iw_audited), NO_PLACE, NO_KIND},
};

/* --- the recipe ----------------------------------------------------------- */

#define RECIPE(member) AT(iw_recipe_draft, recipe.member)

static const iw_key recipe_keys[] = {
    {"name", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED | IW_K_BUILT, RECIPE(name),
     .doc = "Must equal the folder's name.", .mistaken = "package"},
    {"version", IW_F_TEXT, IW_T_VERSION, IW_K_REQUIRED | IW_K_BUILT, RECIPE(version),
     .doc = "Must equal the file's name; always text: 3.10 needs no quotes. A local label "
            "(`2.7.0+cu126`) names a variant.",
     .mistaken = "release"},
    {"summary", IW_F_TEXT, IW_T_TEXT, IW_K_BODY, RECIPE(summary), .doc = "What it is, in one line.",
     .mistaken = "description about"},
    {"licence", IW_F_TEXT, IW_T_LICENCE, IW_K_BODY, RECIPE(licence), .doc = "An SPDX expression.",
     .mistaken = "license licenses licences"},
    {"homepage", IW_F_TEXT, IW_T_URL, 0, RECIPE(homepage), .doc = "Where people read about it.",
     .mistaken = "website site url home"},
    {"accept", IW_F_TEXT, IW_T_NAME, 0, RECIPE(accept),
     .doc = "A licence that isn't free: nothing of the recipe is fetched before the user named it "
            "with `--accept-licence`. `homepage` is where it can be read."},
    {"like", IW_F_TEXT, IW_T_LIKE, 0, AT(iw_recipe_draft, like),
     .doc = "Takes that recipe's body; each top-level key given here replaces its key whole. Its "
            "patches and local files stay where they are.",
     .mistaken = "base extends inherit inherits include"},
    {"sources", IW_F_MAPPINGS, IW_T_COUNT, IW_K_BUILT, RECIPE(sources),
     COUNT(iw_recipe_draft, recipe.source_count), BELOW(source_shapes),
     .doc =
         "Pinned sources. The first is unpacked at `$SRC`, each further one where its `to` says.",
     .mistaken = "source src"},
    {"patches", IW_F_MAPPINGS, IW_T_COUNT, IW_K_OR_TEXT, AT(iw_recipe_draft, entries),
     COUNT(iw_recipe_draft, entry_count), BELOW(patch_shapes),
     .text_offset = offsetof(iw_patch_entry, file),
     .doc = "In order, at fuzz 0. A file's name alone is a patch of ours, `patches/<name>/<file>`, "
            "with a DEP-3 header.",
     .mistaken = "patch"},
    {"needs", IW_F_MAPPING, IW_T_COUNT, IW_K_BUILT, RECIPE(build_needs), BELOW(needs_shapes),
     .doc = "Other packages, each as `name` (the stack says which version) or `name/version`.",
     .mistaken = "depends dependencies requires requirements deps"},
    {"build", IW_F_MAPPING, IW_T_COUNT, IW_K_BODY | IW_K_BUILT, RECIPE(build), BELOW(build_shapes),
     .doc = "How it is built."},
    {"relocation", IW_F_MAPPING, IW_T_COUNT, IW_K_BUILT, RECIPE(keep_prefix),
     BELOW(relocation_shapes),
     .doc = "Excuses for files that hold the build prefix, or need what only a host has.",
     .mistaken = "relocate prefix"},
    {"checks", IW_F_MAPPINGS, IW_T_COUNT, 0, RECIPE(checks),
     COUNT(iw_recipe_draft, recipe.check_count), BELOW(check_shapes),
     .doc = "Run in the finished, relocated environment, under every profile of the stack.",
     .mistaken = "tests test check"},
    {"audit", IW_F_MAPPING, IW_T_COUNT, 0, RECIPE(policy), BELOW(audit_shapes),
     .doc = "What the audit may find."},
    {"todo", IW_F_LIST, IW_T_TEXT, 0, AT(iw_recipe_draft, todo),
     .doc = "What a person must still settle. A recipe with such a line isn't built: the message "
            "quotes the first. `ironwheel new` writes them."},
    {"watch", IW_F_TEXT, IW_T_TEXT, 0, RECIPE(watch),
     .doc = "For `ironwheel bump`, where the first source is a `url` or `git`: an extended regular "
            "expression with a group for the version, for the last part of links, or for tags. "
            "Before it, and a space, the address of the page with the links; default: the URL's "
            "folder."},
};

const iw_shape iw_shape_recipe = {.name = "recipe",
                                  .label = "a recipe",
                                  SHAPE(recipe_keys, iw_recipe_draft),
                                  .place_offset = offsetof(iw_recipe_draft, recipe.place),
                                  NO_KIND};

/* --- stack, profile, toolchain -------------------------------------------- */

#define STACK(member) AT(iw_stack_draft, stack.member)

static const iw_key stack_keys[] = {
    {"name", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED, STACK(name),
     .doc = "Must equal the file's name."},
    {"version", IW_F_TEXT, IW_T_VERSION, IW_K_REQUIRED, STACK(version),
     .doc = "Goes into the bundle's name.", .mistaken = "release"},
    {"summary", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, STACK(summary),
     .doc = "What it is for, in one line.", .mistaken = "description about"},
    {"toolchain", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED, STACK(toolchain),
     .doc = "The toolchain file that builds it.", .mistaken = "compiler"},
    {"profiles", IW_F_LIST, IW_T_NAME, IW_K_REQUIRED | IW_K_UNIQUE, STACK(profiles),
     .doc = "CPUs that it must run on, all of them.", .mistaken = "profile cpus cpu"},
    {"include", IW_F_LIST, IW_T_NAME, IW_K_UNIQUE, AT(iw_stack_draft, include),
     .doc = "Other stacks whose packages, pins and checks are taken; what this file says of a "
            "package or check comes first.",
     .mistaken = "includes like extends base stacks"},
    {"packages", IW_F_PINS, IW_T_NAME, 0, STACK(packages),
     COUNT(iw_stack_draft, stack.package_count),
     .doc = "`name: version`: what the bundle holds, with what these need to run.",
     .mistaken = "package recipes"},
    {"pins", IW_F_PINS, IW_T_NAME, 0, STACK(pins), COUNT(iw_stack_draft, stack.pin_count),
     .doc = "`name: version`: of everything else that is needed. A package with one recipe only "
            "needs no pin.",
     .mistaken = "pin versions constraints"},
    {"checks", IW_F_MAPPINGS, IW_T_COUNT, 0, STACK(checks),
     COUNT(iw_stack_draft, stack.check_count), BELOW(check_shapes),
     .doc = "As in a recipe, for the whole environment.", .mistaken = "tests test check"},
    {"tried", IW_F_BOOLEAN, IW_T_COUNT, 0, STACK(tried), .value = "false",
     .doc = "Whether it takes recipes whose audit policy is `tried`. `ironwheel heal` writes it."},
    {"glibc", IW_F_TEXT, IW_T_VERSION, 0, STACK(glibc),
     .doc = "The glibc that the bundle needs (`2.35`): said before the first download where a host "
            "has an older one, and held against the bundle.",
     .mistaken = "libc floor"},
    {"hours", IW_F_NUMBER, IW_T_COUNT, 0, STACK(hours), .maximum = 1000,
     .doc = "How long a first build takes on four cores, for `--list`.", .mistaken = "time"},
    {"disk", IW_F_NUMBER, IW_T_COUNT, 0, STACK(disk_gb), .maximum = 10000,
     .doc = "How many GB a first build needs, for `--list`.", .mistaken = "space size"},
};

const iw_shape iw_shape_stack = {
    .name = "stack", .label = "a stack", SHAPE(stack_keys, iw_stack_draft), NO_PLACE, NO_KIND};

#define PROFILE(member) AT(iw_profile_draft, profile.member)

static const iw_key profile_keys[] = {
    {"name", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED, PROFILE(name),
     .doc = "Must equal the file's name."},
    {"summary", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, PROFILE(summary),
     .doc = "Which CPUs, in one line.", .mistaken = "description about"},
    {"march", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED | IW_K_BUILT, AT(iw_profile_draft, march),
     .doc = "gcc's `-march`.", .mistaken = "arch cpu"},
    {"tune", IW_F_TEXT, IW_T_WORD, IW_K_BUILT, AT(iw_profile_draft, tune),
     .doc = "gcc's `-mtune`. Default: what `march` implies.", .mistaken = "mtune"},
    {"features", IW_F_LIST, IW_T_FEATURE, IW_K_REQUIRED | IW_K_BUILT | IW_K_SET | IW_K_UNIQUE,
     PROFILE(features),
     .doc = "Every instruction-set feature that may be used, as gcc's -m options name them; the "
            "compiler gets `-m…` for these and `-mno-…` for "
            "all others.",
     .mistaken = "feature isa allowed"},
    {"shunned", IW_F_LIST, IW_T_FEATURE, IW_K_UNIQUE, PROFILE(shunned),
     .doc = "Of the features, those that nothing may use although the CPU has them: the compiler "
            "gets `-mno-…` for them, and the audit takes them for missing."},
    {"assembler", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED | IW_K_BUILT, PROFILE(assembler_march),
     .doc = "GNU as's `-march`, with `+feature` where it has no name for the CPU.",
     .mistaken = "as"},
    {"rust", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED | IW_K_BUILT, PROFILE(rust_cpu),
     .doc = "rustc's `-C target-cpu`.", .mistaken = "rust-cpu rustc"},
    {"openblas", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED | IW_K_BUILT, PROFILE(openblas_target),
     .doc = "OpenBLAS's `TARGET`.", .mistaken = "openblas-target blas"},
    {"numpy", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED | IW_K_BUILT, PROFILE(numpy_baseline),
     .doc = "numpy's `cpu-baseline`.", .mistaken = "numpy-baseline"},
    {"emulator", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED, PROFILE(emulator_cpu),
     .doc = "`qemu-x86_64 -cpu`.", .mistaken = "qemu emulator-cpu"},
    {"also", IW_F_LIST, IW_T_NAME, IW_K_UNIQUE, PROFILE(also),
     .doc = "Other profiles, under whose emulators the checks run, too: CPUs that this one stands "
            "for.",
     .mistaken = "checks emulators"},
};

const iw_shape iw_shape_profile = {.name = "profile",
                                   .label = "a profile",
                                   SHAPE(profile_keys, iw_profile_draft),
                                   NO_PLACE,
                                   NO_KIND};

#define PACKAGE(member) AT(iw_toolchain_package, member)

static const iw_key package_keys[] = {
    {"name", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED, PACKAGE(name), .doc = "The binary package."},
    {"version", IW_F_TEXT, IW_T_DEBIAN_VERSION, IW_K_REQUIRED, PACKAGE(version),
     .doc = "Its full version."},
    {"file", IW_F_TEXT, IW_T_PATH, IW_K_REQUIRED, PACKAGE(file),
     .doc = "Its path below a Debian mirror (`pool/…`)."},
    {"sha256", IW_F_TEXT, IW_T_SHA256, IW_K_REQUIRED, PACKAGE(sha256), .doc = "Of the file.",
     .mistaken = "shasum checksum hash"},
    {"size", IW_F_SIZE, IW_T_COUNT, IW_K_REQUIRED, PACKAGE(size), .minimum = 1,
     .maximum = (uint64_t)4 << 30, .doc = "Of the file, in bytes."},
};

static const iw_shape package_shapes[] = {
    {.name = "toolchain: packages",
     .label = "a toolchain's package",
     SHAPE(package_keys, iw_toolchain_package),
     NO_PLACE,
     NO_KIND},
};

#define TOOLCHAIN(member) AT(iw_toolchain, member)

static const iw_key toolchain_keys[] = {
    {"name", IW_F_TEXT, IW_T_NAME, IW_K_REQUIRED, TOOLCHAIN(name),
     .doc = "Must equal the file's name."},
    {"summary", IW_F_TEXT, IW_T_TEXT, IW_K_REQUIRED, TOOLCHAIN(summary),
     .doc = "What it is, in one line.", .mistaken = "description"},
    {"suite", IW_F_TEXT, IW_T_WORD, IW_K_REQUIRED, TOOLCHAIN(suite),
     .doc = "The Debian release it comes from (`bookworm`).", .mistaken = "release distribution"},
    {"pinned", IW_F_TEXT, IW_T_MOMENT, 0, TOOLCHAIN(pinned),
     .doc = "When `ironwheel toolchain update` found the packages: where `--debian-snapshot` "
            "looks first. Part of no digest.",
     .mistaken = "date when"},
    {"roots", IW_F_LIST, IW_T_NAME, IW_K_REQUIRED | IW_K_UNIQUE, TOOLCHAIN(roots),
     .doc = "The packages asked for; `packages` is what `ironwheel toolchain update` found these "
            "to need."},
    {"packages", IW_F_MAPPINGS, IW_T_COUNT, IW_K_REQUIRED, TOOLCHAIN(packages),
     COUNT(iw_toolchain, package_count), BELOW(package_shapes),
     .doc = "Binary packages, unpacked as the sandbox's root."},
};

const iw_shape iw_shape_toolchain = {.name = "toolchain",
                                     .label = "a toolchain",
                                     SHAPE(toolchain_keys, iw_toolchain),
                                     NO_PLACE,
                                     NO_KIND};
