#include "upgrade/learn.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

void iw_lesson_clear(iw_lesson *lesson)
{
    free(lesson->what);
    free(lesson->conditions);
    free(lesson->missing);
    *lesson = (iw_lesson){0};
}

/* --- what brings what ----------------------------------------------------- */

/* clang-format off */
static const struct { const char *module, *project; } modules[] = {
    {"yaml", "pyyaml"},          {"PIL", "pillow"},            {"skbuild", "scikit-build"},
    {"sklearn", "scikit-learn"}, {"cv2", "opencv-python"},     {"mesonpy", "meson-python"},
    {"pkg_resources", "setuptools"}, {"distutils", "setuptools"}, {"Cython", "cython"},
    {"bs4", "beautifulsoup4"},   {"dateutil", "python-dateutil"}, {"attr", "attrs"},
    {"jwt", "pyjwt"},            {"google.protobuf", "protobuf"}, {"dotenv", "python-dotenv"},
    {"pysqlite3", "pysqlite3"},  {"serial", "pyserial"},       {"usb", "pyusb"},
    {"zmq", "pyzmq"},            {"Crypto", "pycryptodome"},   {"OpenSSL", "pyopenssl"},
    {"git", "gitpython"},        {"markdown_it", "markdown-it-py"}, {"win32api", "pywin32"},
    {"_cffi_backend", "cffi"},   {"poetry", "poetry-core"},   {"scikit_build_core", "scikit-build-core"},
};

