/* Debian's archive: versions, what packages need, signed indexes, and the toolchain's file written
 * anew. */
#include "kit.h"

#include <archive.h>
#include <archive_entry.h>

#include "fetch/debian.h"
#include "fetch/where.h"

/* --- versions and resolution, as cases ------------------------------------ */

static void compares_versions(void **state)
{
    (void)state;
    iw_cleanup_free char *text = kit_read("tests/cases/fetch/versions.txt");
    iw_slice rest = iw_slice_of(text), line;
    int seen = 0;
    while (iw_slice_next(&rest, '\n', &line)) {
        char a[200], sign[4], b[200];
        iw_cleanup_free char *one = iw_strndup(line.data, line.length);
        if (!*one || *one == '#') continue;
        if (sscanf(one, "%199s %3s %199s", a, sign, b) != 3) fail_msg("%s", one);
        int there = iw_debian_compare(iw_slice_of(a), iw_slice_of(b)),
            back = iw_debian_compare(iw_slice_of(b), iw_slice_of(a));
        if (sign[0] == '<' ? !(there < 0 && back > 0) : !(there == 0 && back == 0))
            fail_msg("%s: %d, and %d the other way", one, there, back);
        seen++;
    }
    assert_true(seen > 30);
}

/* A stanza, with a made-up file and digest. */
static void add_stanza(iw_buffer *out, const char *name, const char *version, const char *fields)
{
    char digest[IW_SHA256_HEX];
    iw_cleanup_free char *both = iw_format("%s %s", name, version);
    iw_hash_bytes(both, strlen(both), digest);
    iw_buffer_add_format(
        out,
        "Package: %s\nVersion: %s\nDescription: a package\n with: a colon\n%s%sFilename: "
        "pool/main/%c/%s/%s_1_all.deb\nSize: %zu\nSHA256: %s\n\n",
        name, version, fields, *fields ? "\n" : "", *name, name, name, strlen(both), digest);
}

/* A case: lines "package NAME VERSION", with fields of that package below, indented; "suite" starts
 * the next suite; "roots A B"; then what is expected, "chosen NAME=VERSION …" or "error TEXT". */
static void run_case(const char *path)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = kit_read(path), *name = NULL, *version = NULL, *wanted = NULL;
    iw_cleanup_buffer iw_buffer suite = {0}, fields = {0}, got = {0};
    iw_cleanup_strings iw_strings roots = {0};
    iw_debian_index *index = iw_debian_index_new();
    iw_slice rest = iw_slice_of(text), line;
    bool more = true;
    while (more) {
        more = iw_slice_next(&rest, '\n', &line);
        iw_cleanup_free char *one = more ? iw_strndup(line.data, line.length) : iw_strdup("");
        if (more && one[0] == ' ') {
            iw_buffer_add_format(&fields, "%s%s", fields.length ? "\n" : "",
                                 one + strspn(one, " "));
            continue;
        }
        if (name) add_stanza(&suite, name, version, fields.length ? fields.data : "");
        free(name), free(version);
        name = version = NULL;
        iw_buffer_clear(&fields);
        char a[200], b[200];
        if (sscanf(one, "package %199s %199s", a, b) == 2) {
            name = iw_strdup(a), version = iw_strdup(b);
        } else if (strcmp(one, "suite") == 0 || !more) {
            if (suite.length)
                kit_ok(iw_debian_index_add(index, iw_buffer_take(&suite), path, &err));
        } else if (iw_starts_with(one, "roots ")) {
            iw_slice words = iw_slice_of(one + 6), word;
            while (iw_slice_next(&words, ' ', &word))
                iw_strings_add_format(&roots, "%.*s", (int)word.length, word.data);
        } else if (iw_starts_with(one, "chosen ") || iw_starts_with(one, "error ")) {
            free(wanted);
            wanted = iw_strdup(one);
        } else if (*one && *one != '#') {
            fail_msg("%s: what is \"%s\"?", path, one);
        }
    }
    const iw_debian_package **packages = NULL;
    size_t count = 0;
    iw_list list = {(const char *const *)roots.items, roots.count};
    int status = iw_debian_resolve(index, &list, &packages, &count, &err);
    iw_buffer_add_text(&got, status == 0 ? "chosen" : "error");
    for (size_t i = 0; i < count; i++)
        iw_buffer_add_format(&got, " %.*s=%.*s", (int)packages[i]->name.length,
                             packages[i]->name.data, (int)packages[i]->version.length,
                             packages[i]->version.data);
    if (status != 0) iw_buffer_add_format(&got, " %s", err.message);
    if (!wanted || (status == 0 ? strcmp(got.data, wanted) != 0
                                : !strstr(got.data, wanted + strlen("error ")) || wanted[0] != 'e'))
        fail_msg("%s: wanted %s\ngot %s", path, wanted ? wanted : "nothing", got.data);
    free(packages);
    iw_debian_index_free(index);
    iw_error_clear(&err);
}

