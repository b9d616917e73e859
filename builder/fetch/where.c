#include "fetch/where.h"

#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"

/* --- pip's configuration -------------------------------------------------- */

/* pip.conf is INI, its values may go on in indented lines (pip documentation, "Configuration").
 * Adds the words of `key` in the sections that concern downloads; later files override earlier
 * ones, so `out` is emptied first where the key is there. */
static void read_pip_file(const char *path, const char *key, iw_strings *out)
{
    iw_cleanup_free char *text = NULL;
    if (!path || iw_read_file(path, 1 << 20, &text, NULL, NULL) != 0) return;
    bool section = false, inside = false;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_slice trimmed = iw_slice_trim(line);
        if (trimmed.length == 0 || trimmed.data[0] == '#' || trimmed.data[0] == ';') continue;
        if (trimmed.data[0] == '[') {
            section = iw_slice_equal(trimmed, "[global]") || iw_slice_equal(trimmed, "[install]") ||
                      iw_slice_equal(trimmed, "[download]");
            inside = false;
            continue;
        }
        bool continued = line.data[0] == ' ' || line.data[0] == '\t';
        if (!continued) {
            const char *equals = memchr(trimmed.data, '=', trimmed.length),
                       *colon = memchr(trimmed.data, ':', trimmed.length);
            if (!equals || (colon && colon < equals)) equals = colon;
            if (!equals) continue;
            iw_slice name =
                iw_slice_trim((iw_slice){trimmed.data, (size_t)(equals - trimmed.data)});
            inside = section && iw_slice_equal(name, key);
            if (inside) iw_strings_free(out);
            trimmed = iw_slice_trim(
                (iw_slice){equals + 1, trimmed.length - (size_t)(equals + 1 - trimmed.data)});
        }
        iw_slice word;
        while (inside && iw_slice_next(&trimmed, ' ', &word))
            if (word.length) iw_strings_add_format(out, "%.*s", (int)word.length, word.data);
    }
}

static void pip_setting(const char *key, const char *variable, iw_strings *out)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME"),
               *own = getenv("PIP_CONFIG_FILE"), *value = getenv(variable);
    if (value && *value) {
        iw_slice rest = iw_slice_of(value), word;
        while (iw_slice_next(&rest, ' ', &word))
            if (word.length) iw_strings_add_format(out, "%.*s", (int)word.length, word.data);
        return;
    }
    if (own && strcmp(own, "/dev/null") == 0) return;
    read_pip_file("/etc/xdg/pip/pip.conf", key, out);
    read_pip_file("/etc/pip.conf", key, out);
    if (home) {
        iw_cleanup_free char *old = iw_path_join3(home, ".pip", "pip.conf");
        iw_cleanup_free char *base =
            config && *config ? iw_strdup(config) : iw_path_join(home, ".config");
        iw_cleanup_free char *user = iw_path_join3(base, "pip", "pip.conf");
        read_pip_file(old, key, out);
        read_pip_file(user, key, out);
    }
    read_pip_file(own, key, out);
}

/* What pip takes where nothing is configured: only pip knows it. */
static int pip_default(iw_strings *out, iw_error *err)
{
    static const char *const pythons[] = {"python3", "python", "/usr/bin/python3", NULL};
    static const char code[] =
        "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    for (size_t i = 0; pythons[i]; i++) {
        const char *argv[] = {pythons[i], "-c", code, NULL};
        iw_cleanup_free char *text = NULL;
        if (iw_run_capture(argv, NULL, 4096, &text, NULL, NULL) != 0) continue;
        iw_slice url = iw_slice_trim(iw_slice_of(text));
        if (url.length < 8 || strncmp(url.data, "http", 4) != 0) continue;
        iw_strings_add_format(out, "%.*s", (int)url.length, url.data);
        return 0;
    }
    return iw_fail(err, IW_E_ENVIRONMENT,
                   "no Python package index is configured (PIP_INDEX_URL, pip.conf), and there is "
                   "no pip here to ask for its "
                   "default: install python3-pip, or give --index-url URL");
}

int iw_pypi_indexes(const iw_fetch_options *options, iw_strings *out, iw_error *err)
{
    if (options->pypi_index) iw_strings_add(out, options->pypi_index);
    else pip_setting("index-url", "PIP_INDEX_URL", out);
    iw_cleanup_strings iw_strings extra = {0};
    if (out->count == 0 && pip_default(out, err) != 0) return -1;
    if (!options->pypi_index) pip_setting("extra-index-url", "PIP_EXTRA_INDEX_URL", &extra);
    iw_strings_add_all(out, (const char *const *)extra.items);
    for (size_t i = 0; i < out->count; i++)
        while (iw_ends_with(out->items[i], "/")) out->items[i][strlen(out->items[i]) - 1] = 0;
    return 0;
}