/* A header's start, a pkg-config or CMake name, a library: who has it. `recipe` NULL: none here. */
static const struct { const char *found, *recipe, *debian; } pieces[] = {
    {"zlib", "zlib", "zlib1g-dev"},           {"zconf", "zlib", "zlib1g-dev"},
    {"z", "zlib", "zlib1g-dev"},              {"ffi", "libffi", "libffi-dev"},
    {"libffi", "libffi", "libffi-dev"},       {"openssl/", "openssl", "libssl-dev"},
    {"openssl", "openssl", "libssl-dev"},     {"ssl", "openssl", "libssl-dev"},
    {"crypto", "openssl", "libssl-dev"},      {"libcrypto", "openssl", "libssl-dev"},
    {"libssl", "openssl", "libssl-dev"},      {"sqlite3", "sqlite", "libsqlite3-dev"},
    {"lzma", "xz", "liblzma-dev"},            {"liblzma", "xz", "liblzma-dev"},
    {"bzlib", "bzip2", "libbz2-dev"},         {"bz2", "bzip2", "libbz2-dev"},
    {"expat", "expat", "libexpat1-dev"},      {"readline/", "readline", "libreadline-dev"},
    {"readline", "readline", "libreadline-dev"}, {"curses", "ncurses", "libncurses-dev"},
    {"ncurses", "ncurses", "libncurses-dev"}, {"numpy/", "numpy", "python3-numpy"},
    {"pybind11/", "pybind11", "pybind11-dev"}, {"pybind11", "pybind11", "pybind11-dev"},
    {"nanobind/", "nanobind", NULL},          {"Eigen/", "eigen", "libeigen3-dev"},
    {"Eigen3", "eigen", "libeigen3-dev"},     {"eigen3", "eigen", "libeigen3-dev"},
    {"cblas", "openblas", "libopenblas-dev"}, {"lapacke", "openblas", "libopenblas-dev"},
    {"openblas", "openblas", "libopenblas-dev"}, {"blas", "openblas", "libopenblas-dev"},
    {"lapack", "openblas", "libopenblas-dev"}, {"BLAS", "openblas", "libopenblas-dev"},
    {"LAPACK", "openblas", "libopenblas-dev"}, {"sndfile", "libsndfile", "libsndfile1-dev"},
    {"FLAC/", "flac", "libflac-dev"},         {"ogg/", "libogg", "libogg-dev"},
    {"vorbis/", "libvorbis", "libvorbis-dev"}, {"opus", "opus", "libopus-dev"},
    {"mpg123", "mpg123", "libmpg123-dev"},    {"lame/", "lame", "libmp3lame-dev"},
    {"lz4", "lz4", "liblz4-dev"},             {"snappy", "snappy", "libsnappy-dev"},
    {"brotli/", "brotli", "libbrotli-dev"},   {"utf8proc", "utf8proc", "libutf8proc-dev"},
    {"boost/", "boost-headers", "libboost-dev"}, {"Boost", "boost-headers", "libboost-dev"},
    {"sleef", "sleef", "libsleef-dev"},       {"fmt/", "fmt", "libfmt-dev"},
    {"nlohmann/", "nlohmann-json", "nlohmann-json3-dev"}, {"omp", "libgomp", "libgomp1"},
    {"zstd", "zstd", "libzstd-dev"},          {"libzstd", "zstd", "libzstd-dev"},
    {"libxml/", "libxml2", "libxml2-dev"},    {"libxml2", "libxml2", "libxml2-dev"},
    {"libxml-2.0", "libxml2", "libxml2-dev"}, {"xml2", "libxml2", "libxml2-dev"},
    {"libxslt/", "libxslt", "libxslt1-dev"},  {"libxslt", "libxslt", "libxslt1-dev"},
    {"xslt", "libxslt", "libxslt1-dev"},      {"libpq-fe", "libpq", "libpq-dev"},
    {"pq", "libpq", "libpq-dev"},             {"mysql", "mariadb", "libmariadb-dev"},
    {"zbar", "zbar", "libzbar-dev"},          {"jpeglib", "libjpeg-turbo", "libjpeg62-turbo-dev"},
    {"jpeg", "libjpeg-turbo", "libjpeg62-turbo-dev"}, {"png", "libpng", "libpng-dev"},
    {"tiff", "libtiff", "libtiff-dev"},       {"webp/", "libwebp", "libwebp-dev"},
    {"ft2build", "freetype", "libfreetype-dev"}, {"freetype2", "freetype", "libfreetype-dev"},
    {"hdf5", "hdf5", "libhdf5-dev"},          {"netcdf", "netcdf", "libnetcdf-dev"},
    {"portaudio", "portaudio", "portaudio19-dev"}, {"gmp", "gmp", "libgmp-dev"},
    {"mpfr", "mpfr", "libmpfr-dev"},          {"mpc", "mpc", "libmpc-dev"},
    {"curl/", "curl", "libcurl4-openssl-dev"}, {"libcurl", "curl", "libcurl4-openssl-dev"},
    {"yaml", "libyaml", "libyaml-dev"},       {"zmq", "zeromq", "libzmq3-dev"},
    {"event", "libevent", "libevent-dev"},    {"uv", "libuv", "libuv1-dev"},
    {"sodium", "libsodium", "libsodium-dev"}, {"cairo", "cairo", "libcairo2-dev"},
    {"glib", "glib", "libglib2.0-dev"},       {"gio/", "glib", "libglib2.0-dev"},
    {"girepository", "glib", "libgirepository1.0-dev"}, {"geos", "geos", "libgeos-dev"},
    {"proj", "proj", "libproj-dev"},          {"gdal", "gdal", "libgdal-dev"},
    {"libavcodec/", "ffmpeg", "libavcodec-dev"}, {"libavformat/", "ffmpeg", "libavformat-dev"},
    {"libavutil/", "ffmpeg", "libavutil-dev"}, {"alsa/", "alsa-lib", "libasound2-dev"},
    {"X11/", "libx11", "libx11-dev"},         {"GL/", "mesa", "libgl-dev"},
    {"SDL", "sdl2", "libsdl2-dev"},           {"ldap", "openldap", "libldap-dev"},
    {"krb5", "krb5", "libkrb5-dev"},          {"gssapi", "krb5", "libkrb5-dev"},
    {"magic", "file", "libmagic-dev"},        {"espeak", "espeak-ng", "libespeak-ng-dev"},
    {"sentencepiece", "sentencepiece", "libsentencepiece-dev"}, {"absl/", "abseil", "libabsl-dev"},
    {"google/protobuf/", "protobuf", "libprotobuf-dev"}, {"Protobuf", "protobuf", "libprotobuf-dev"},
};