static void resolves(void **state)
{
    (void)state;
    static const char *const cases[] = {"chain",        "alternatives",
                                        "virtual",      "virtual-chosen-later",
                                        "newest",       "versions-of-needs",
                                        "circle",       "missing",
                                        "missing-root", "same-version-twice"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_cleanup_free char *path = iw_format("tests/cases/fetch/resolve/%s.txt", cases[i]);
        run_case(path);
    }
}

static void refuses_bad_stanzas(void **state)
{
    (void)state;
    iw_error err = IW_ERROR_INIT;
    static const char good[] = "Package: a\nVersion: 1\nFilename: pool/a.deb\nSize: 5\nSHA256: "
                               "0123456789012345678901234567890123456789012345678901234567890123\n";
    static const char *const changes[][3] = {
        {"Package: a", "Package: ../a", "Package"},
        {"Package: a", "Package: a: b", "Package"},
        {"Package: a\n", "", "Package"},
        {"Version: 1", "Version: 1 # x", "Version"},
        {"Version: 1", "Version: ", "Version"},
        {"pool/a.deb", "/etc/passwd", "Filename"},
        {"pool/a.deb", "pool/../../x", "Filename"},
        {"pool/a.deb", "http://other/x", "Filename"},
        {"pool/a.deb", "pool/a\tb", "Filename"},
        {"Size: 5", "Size: -5", "Size"},
        {"Size: 5", "Size: 99999999999999999999", "Size"},
        {"SHA256: 0", "SHA256: g", "SHA256"},
        {"SHA256: 01", "SHA256: 1", "SHA256"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *at = strstr(good, changes[i][0]);
        assert_non_null(at);
        iw_debian_index *index = iw_debian_index_new();
        char *text = iw_format(
            "Package: first\nVersion: 1\nFilename: pool/f.deb\nSize: 1\nSHA256: %064d\n\n%.*s%s%s",
            0, (int)(at - good), good, changes[i][1], at + strlen(changes[i][0]));
        kit_fails_with(iw_debian_index_add(index, text, "the index", &err), IW_E_FORMAT,
                       changes[i][2]);
        kit_has(err.message, "the index:7: ");
        iw_debian_index_free(index);
    }
    iw_error_clear(&err);
}

static void reads_dates(void **state)
{
    (void)state;
    assert_int_equal(iw_debian_time(iw_slice_of("Thu, 01 Jan 1970 00:00:10 UTC")), 10);
    assert_int_equal(iw_debian_time(iw_slice_of("Sat, 11 Jul 2026 11:22:33 UTC")), 1783768953);
    static const char *const bad[] = {"",
                                      "now",
                                      "Sat, 11 Foo 2026 11:22:33 UTC",
                                      "Sat, 11 anF 2026 11:22:33 UTC",
                                      "Sat, 41 Jul 2026 11:22:33 UTC",
                                      "Sat, 11 Jul 2026 11:22:33 CEST",
                                      "Sat, 11 Jul 2026"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(iw_debian_time(iw_slice_of(bad[i])), -1);
}

/* --- an archive of our own ------------------------------------------------ */

typedef struct archive_kit {
    char *keys, *keyring, *other_keyring;
} archive_kit;

static void gpg(const char *home, const char *const *arguments)
{
    iw_cleanup_strings iw_strings argv = {0};
    static const char *const fixed[] = {
        "gpg",      "--batch",      "--quiet", "--no-tty", "--pinentry-mode",
        "loopback", "--passphrase", "",        NULL};
    iw_strings_add_all(&argv, fixed);
    iw_strings_add(&argv, "--homedir");
    iw_strings_add(&argv, home);
    iw_strings_add_all(&argv, arguments);
    free(kit_run((const char *const *)argv.items, NULL));
}

/* Two throw-away keys: one in the keyring, one that isn't. */
static void make_keys(kit *k, archive_kit *a)
{
    a->keys = kit_path(k, "gnupg");
    a->keyring = kit_path(k, "keyring.gpg");
    a->other_keyring = kit_path(k, "other.gpg");
    if (iw_exists(a->keys)) return;
    assert_int_equal(mkdir(a->keys, 0700), 0);
    static const char *const names[] = {"archive@example.org", "stranger@example.org"};
    for (size_t i = 0; i < 2; i++) {
        const char *generate[] = {
            "--quick-generate-key", names[i], "ed25519", "sign", "never", NULL};
        const char *export[] = {"--output", i ? a->other_keyring : a->keyring, "--export", names[i],
                                NULL};
        gpg(a->keys, generate);
        gpg(a->keys, export);
    }
}

static void archive_kit_free(archive_kit *a)
{
    free(a->keys), free(a->keyring), free(a->other_keyring);
}

static void xz(kit *k, const char *name, const char *text, char digest[IW_SHA256_HEX], size_t *size)
{
    size_t room = strlen(text) + 65536;
    iw_cleanup_free char *out = iw_alloc(room);
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_raw(archive);
    archive_write_add_filter_xz(archive);
    assert_int_equal(archive_write_open_memory(archive, out, room, size), ARCHIVE_OK);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "x");
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    archive_write_data(archive, text, strlen(text));
    archive_entry_free(entry);
    archive_write_close(archive);
    archive_write_free(archive);
    iw_hash_bytes(out, *size, digest);
    kit_write(k, name, out, *size);
}

/* Writes dists/<suite> below files/<mirror>, signed by `signers` (names joined by a space). */
static void publish(kit *k, const archive_kit *a, const char *mirror, const char *suite,
                    const char *fields, const char *packages, const char *signers)
{
    char plain[IW_SHA256_HEX], packed[IW_SHA256_HEX];
    size_t size = 0;
    iw_cleanup_free char *dists = iw_format("files/%s/dists/%s", mirror, suite),
                         *file = iw_format("%s/main/binary-amd64/Packages.xz", dists);
    iw_hash_bytes(packages, strlen(packages), plain);
    xz(k, file, packages, packed, &size);
    iw_cleanup_free char *release =
        iw_format("Origin: Test\nSuite: oldstable\nCodename: %s\nDate: Sat, 11 Jul 2026 10:00:00 "
                  "UTC\n%sMD5Sum:\n 00 5 main/binary-amd64/Packages\nSHA256:\n"
                  " %s %zu main/binary-amd64/Packages\n %s %8zu main/binary-amd64/Packages.xz\n "
                  "%064d 7 main/binary-i386/Packages.xz\n",
                  suite, fields, plain, strlen(packages), packed, size, 0);
    iw_cleanup_free char *source = iw_format("%s/Release", dists), *from = kit_path(k, source),
                         *to = iw_format("%s/%s/InRelease", k->folder, dists);
    kit_text(k, source, release);
    iw_cleanup_strings iw_strings argv = {0};
    iw_slice rest = iw_slice_of(signers), word;
    while (iw_slice_next(&rest, ' ', &word))
        iw_strings_add_format(&argv, "--local-user=%.*s@example.org", (int)word.length, word.data);
    const char *tail[] = {"--yes", "--output", to, "--clear-sign", from, NULL};
    iw_strings_add_all(&argv, tail);
    gpg(a->keys, (const char *const *)argv.items);
}

static const char head[] = "# Our own words, kept.\nname: demo\nsummary: A test's tools\nsuite: "
                           "test\nroots:\n  - tool\n  # a comment\n  - shell\npackages:\n";

static void write_toolchain(kit *k)
{
    iw_cleanup_free char *text =
        iw_format("%s  - name: tool\n    version: 0.9\n    file: "
                  "pool/main/t/tool/tool_0.9_all.deb\n    sha256: %064d\n    size: 5\n",
                  head, 0);
    kit_text(k, "tree/recipes/toolchains/demo.yaml", text);
    kit_text(k, "tree/patches/README", "");
}

static int update(kit *k, const char *mirrors, const char *keyring, iw_error *err)
{
    iw_cleanup_free char *root = kit_path(k, "tree"),
                         *path = kit_path(k, "tree/recipes/toolchains/demo.yaml");
    iw_catalog *catalog = NULL;
    const iw_toolchain *toolchain = NULL;
    iw_fetch_options options = {
        .cancel = -1, .sink = &k->sink, .debian_mirror = mirrors, .backoff = 0.01, .stall = 20};
    setenv("IRONWHEEL_DEBIAN_KEYRING", keyring, 1);
    int status = iw_catalog_open(root, &catalog, err);
    if (status == 0) status = iw_catalog_toolchain(catalog, "demo", &toolchain, err);
    if (status == 0) status = iw_toolchain_update(path, toolchain, &options, err);
    iw_catalog_free(catalog);
    unsetenv("IRONWHEEL_DEBIAN_KEYRING");
    return status;
}

static char *toolchain_text(kit *k)
{
    iw_cleanup_free char *path = kit_path(k, "tree/recipes/toolchains/demo.yaml");
    return kit_read(path);
}

/* The suite of the tests: a tool that needs a library, whose newer version is in -security. */
static void publish_usual(kit *k, const archive_kit *a, const char *mirror, const char *signers)
{
    iw_cleanup_buffer iw_buffer main_text = {0}, security = {0};
    add_stanza(&main_text, "tool", "1.0-1", "Depends: libtool1 (>= 1), awk | shell");
    add_stanza(&main_text, "libtool1", "1:1.2-3", "Pre-Depends: shell");
    add_stanza(&main_text, "shell", "5.2", "Provides: awk");
    add_stanza(&main_text, "unneeded", "3", "");
    add_stanza(&security, "libtool1", "1:1.2-3+deb12u1", "");
    publish(k, a, mirror, "test", "", main_text.data, signers);
    publish(k, a, mirror, "test-updates", "", "", signers);
    publish(k, a, mirror, "test-security", "", security.data, signers);
}

static void writes_the_toolchain_anew(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    archive_kit a;
    make_keys(k, &a);
    write_toolchain(k);
    publish_usual(k, &a, "debian", "archive");
    iw_cleanup_free char *mirror = iw_format("%s/plain/debian/", k->url);
    kit_forget(k);
    kit_ok(update(k, mirror, a.keyring, &err));
    iw_cleanup_free char *text = toolchain_text(k);
    size_t kept = strlen(head) - strlen("packages:\n");
    if (strncmp(text, head, kept) != 0) fail_msg("%s", text);
    unsigned long long day, time;
    assert_int_equal(sscanf(text + kept, "pinned: %8lluT%6lluZ\npackages:\n", &day, &time), 2);
    assert_true(day >= 20260101);
    const char *library =
                   strstr(text, "  - name: libtool1\n    version: 1:1.2-3+deb12u1\n    file: "
                                "pool/main/l/libtool1/libtool1_1_all.deb\n    sha256: "),
               *shell = strstr(text, "  - name: shell\n"),
               *tool = strstr(text, "  - name: tool\n    version: 1.0-1\n");
    assert_true(library && shell && tool && library < shell && shell < tool);
    kit_has_not(text, "unneeded");
    kit_has_not(text, "0.9");
    assert_int_equal(kit_requests(k, "/by-hash/SHA256/"),
                     2); /* asked first; it isn't there; the empty list needs no file */
    /* nothing new: the file isn't touched, and it reads back */
    iw_cleanup_free char *path = kit_path(k, "tree/recipes/toolchains/demo.yaml");
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    kit_ok(update(k, mirror, a.keyring, &err));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* the time moves with the packages only */
    iw_cleanup_free char *old = iw_format("%.*spinned: 20200101T000000Z\npackages:%s", (int)kept,
                                          text, strstr(text, "packages:") + 9);
    kit_text(k, "tree/recipes/toolchains/demo.yaml", old);
    kit_ok(update(k, mirror, a.keyring, &err));
    iw_cleanup_free char *same = toolchain_text(k);
    assert_string_equal(same, old);
    memcpy(strstr(old, "version: 1.0-1"), "version: 0.0-1", 14);
    kit_text(k, "tree/recipes/toolchains/demo.yaml", old);
    kit_ok(update(k, mirror, a.keyring, &err));
    iw_cleanup_free char *moved = toolchain_text(k);
    kit_has(moved, "version: 1.0-1");
    kit_has_not(moved, "20200101");
    archive_kit_free(&a);
}

static void goes_on_without_a_suite(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    archive_kit a;
    make_keys(k, &a);
    write_toolchain(k);
    iw_cleanup_buffer iw_buffer text = {0};
    add_stanza(&text, "tool", "1.0-1", "");
    add_stanza(&text, "shell", "5.2", "");
    publish(k, &a, "small", "test", "", text.data, "archive");
    iw_cleanup_free char *mirror = iw_format("%s/plain/small", k->url),
                         *empty = iw_format("%s/plain/empty", k->url),
                         *failing = iw_format("%s %s/error/500/99/x", mirror, k->url);
    kit_forget(k);
    kit_ok(update(k, mirror, a.keyring, &err));
    kit_has(k->events.data, "no mirror has the suite test-security");
    kit_fails_with(update(k, empty, a.keyring, &err), IW_E_NOT_FOUND,
                   "no mirror has the suite test ");
    kit_fails_with(update(k, failing, a.keyring, &err), IW_E_NETWORK,
                   "test-updates"); /* it may be there: security fixes aren't left out silently */
    iw_error_clear(&err);
    archive_kit_free(&a);
}

/* Every way in which the index can be wrong leaves the file as it is. */
static void refuses_what_isnt_signed_well(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    archive_kit a;
    make_keys(k, &a);
    write_toolchain(k);
    iw_cleanup_free char *before = toolchain_text(k), *mirror = iw_format("%s/plain/bad", k->url),
                         *path = kit_path(k, "files/bad/dists/test/InRelease");
    publish_usual(k, &a, "bad", "stranger");
    kit_fails_with(update(k, mirror, a.keyring, &err), IW_E_DIGEST, "is signed by no key");
    kit_fails_with(update(k, mirror, "/nonexistent", &err), IW_E_ENVIRONMENT,
                   "IRONWHEEL_DEBIAN_KEYRING");
    kit_ok(update(k, mirror, a.other_keyring, &err)); /* so it was only the key */
    write_toolchain(k);
    publish_usual(k, &a, "bad", "stranger archive"); /* one of two is known */
    kit_ok(update(k, mirror, a.keyring, &err));
    write_toolchain(k);
    publish_usual(k, &a, "bad", "archive");
    iw_cleanup_free char *good = kit_read(path), *changed = iw_strdup(good);
    memcpy(strstr(changed, "oldstable"), "newstable", 9);
    iw_cleanup_free char *unsigned_text =
        iw_format("Codename: test\nSHA256:\n %064d 5 main/binary-amd64/Packages\n", 0);
    iw_cleanup_free char *in_front = iw_format("%s%s", unsigned_text, good),
                         *behind = iw_format("%s\n%s", good, unsigned_text),
                         *twice = iw_format("%s%s", good, good);
    const struct {
        const char *text;
        iw_error_kind kind;
        const char *part;
    } bad[] = {{changed, IW_E_DIGEST, "its signature is wrong"},
               {unsigned_text, IW_E_FORMAT, "isn't one signed text"},
               {in_front, IW_E_FORMAT, "isn't one signed text"},
               {behind, IW_E_FORMAT, "isn't one signed text"},
               {twice, IW_E_FORMAT, "isn't one signed text"},
               {"", IW_E_FORMAT, "isn't one signed text"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kit_text(k, "files/bad/dists/test/InRelease", bad[i].text);
        kit_fails_with(update(k, mirror, a.keyring, &err), bad[i].kind, bad[i].part);
    }
    iw_cleanup_free char *after = toolchain_text(k);
    assert_string_equal(before, after);
    iw_error_clear(&err);
    archive_kit_free(&a);
}

static void refuses_old_and_other_indexes(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    archive_kit a;
    make_keys(k, &a);
    write_toolchain(k);
    iw_cleanup_buffer iw_buffer text = {0};
    add_stanza(&text, "tool", "1.0-1", "");
    add_stanza(&text, "shell", "5.2", "");
    iw_cleanup_free char *before = toolchain_text(k), *mirror = iw_format("%s/plain/old", k->url);
    publish(k, &a, "old", "test", "Valid-Until: Sat, 11 Jul 2020 10:00:00 UTC\n", text.data,
            "archive");
    kit_fails_with(update(k, mirror, a.keyring, &err), IW_E_FORMAT,
                   "was valid until Sat, 11 Jul 2020");
    publish(k, &a, "old", "test", "Valid-Until: sometime\n", text.data, "archive");
    kit_fails_with(update(k, mirror, a.keyring, &err), IW_E_FORMAT, "was valid until");
    publish(k, &a, "old", "other", "", text.data, "archive");
    iw_cleanup_free char *from = kit_path(k, "files/old/dists/other/InRelease"),
                         *other = kit_read(from);
    kit_text(k, "files/old/dists/test/InRelease", other);
    kit_fails_with(update(k, mirror, a.keyring, &err), IW_E_FORMAT,
                   "is the index of suite \"other\"");
    publish(k, &a, "old", "test", "Valid-Until: Sat, 11 Jul 2099 10:00:00 UTC\n", text.data,
            "archive");
    kit_text(k, "files/old/dists/test/main/binary-amd64/Packages.xz", "something else");
    kit_fails_with(update(k, mirror, a.keyring, &err), IW_E_DIGEST, "is wanted");
    iw_cleanup_free char *after = toolchain_text(k);
    assert_string_equal(before, after);
    publish(k, &a, "old", "test", "Valid-Until: Sat, 11 Jul 2099 10:00:00 UTC\n", text.data,
            "archive");
    kit_ok(update(k, mirror, a.keyring, &err));
    iw_error_clear(&err);
    archive_kit_free(&a);
}

static void names_what_cant_be_resolved(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    archive_kit a;
    make_keys(k, &a);
    write_toolchain(k);
    iw_cleanup_buffer iw_buffer text = {0};
    add_stanza(&text, "tool", "1.0-1", "Depends: gone (>= 2) | away");
    add_stanza(&text, "shell", "5.2", "");
    iw_cleanup_free char *before = toolchain_text(k), *mirror = iw_format("%s/plain/gone", k->url);
    publish(k, &a, "gone", "test", "", text.data, "archive");
    kit_fails_with(update(k, mirror, a.keyring, &err), IW_E_NOT_FOUND,
                   "tool 1.0-1 needs \"gone (>= 2) | away\"");
    iw_cleanup_free char *after = toolchain_text(k);
    assert_string_equal(before, after);
    iw_error_clear(&err);
    archive_kit_free(&a);
}

/* What the archive has signed decides about a digest, whatever a file is like. */
static void checks_by_the_signed_index(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    archive_kit a;
    iw_cleanup_buffer iw_buffer text = {0};
    iw_source_answers answers = {0};
    static const char digest[] = "1111111111111111111111111111111111111111111111111111111111111111",
                      other[] = "2222222222222222222222222222222222222222222222222222222222222222",
                      third[] = "3333333333333333333333333333333333333333333333333333333333333333";
    make_keys(k, &a);
    for (int i = 0; i < 2; i++)
        iw_buffer_add_format(&text,
                             "Package: p%d\nVersion: 1\nFilename: pool/p%d_1_all.deb\nSize: 2\n"
                             "SHA256: %s\n\n",
                             i, i, digest);
    publish(k, &a, "signed", "test", "", text.data, "archive");
    for (int i = 0; i < 3; i++) {
        iw_cleanup_free char *name = iw_format("files/signed/pool/p%d_1_all.deb", i);
        kit_text(k, name, "ok");
    }
    iw_cleanup_free char *mirror = iw_format("%s/plain/signed", k->url);
    iw_toolchain toolchain = {.name = "demo", .suite = "test"};
    iw_toolchain_package packages[] = {{"p0", "1", "pool/p0_1_all.deb", digest, 2},
                                       {"p1", "1", "pool/p1_1_all.deb", other, 2},
                                       {"p2", "1", "pool/p2_1_all.deb", third, 2}};
    iw_wanted wanted[3];
    for (int i = 0; i < 3; i++)
        wanted[i] = (iw_wanted){.package = &packages[i], .toolchain = &toolchain};
    iw_fetch_options options = {
        .cancel = -1, .sink = &k->sink, .debian_mirror = mirror, .backoff = 0.01, .stall = 20};
    setenv("IRONWHEEL_DEBIAN_KEYRING", a.keyring, 1);
    kit_ok(iw_fetch_check(kit_store(k), wanted, 3, &options, &answers, &err));
    unsetenv("IRONWHEEL_DEBIAN_KEYRING");
    static const iw_source_state states[] = {IW_SOURCE_THERE, IW_SOURCE_CHANGED, IW_SOURCE_THERE};
    static const char *const compared[] = {"digest", "digest", "size"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answers.items[i].state, states[i]);
        assert_string_equal(answers.items[i].compared, compared[i]);
    }
    kit_has(answers.items[1].detail, digest);
    kit_has(answers.items[2].detail, "no index lists it any more");
    iw_source_answers_free(&answers);
    archive_kit_free(&a);
}

/* --- source packages and toolchain packages ------------------------------- */

static void knows_where_files_are(void **state)
{
    (void)state;
    iw_cleanup_strings iw_strings mirrors = {0}, urls = {0};
    iw_strings_add(&mirrors, "http://m.invalid/debian");
    iw_debian_file files[] = {{.package = "openblas", .file = "o.tar.xz"},
                              {.package = "libffi", .file = "l.tar.xz"},
                              {.package = "nvcc", .file = "n.deb", .area = "non-free"},
                              {.package = "gcc", .path = "pool/main/g/gcc/g.deb"}};
    for (size_t i = 0; i < 4; i++) iw_debian_urls(&mirrors, &files[i], &urls);
    static const char *const wanted[] = {
        "http://m.invalid/debian/pool/main/o/openblas/o.tar.xz",
        "http://m.invalid/debian/pool/updates/main/o/openblas/o.tar.xz",
        "http://m.invalid/debian/pool/main/libf/libffi/l.tar.xz",
        "http://m.invalid/debian/pool/updates/main/libf/libffi/l.tar.xz",
        "http://m.invalid/debian/pool/non-free/n/nvcc/n.deb",
        "http://m.invalid/debian/pool/updates/non-free/n/nvcc/n.deb",
        "http://m.invalid/debian/pool/main/g/gcc/g.deb"};
    assert_int_equal(urls.count, 7);
    for (size_t i = 0; i < 7; i++) assert_string_equal(urls.items[i], wanted[i]);
}

static void expect_mirrors(const char *option, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_fetch_options options = {.debian_mirror = option};
    iw_cleanup_strings iw_strings found = {0};
    iw_cleanup_buffer iw_buffer text = {0};
    kit_ok(iw_debian_mirrors(&options, &found, &err));
    for (size_t i = 0; i < found.count; i++)
        iw_buffer_add_format(&text, "%s%s", i ? " " : "", found.items[i]);
    assert_string_equal(text.data, wanted);
}

static void honours_the_mirror_settings(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    setenv("IRONWHEEL_DEBIAN_MIRROR", "http://a.invalid/debian/ http://b.invalid/debian", 1);
    expect_mirrors(
        NULL, "http://a.invalid/debian http://b.invalid/debian http://a.invalid/debian-security "
              "http://b.invalid/debian-security");
    expect_mirrors("http://c.invalid/", "http://c.invalid");
    unsetenv("IRONWHEEL_DEBIAN_MIRROR");
    iw_cleanup_free char *path = iw_strdup(getenv("PATH")), *bin = kit_path(k, "apt"),
                         *program = kit_path(k, "apt/apt-get");
    kit_text(k, "apt/apt-get",
             "#!/bin/sh\nprintf "
             "'Debian http://apt.invalid/debian/\\nDebian cdrom:[x]/\\nUbuntu http://u.invalid/\\n"
             "Debian http://apt.invalid/debian\\nDebian http://apt.invalid/security\\n'\n");
    assert_int_equal(chmod(program, 0755), 0);
    setenv("PATH", bin, 1);
    expect_mirrors(
        NULL,
        "http://apt.invalid/debian http://apt.invalid/security http://apt.invalid/debian-security");
    kit_text(k, "apt/apt-get", "#!/bin/sh\nexit 1\n");
    iw_fetch_options options = {.cancel = -1};
    iw_cleanup_strings iw_strings found = {0};
    kit_fails_with(iw_debian_mirrors(&options, &found, &err), IW_E_ENVIRONMENT, "--debian-mirror");
    iw_cleanup_strings iw_strings told = {0};
    kit_text(k, "tree/out/debian-mirror", "http://told.invalid/debian/\n");
    iw_cleanup_free char *tree = kit_path(k, "tree");
    options.root = tree;
    iw_error_clear(&err);
    kit_ok(iw_debian_mirrors(&options, &told, &err));
    assert_string_equal(told.items[0], "http://told.invalid/debian");
    setenv("PATH", path, 1);
}

static void fetches_packages_and_sources(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_store *store = kit_store(k);
    char deb[IW_SHA256_HEX], tar[IW_SHA256_HEX];
    kit_text(k, "files/m2/pool/main/t/tool/tool_1_all.deb", "a package");
    kit_text(k, "files/m2/pool/updates/main/libx/libxz/xz.tar.gz", "a source");
    iw_hash_bytes("a package", 9, deb);
    iw_hash_bytes("a source", 8, tar);
    iw_toolchain_package package = {.name = "tool",
                                    .version = "1",
                                    .file = "pool/main/t/tool/tool_1_all.deb",
                                    .sha256 = deb,
                                    .size = 9};
    iw_source source = {.kind = IW_SOURCE_DEBIAN,
                        .name = "libxz",
                        .version = "1",
                        .file = "xz.tar.gz",
                        .sha256 = tar,
                        .place = {.file = "recipes/xz/1.yaml"}};
    iw_recipe recipe = {.name = "xz", .sources = &source, .source_count = 1};
    iw_wanted wanted[] = {{.package = &package}, {.recipe = &recipe, .source = &source}};
    iw_cleanup_free char *mirrors = iw_format("%s/plain/m1 %s/plain/m2", k->url, k->url);
    iw_fetch_options options = {
        .cancel = -1, .sink = &k->sink, .debian_mirror = mirrors, .backoff = 0.01, .stall = 20};
    kit_ok(iw_fetch_all(store, wanted, 2, &options, &err));
    bool missing[2];
    kit_ok(iw_fetch_missing(store, wanted, 2, missing, &err));
    assert_false(missing[0] || missing[1]);
    package.size = 8; /* more bytes come than the toolchain's file says */
    store = kit_store(k);
    kit_fails_with(iw_fetch_all(store, wanted, 2, &options, &err), IW_E_NETWORK,
                   "more than the 8 bytes expected");
    iw_error_clear(&err);
}

/* gpg has left an agent running. */
static int end_agent(void **state)
{
    kit *k = *state;
    iw_cleanup_free char *home = kit_path(k, "gnupg");
    const char *argv[] = {"gpgconf", "--homedir", home, "--kill", "gpg-agent", NULL};
    (void)!iw_run_capture(argv, NULL, 1000, NULL, NULL, NULL);
    return kit_group_teardown(state);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_versions),
        cmocka_unit_test(resolves),
        cmocka_unit_test(refuses_bad_stanzas),
        cmocka_unit_test(reads_dates),
        cmocka_unit_test(writes_the_toolchain_anew),
        cmocka_unit_test(goes_on_without_a_suite),
        cmocka_unit_test(refuses_what_isnt_signed_well),
        cmocka_unit_test(refuses_old_and_other_indexes),
        cmocka_unit_test(names_what_cant_be_resolved),
        cmocka_unit_test(checks_by_the_signed_index),
        cmocka_unit_test(knows_where_files_are),
        cmocka_unit_test(honours_the_mirror_settings),
        cmocka_unit_test(fetches_packages_and_sources),
    };
    return cmocka_run_group_tests_name("fetch: debian", tests, kit_group_setup, end_agent);
}