char *iw_pypi_certificates(void)
{
    iw_cleanup_strings iw_strings found = {0};
    pip_setting("cert", "PIP_CERT", &found);
    return found.count && access(found.items[0], R_OK) == 0 ? iw_strdup(found.items[0]) : NULL;
}

/* --- Debian --------------------------------------------------------------- */

static void add_words(iw_strings *out, const char *text)
{
    iw_slice rest = iw_slice_of(text), word;
    while (text && iw_slice_next(&rest, ' ', &word)) {
        while (word.length && word.data[word.length - 1] == '/') word.length--;
        iw_cleanup_free char *url = iw_strndup(word.data, word.length);
        if (*url && !iw_strings_has(out, url)) iw_strings_add(out, url);
    }
}

/* Those whose Release file says that they are Debian's: Ubuntu's archives hold other packages. */
static void apt_mirrors(iw_strings *out)
{
    static const char *const argv[] = {"apt-get",           "indextargets",         "--format",
                                       "$(ORIGIN) $(SITE)", "Created-By: Packages", NULL};
    iw_cleanup_free char *text = NULL;
    if (iw_run_capture(argv, NULL, 1 << 20, &text, NULL, NULL) != 0) return;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *found = iw_strndup(line.data, line.length);
        const char *url = iw_starts_with(found, "Debian ") ? found + strlen("Debian ") : "";
        if (iw_starts_with(url, "http:") || iw_starts_with(url, "https:")) add_words(out, url);
    }
}

/* What bootstrap was told on a host without apt. */
static void told_mirrors(const char *root, iw_strings *out)
{
    iw_cleanup_free char *path = root ? iw_path_join(root, "out/debian-mirror") : NULL,
                         *text = NULL;
    if (!path || iw_read_file(path, 4096, &text, NULL, NULL) != 0) return;
    text[strcspn(text, "\n")] = '\0';
    add_words(out, text);
}

/* Debian keeps security fixes in an archive of their own, debian-security beside debian on most
 * mirrors; a minimal apt configuration names only the latter. */
static void add_security(iw_strings *mirrors)
{
    size_t count = mirrors->count;
    for (size_t i = 0; i < count; i++) {
        if (!iw_ends_with(mirrors->items[i], "/debian")) continue;
        iw_cleanup_free char *beside = iw_format("%s-security", mirrors->items[i]);
        if (!iw_strings_has(mirrors, beside)) iw_strings_add(mirrors, beside);
    }
}

int iw_debian_mirrors(const iw_fetch_options *options, iw_strings *out, iw_error *err)
{
    add_words(out, options->debian_mirror);
    if (out->count == 0) add_words(out, getenv("IRONWHEEL_DEBIAN_MIRROR"));
    if (out->count == 0) apt_mirrors(out);
    if (out->count == 0) told_mirrors(options->root, out);
    add_security(out);
    return out->count ? 0
                      : iw_fail(err, IW_E_ENVIRONMENT,
                                "no Debian mirror is known: this host has no apt that names one; "
                                "give --debian-mirror URL or set IRONWHEEL_DEBIAN_MIRROR");
}

bool iw_debian_file_of(const iw_wanted *wanted, iw_debian_file *out)
{
    const iw_toolchain_package *package = wanted->package;
    const iw_source *source = wanted->source;
    if (package) {
        *out = (iw_debian_file){.package = package->name,
                                .version = package->version,
                                .binary = true,
                                .file = iw_path_base(package->file),
                                .path = package->file,
                                .pinned = wanted->toolchain ? wanted->toolchain->pinned : NULL};
        return true;
    }
    if (source->kind != IW_SOURCE_DEBIAN) return false;
    *out = (iw_debian_file){.package = source->name,
                            .version = source->version,
                            .binary = source->binary,
                            .file = source->file,
                            .area = source->area,
                            .pinned = source->pinned};
    return true;
}

void iw_debian_urls(const iw_strings *mirrors, const iw_debian_file *file, iw_strings *urls)
{
    int letters = iw_starts_with(file->package, "lib") && file->package[3] ? 4 : 1;
    const char *area = file->area ? file->area : "main";
    for (size_t i = 0; i < mirrors->count; i++) {
        const char *mirror = mirrors->items[i], *package = file->package;
        if (file->path) {
            iw_strings_add_format(urls, "%s/%s", mirror, file->path);
            continue;
        }
        iw_strings_add_format(urls, "%s/pool/%s/%.*s/%s/%s", mirror, area, letters, package,
                              package, file->file);
        iw_strings_add_format(urls, "%s/pool/updates/%s/%.*s/%s/%s", mirror, area, letters, package,
                              package, file->file);
    }
}