static const struct { const char *soname, *recipe; } libraries[] = {
    {"libstdc++.so", "libstdc++"},   {"libgcc_s.so", "gcc-runtime"}, {"libgfortran.so", "gcc-runtime"},
    {"libquadmath.so", "gcc-runtime"}, {"libgomp.so", "libgomp"},    {"libz.so", "zlib"},
    {"libbz2.so", "bzip2"},          {"liblzma.so", "xz"},           {"libexpat.so", "expat"},
    {"libffi.so", "libffi"},         {"libssl.so", "openssl"},       {"libcrypto.so", "openssl"},
    {"libsqlite3.so", "sqlite"},     {"libopenblas", "openblas"},    {"libsndfile.so", "libsndfile"},
    {"libreadline.so", "readline"},  {"libncursesw.so", "ncurses"},  {"libtinfo", "ncurses"},
    {"liblz4.so", "lz4"},            {"libsnappy.so", "snappy"},     {"libutf8proc.so", "utf8proc"},
    {"libbrotli", "brotli"},         {"libzstd.so", "zstd"},         {"libxml2.so", "libxml2"},
};

static const struct { const char *program, *debian; } tools[] = {
    {"swig", "swig"},           {"pg_config", "libpq-dev"},      {"mysql_config", "libmariadb-dev"},
    {"protoc", "protobuf-compiler"}, {"go", "golang-go"},        {"npm", "npm"},
    {"node", "nodejs"},         {"git", "git"},                  {"nasm", "nasm"},
    {"yasm", "yasm"},           {"llvm-config", "llvm-dev"},     {"clang", "clang"},
    {"java", "default-jdk-headless"}, {"bazel", "bazel-bootstrap"}, {"sip-build", "sip-tools"},
    {"qmake", "qtbase5-dev"},   {"xml2-config", "libxml2-dev"},  {"xslt-config", "libxslt1-dev"},
    {"gdal-config", "libgdal-dev"}, {"geos-config", "libgeos-dev"}, {"cython3", "cython3"},
    {"nvcc", "nvidia-cuda-toolkit"}, {"wget", "wget"},           {"curl", "curl"},
};
/* clang-format on */

char *iw_module_project(const char *module)
{
    size_t top = strcspn(module, ".");
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strcmp(modules[i].module, module) == 0 ||
            (strlen(modules[i].module) == top && strncmp(modules[i].module, module, top) == 0))
            return iw_strdup(modules[i].project);
    iw_cleanup_free char *first = iw_strndup(module, top);
    return iw_project_name(first);
}

const char *iw_library_recipe(const char *soname)
{
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (iw_starts_with(soname, libraries[i].soname)) return libraries[i].recipe;
    return NULL;
}

/* --- patterns ------------------------------------------------------------- */

static char *matched(const char *text, const regmatch_t *match)
{
    return match->rm_so < 0
               ? NULL
               : iw_strndup(text + match->rm_so, (size_t)(match->rm_eo - match->rm_so));
}

/* The groups of the first match, owned; false where there is none. */
static bool find(const char *pattern, const char *text, char **one, char **two)
{
    regex_t compiled;
    regmatch_t groups[3];
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NEWLINE) != 0) return false;
    bool found = regexec(&compiled, text, 3, groups, 0) == 0;
    regfree(&compiled);
    if (found && one) *one = matched(text, &groups[1]);
    if (found && two) *two = matched(text, &groups[2]);
    return found;
}

/* What stands for a header, a pkg-config or CMake name or a library. */
static void look_up_piece(const char *missing, iw_lesson *out)
{
    size_t length = strcspn(missing, ".");
    const char *slash = strchr(missing, '/');
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const char *found = pieces[i].found;
        bool folder = iw_ends_with(found, "/");
        if (strcmp(found, missing) != 0 &&
            !(folder ? slash && iw_starts_with(missing, found)
                     : !slash && strlen(found) == length && strncmp(found, missing, length) == 0))
            continue;
        out->what = iw_strdup(pieces[i].recipe);
        out->debian = pieces[i].debian;
        return;
    }
}

static bool learn_piece(const char *log, iw_lesson *out)
{
    static const char *const patterns[] = {
        "fatal error: ([A-Za-z0-9_.+/-]+): No such file",
        "Dependency \"?([A-Za-z0-9_.+-]+)\"? not found",
        "No package '([A-Za-z0-9_.+-]+)'",
        "Package '?([A-Za-z0-9_.+-]+)'?,? (was not found|not found|required by)",
        "cannot find -l([A-Za-z0-9_+]+)",
        "Could NOT find ([A-Za-z0-9_]+)",
        "by \"([A-Za-z0-9_]+)\" with any of the following names",
        "C (library|shared or static library) '([A-Za-z0-9_]+)' not found",
        /* "the libxml2 and libxslt development packages are installed": the last one stands on the
           others */
        "([A-Za-z0-9_.+-]+) development packages? (is|are) ",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char *one = NULL, *two = NULL;
        if (!find(patterns[i], log, &one, &two)) continue;
        bool second = iw_starts_with(patterns[i], "C (library");
        out->missing = second ? two : one;
        free(second ? one : two);
        if (strcmp(out->missing, "Python.h") == 0 || strcmp(out->missing, "Python") == 0 ||
            strcmp(out->missing, "PythonInterp") == 0) {
            free(out->missing);
            out->missing = NULL;
            continue;
        }
        out->kind = IW_LESSON_NEED;
        look_up_piece(out->missing, out);
        return true;
    }
    return false;
}

static bool learn_tool(const char *log, iw_lesson *out)
{
    static const char *const patterns[] = {
        "([A-Za-z0-9_.+-]+): (command )?not found",
        "No such file or directory: '([A-Za-z0-9_.+-]+)'",
        "Program '?([A-Za-z0-9_.+-]+)'? not found",
        "([a-z0-9_]+_config) executable not found",
        "Unknown compiler\\(s\\): \\[\\['?([A-Za-z0-9_+-]+)",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        iw_cleanup_free char *one = NULL;
        if (!find(patterns[i], log, &one, NULL)) continue;
        if (strchr(one, '.') || strcmp(one, "git") == 0) continue; /* a file; a version's guess */
        out->kind = IW_LESSON_TOOL;
        for (size_t t = 0; t < sizeof tools / sizeof *tools; t++)
            if (strcmp(tools[t].program, one) == 0) out->debian = tools[t].debian;
        out->missing = iw_steal(&one);
        return true;
    }
    return false;
}

static bool learn_module(const char *text, bool check, iw_lesson *out)
{
    iw_cleanup_free char *module = NULL;
    if (!find("No module named '?([A-Za-z0-9_.]+)", text, &module, NULL) &&
        !find("Cannot import '([A-Za-z0-9_.]+)'", text, &module, NULL))
        return false;
    out->what = iw_module_project(module);
    out->kind = *out->what && *out->what != '-' ? IW_LESSON_PYTHON_NEED : IW_LESSON_NONE;
    if (out->kind == IW_LESSON_NONE) { /* an inner part of something */
        free(out->what);
        out->what = iw_format("its Python lacks the module %s", module);
        return true;
    }
    out->missing = iw_steal(&module);
    out->run = check;
    return true;
}

static bool learn_licence(const char *log, iw_lesson *out)
{
    if (!strstr(log, "project.license") || !strstr(log, "must be valid exactly by one"))
        return false;
    out->kind = IW_LESSON_PYTHON_NEED;
    out->what = iw_strdup("setuptools");
    out->conditions = iw_strdup(">=77");
    out->missing = iw_strdup("a licence as an expression");
    return true;
}

static bool learn_version(const char *name, const char *version, const char *log, iw_lesson *out)
{
    (void)name;
    if (!strstr(log, "unable to detect version") && !strstr(log, "Unable to determine version") &&
        !strstr(log, "Can't find version of"))
        return false;
    out->kind = IW_LESSON_ENVIRONMENT;
    out->what =
        iw_format(strstr(log, "PBR") || strstr(log, "pbr") ? "PBR_VERSION=%s"
                                                           : "SETUPTOOLS_SCM_PRETEND_VERSION=%s",
                  version);
    return true;
}

static bool learn_rust(const char *log, iw_lesson *out)
{
    iw_cleanup_free char *one = NULL, *two = NULL;
    if (!find("requires? rustc ([0-9.]+)( or newer)?", log, &one, &two) &&
        !find("feature `(edition2024)` is required", log, &one, &two))
        return false;
    out->kind = IW_LESSON_QUESTION;
    out->what =
        iw_format("its crates need rustc %s, newer than the toolchain's: is there an older release "
                  "of it that will do, or a newer toolchain?",
                  strcmp(one, "edition2024") == 0 ? "1.85" : one);
    return true;
}

static bool learn_cpu(const char *log, iw_lesson *out)
{
    if (!find("target specific option mismatch|no such instruction|is not supported on `", log,
              NULL, NULL))
        return false;
    out->kind = IW_LESSON_DENY_FLAGS;
    return true;
}

static bool learn_network(const char *message, iw_lesson *out)
{
    iw_cleanup_free char *one = NULL;
    if (!find("(tried to reach [^;\n ]*[^;:,\n ])", message, &one, NULL)) return false;
    out->kind = IW_LESSON_QUESTION;
    out->what =
        iw_format("its build %s: what does it want there, and can a pinned source bring it?", one);
    return true;
}

static bool learn_paths(const char *message, iw_lesson *out)
{
    iw_cleanup_free char *one = NULL;
    if (!find("still hold a path of the build:\n +([^ :\n]+)", message, &one, NULL)) return false;
    out->kind = IW_LESSON_QUESTION;
    out->what =
        iw_format("it installs %s, which holds a path of the build: can the package compute "
                  "it, or do without that file (`remove`)?",
                  one);
    return true;
}

static bool learn_versions(const char *message, iw_lesson *out)
{
    if (!find("would hold two versions of ([a-z0-9.+-]+)", message, &out->what, NULL)) return false;
    out->kind = IW_LESSON_PIN;
    return true;
}

static const char missing_libraries[] = "shared libraries are missing";

bool iw_missing_libraries(const char *message, iw_strings *recipes)
{
    const char *start = strstr(message, missing_libraries);
    iw_slice rest = iw_slice_of(start ? start : ""), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *text = iw_strndup(line.data, line.length), *soname = NULL;
        if (!find("^  .* needs ([A-Za-z0-9_.+-]+\\.so[0-9.]*)$", text, &soname, NULL)) continue;
        const char *recipe = iw_library_recipe(soname);
        if (!recipe) return false;
        if (!iw_strings_has(recipes, recipe)) iw_strings_add(recipes, recipe);
    }
    return recipes->count > 0;
}

static bool learn_library(const char *message, iw_lesson *out)
{
    iw_cleanup_free char *soname = NULL;
    if (!strstr(message, missing_libraries) ||
        !find(" needs ([A-Za-z0-9_.+-]+\\.so[0-9.]*)", message, &soname, NULL))
        return false;
    const char *recipe = iw_library_recipe(soname);
    out->kind = IW_LESSON_NEED;
    out->run = true;
    if (recipe) out->what = iw_strdup(recipe);
    out->missing = iw_steal(&soname);
    return true;
}

/* --- the line that tells most --------------------------------------------- */

static bool telling(iw_slice line)
{
    static const char *const words[] = {"rror:", "ERROR", "fatal", "Error ", "not found", "failed"};
    iw_cleanup_free char *text = iw_strndup(line.data, line.length < 400 ? line.length : 400);
    if (iw_starts_with(text, "+ ") /* what the shell is about to do */ ||
        strstr(text, "subprocess-exited") || strstr(text, "Failed building wheel") ||
        strstr(text, "Failed to build"))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i])) return true;
    return false;
}

char *iw_telling_line(const char *message, const char *log)
{
    iw_slice rest = iw_slice_of(log), line, best = {NULL, 0}, first = {NULL, 0};
    while (iw_slice_next(&rest, '\n', &line)) {
        line = iw_slice_trim(line);
        if (!line.length || !telling(line)) continue;
        if (!first.data && strstr(log, "rror: ")) first = line;
        best = line;
    }
    if (first.data && memmem(first.data, first.length, "rror: ", 6)) best = first;
    if (!best.data) {
        rest = iw_slice_of(message);
        iw_slice_next(&rest, '\n', &best);
    }
    iw_cleanup_free char *text = iw_strndup(best.data, best.length < 300 ? best.length : 300);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F) *c = ' ';
    return iw_steal(&text);
}

void iw_learn(const char *name, const char *version, const char *message, const char *log,
              iw_lesson *out)
{
    bool check = strstr(message, "checks of stack") != NULL;
    *out = (iw_lesson){0};
    if (learn_network(message, out) || learn_paths(message, out) || learn_versions(message, out) ||
        learn_library(message, out) || learn_module(check ? message : log, check, out) ||
        learn_licence(log, out) || learn_rust(log, out) || learn_version(name, version, log, out) ||
        learn_piece(log, out) || learn_cpu(log, out) || learn_tool(log, out))
        return;
    if (strstr(message, "hold instructions that")) {
        out->kind = IW_LESSON_DENY_FLAGS;
        return;
    }
    out->what = iw_telling_line(message, log);
}
