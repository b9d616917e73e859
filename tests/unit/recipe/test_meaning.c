/* The meaning, key by key and in both directions: what can change a built result changes it, all
 * else leaves it alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "recipe/schema.h"
#include "tree.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* Every key of a recipe but `like`. */
static const char base[] =
    "name: x\n"
    "version: 1.0\n"
    "summary: A thing\n"
    "licence: MIT\n"
    "homepage: https://example.org\n"
    "sources:\n"
    "  - {pypi: proj, version: 2, kind: sdist, file: p.tar.gz, sha256: " SHA_A
    ", id: pp, to: pt, strip: 2, unpack: true}\n"
    "  - {url: 'https://example.org/u.tar.gz', mirrors: ['https://example.net/u.tar.gz'], file: "
    "u.tar.gz, sha256: " SHA_A ", id: uu, to: ut, strip: 2, unpack: true}\n"
    "  - {debian: deb, version: 3, pinned: 20260101T000000Z, binary: false, file: d.tar.gz, "
    "sha256: " SHA_A ", id: dd, to: dt, strip: 2, unpack: true}\n"
    "  - {git: 'https://example.org/g.git', commit: 1111111111111111111111111111111111111111, "
    "submodules: false, sha256: " SHA_A ", id: gg, to: gt}\n"
    "  - {crates: Cargo.lock, sha256: " SHA_A ", id: cc}\n"
    "  - {local: files/a, id: ll, to: lt, unpack: true}\n"
    "patches:\n"
    "  - one.patch\n"
    "  - {from: dd, files: [debian/a.diff, debian/b.diff], strip: 3}\n"
    "needs:\n"
    "  build: [nb, nc/1]\n"
    "  run: [nr]\n"
    "build:\n"
    "  system: make\n"
    "  directory: sub\n"
    "  optimise: -O1\n"
    "  environment: {E1: v1, E2: v2}\n"
    "  arguments: [a1, a2]\n"
    "  make: [m1, m2]\n"
    "  install: [i1, i2]\n"
    "  prepare: echo prepare\n"
    "  configure: echo configure\n"
    "  compile: echo compile\n"
    "  install-script: echo install\n"
    "  finish: echo finish\n"
    "  remove: [r1, r2]\n"
    "  development: [d1, d2]\n"
    "  flags: strip\n"
    "  allow-isa:\n"
    "    - {file: isa1.S, reason: why1}\n"
    "    - {file: isa2.S, reason: why2}\n"
    "  memory: 500\n"
    "  link-memory: 600\n"
    "  minutes: 7\n"
    "relocation:\n"
    "  keep:\n"
    "    - {file: keep1, reason: why3, check: c-py}\n"
    "  host-libraries:\n"
    "    - {name: libh1.so, file: hf1, reason: why6}\n"
    "checks:\n"
    "  - {import: [mod], name: c-import, timeout: 10, network: none, requires: [q1]}\n"
    "  - {python: pass, name: c-py, timeout: 11, network: none, requires: [q2]}\n"
    "  - {command: [bin/c], name: c-com, timeout: 12, network: none, requires: [q3]}\n"
    "  - {shell: 'true', name: c-sh, timeout: 13, network: none, requires: [q4]}\n"
    "audit:\n"
    "  policy: guarded\n"
    "  exceptions:\n"
    "    - {symbol: sym, file: af1, features: [avx], reason: why4}\n"
    "    - {range: 0x1-0x2, file: af2, sha256: " SHA_A ", features: [fma], reason: why5}\n";

#define TRIED(file, sha256, holds)                                                                 \
    "  policy: tried\n  tried: [{file: " file ", sha256: " sha256 ", holds: " holds "}]\n"

typedef struct iw_change {
    const char *shape, *key;
    const char *from, *to; /* the first `from` becomes `to` */
    bool built;            /* whether the meaning must change */
} iw_change;

static const iw_change changes[] = {
    /* clang-format off */
    {"recipe", "name", "name: x", "name: y", true},
    {"recipe", "version", "version: 1.0", "version: 1.1", true},
    {"recipe", "summary", "A thing", "Another", false},
    {"recipe", "licence", "licence: MIT", "licence: MIT OR ISC", false},
    {"recipe", "homepage", "homepage: https://example.org\n", "", false},
    {"recipe", "accept", "homepage: https://example.org\n", "homepage: https://example.org\naccept: acme\n", false},
    {"recipe", "like", "version: 1.0\n", "version: 1.0\nlike: o/1\n", false},
    {"recipe", "sources", "  - {local: files/a, id: ll, to: lt, unpack: true}\n", "", true},
    {"recipe", "patches", "  - one.patch\n", "", true},
    {"recipe", "patches", "one.patch", "two.patch", true},
    {"recipe", "patches", "one.patch", "same.patch", false},
    {"recipe", "needs", "  run: [nr]\n", "", true},
    {"recipe", "build", "system: make", "system: autotools", true},
    {"recipe", "relocation", "    - {file: keep1, reason: why3, check: c-py}\n", "    - {file: other, reason: why3, check: c-py}\n", true},
    {"recipe", "checks", "  - {command: [bin/c], name: c-com, timeout: 12, network: none, requires: [q3]}\n", "", false},
    {"recipe", "audit", "policy: guarded", "policy: clean", false},
    {"recipe", "todo", "audit:\n", "todo: []\naudit:\n", false},
    {"recipe", "watch", "audit:\n", "watch: x-([0-9.]+)\naudit:\n", false},

    {"sources: pypi", "pypi", "pypi: proj", "pypi: other", false},
    {"sources: pypi", "version", "version: 2", "version: 4", false},
    {"sources: pypi", "kind", "kind: sdist", "kind: wheel", true},
    {"sources: pypi", "file", "p.tar.gz", "q.tar.gz", true},
    {"sources: pypi", "sha256", "p.tar.gz, sha256: " SHA_A, "p.tar.gz, sha256: " SHA_B, true},
    {"sources: pypi", "id", "id: pp", "id: ppp", false},
    {"sources: pypi", "to", "to: pt", "to: other", true},
    {"sources: pypi", "to", "to: pt", "to: ./pt//", false},
    {"sources: pypi", "strip", "strip: 2", "strip: 1", true},
    {"sources: pypi", "unpack", "unpack: true", "unpack: false", true},
    {"sources: url", "url", "example.org/u", "example.com/u", false},
    {"sources: url", "mirrors", "example.net", "example.com", false},
    {"sources: url", "file", "file: u.tar.gz", "file: v.tar.gz", true},
    {"sources: url", "file", ", file: u.tar.gz", "", false},
    {"sources: url", "sha256", "u.tar.gz, sha256: " SHA_A, "u.tar.gz, sha256: " SHA_B, true},
    {"sources: url", "id", "id: uu", "id: uuu", false},
    {"sources: url", "to", "to: ut", "to: other", true},
    {"sources: url", "strip", "ut, strip: 2", "ut, strip: 1", true},
    {"sources: url", "unpack", "ut, strip: 2, unpack: true", "ut, strip: 2, unpack: false", true},
    {"sources: debian", "debian", "debian: deb", "debian: bed", false},
    {"sources: debian", "version", "version: 3", "version: 4", false},
    {"sources: debian", "area", "pinned: 20260101", "area: non-free, pinned: 20260101", false},
    {"sources: debian", "pinned", "pinned: 20260101", "pinned: 20260202", false},
    {"sources: debian", "binary", "binary: false", "binary: true", true},
    {"sources: debian", "file", "d.tar.gz", "e.tar.gz", true},
    {"sources: debian", "sha256", "d.tar.gz, sha256: " SHA_A, "d.tar.gz, sha256: " SHA_B, true},
    {"sources: debian", "id", "from: dd", "from: 3", false}, /* with the next one's id taken away below */
    {"sources: debian", "to", "to: dt", "to: other", true},
    {"sources: debian", "strip", "dt, strip: 2", "dt, strip: 1", true},
    {"sources: debian", "unpack", "dt, strip: 2, unpack: true", "dt, strip: 2, unpack: false", true},
    {"sources: git", "git", "example.org/g", "example.com/g", false},
    {"sources: git", "commit", "commit: 1111", "commit: 2222", false},
    {"sources: git", "submodules", "submodules: false", "submodules: true", false},
    {"sources: git", "sha256", "submodules: false, sha256: " SHA_A, "submodules: false, sha256: " SHA_B, true},
    {"sources: git", "id", "id: gg", "id: ggg", false},
    {"sources: git", "to", "to: gt", "to: other", true},
    {"sources: crates", "crates", "crates: Cargo.lock", "crates: rust/Cargo.lock", true},
    {"sources: crates", "sha256", "Cargo.lock, sha256: " SHA_A, "Cargo.lock, sha256: " SHA_B, true},
    {"sources: crates", "without", "id: cc", "id: cc, without: ['alloc*']", true},
    {"sources: crates", "id", "id: cc", "id: ccc", false},
    {"sources: local", "local", "local: files/a", "local: files/b", true},
    {"sources: local", "local", "local: files/a", "local: files/same/a", false},
    {"sources: local", "id", "id: ll", "id: lll", false},
    {"sources: local", "to", "to: lt", "to: other", true},
    {"sources: local", "unpack", "lt, unpack: true", "lt, unpack: false", true},

    {"patches", "from", "from: dd", "from: uu", true},
    {"patches", "files", "debian/a.diff, debian/b.diff", "debian/b.diff, debian/a.diff", true},
    {"patches", "strip", "strip: 3", "strip: 1", true},
    {"needs", "build", "nc/1", "nc/2", true},
    {"needs", "build", "[nb, nc/1]", "[nc/1, nb]", false},
    {"needs", "run", "[nr]", "[nr, nt]", true},

    {"build", "system", "system: make", "system: cmake", true},
    {"build", "directory", "directory: sub", "directory: .", true},
    {"build", "directory", "directory: sub", "directory: ./sub/", false},
    {"build", "optimise", "-O1", "-O3", true},
    {"build", "environment", "E1: v1", "E1: v3", true},
    {"build", "environment", "E1: v1, E2: v2", "E2: v2, E1: v1", false},
    {"build", "arguments", "a1, a2", "a2, a1", true},
    {"build", "make", "m1, m2", "m1", true},
    {"build", "install", "i1, i2", "i2, i1", true},
    {"build", "prepare", "echo prepare", "echo other", true},
    {"build", "configure", "echo configure", "echo other", true},
    {"build", "compile", "echo compile", "echo other", true},
    {"build", "install-script", "echo install", "echo other", true},
    {"build", "finish", "echo finish", "echo other", true},
    {"build", "remove", "r1, r2", "r1, r3", true},
    {"build", "remove", "r1, r2", "r2, r1", false},
    {"build", "development", "d1, d2", "d1", true},
    {"build", "development", "d1, d2", "d2, d1", false},
    {"build", "flags", "flags: strip", "flags: deny", true},
    {"build", "allow-isa", "    - {file: isa1.S, reason: why1}\n", "", true},
    {"build", "allow-isa", "    - {file: isa1.S, reason: why1}\n    - {file: isa2.S, reason: why2}\n",
     "    - {file: isa2.S, reason: why2}\n    - {file: isa1.S, reason: why1}\n", false},
    {"build", "memory", "  memory: 500", "  memory: 501", false},
    {"build", "link-memory", "  link-memory: 600\n", "", false},
    {"build", "minutes", "  minutes: 7\n", "", false},
    {"build: allow-isa", "file", "isa1.S", "isa3.S", true},
    {"build: allow-isa", "reason", "why1", "other", false},
    {"relocation", "keep", "[]", "[]", false}, /* see "recipe", "relocation" */
    {"relocation: keep", "file", "keep1", "keep2", true},
    {"relocation: keep", "reason", "why3", "other", false},
    {"relocation: keep", "check", ", check: c-py", "", false},
    {"relocation", "host-libraries", "  host-libraries:\n    - {name: libh1.so, file: hf1, reason: why6}\n", "", false},
    {"relocation: host-libraries", "name", "libh1.so", "libh2.so", false},
    {"relocation: host-libraries", "file", "hf1", "other", false},
    {"relocation: host-libraries", "reason", "why6", "other", false},

    {"checks: import", "import", "[mod]", "[mod, dom]", false},
    {"checks: import", "name", "c-import", "other", false},
    {"checks: import", "timeout", "timeout: 10", "timeout: 20", false},
    {"checks: import", "network", "timeout: 10, network: none", "timeout: 10, network: loopback", false},
    {"checks: import", "requires", "q1", "other", false},
    {"checks: python", "python", "python: pass", "python: 1", false},
    {"checks: python", "name", "name: c-py", "name: c-py2", false},
    {"checks: python", "timeout", "timeout: 11", "timeout: 20", false},
    {"checks: python", "network", "timeout: 11, network: none", "timeout: 11, network: loopback", false},
    {"checks: python", "requires", "q2", "other", false},
    {"checks: command", "command", "bin/c", "bin/d", false},
    {"checks: command", "name", "c-com", "other", false},
    {"checks: command", "timeout", "timeout: 12", "timeout: 20", false},
    {"checks: command", "network", "timeout: 12, network: none", "timeout: 12, network: loopback", false},
    {"checks: command", "requires", "q3", "other", false},
    {"checks: shell", "shell", "'true'", "'false'", false},
    {"checks: shell", "name", "c-sh", "other", false},
    {"checks: shell", "timeout", "timeout: 13", "timeout: 20", false},
    {"checks: shell", "network", "timeout: 13, network: none", "timeout: 13, network: loopback", false},
    {"checks: shell", "requires", "q4", "other", false},
    {"audit", "policy", "policy: guarded", "policy: clean", false},
    {"audit", "tried", "  policy: guarded\n", TRIED("t", SHA_A, "{avx: 1}"), false},
    {"audit: tried", "file", "  policy: guarded\n", TRIED("u", SHA_A, "{avx: 1}"), false},
    {"audit: tried", "sha256", "  policy: guarded\n", TRIED("t", SHA_B, "{avx: 1}"), false},
    {"audit: tried", "holds", "  policy: guarded\n", TRIED("t", SHA_A, "{avx: 1, fma: 2}"), false},
    {"audit", "exceptions", "    - {symbol: sym, file: af1, features: [avx], reason: why4}\n", "", false},
    {"audit: exceptions: symbol", "symbol", "symbol: sym", "symbol: mys", false},
    {"audit: exceptions: symbol", "file", "af1", "other", false},
    {"audit: exceptions: symbol", "features", "[avx]", "[avx2]", false},
    {"audit: exceptions: symbol", "reason", "why4", "other", false},
    {"audit: exceptions: range", "range", "0x1-0x2", "0x1-0x3", false},
    {"audit: exceptions: range", "file", "af2", "other", false},
    {"audit: exceptions: range", "sha256", "af2, sha256: " SHA_A, "af2, sha256: " SHA_B, false},
    {"audit: exceptions: range", "features", "[fma]", "[avx2]", false},
    {"audit: exceptions: range", "reason", "why5", "other", false},

    /* defaults written out or not, order, comments, ways to write the same */
    {"", "", "version: 1.0\nsummary: A thing\n", "summary: 'A thing' # comment\n\nversion: \"1.0\"\n", false},
    {"", "", "  flags: strip\n", "", false},
    {"", "", "kind: sdist, ", "", false},
    {"", "", "binary: false, ", "", false},
    {"", "", ", unpack: true}", "}", false},
    {"", "", "needs:\n  build: [nb, nc/1]\n  run: [nr]\n", "needs: {run: [nr], build: [nb, nc/1]}\n", false},
    {"", "", "prepare: echo prepare", "prepare: \"echo prepare\"", false},
    /* clang-format on */
};

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at) fail_msg("the base recipe holds no %s", from);
    return iw_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void lay_base(const char *root)
{
#define HEADER(d) "Description: " d "\nAuthor: a\nForwarded: no\nApplies-To: 1.*\n---\n"
#define CHANGE(c) "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+" c "\n"
    iw_test_write(root, "patches/x/one.patch", HEADER("d") CHANGE("b"));
    iw_test_write(root, "patches/x/same.patch", HEADER("other words") CHANGE("b"));
    iw_test_write(root, "patches/y/one.patch", HEADER("d") CHANGE("b"));
    iw_test_write(root, "patches/x/two.patch", HEADER("d") CHANGE("c"));
    iw_test_write(root, "recipes/x/files/a", "A\n");
    iw_test_write(root, "recipes/x/files/b", "B\n");
    iw_test_write(root, "recipes/x/files/same/a", "A\n");
    iw_test_write(root, "recipes/y/files/a", "A\n");
    iw_test_write(
        root, "recipes/o/1.yaml",
        "name: o\nversion: 1\nsummary: other\nlicence: ISC\nbuild: {system: script, compile: x}\n");
}

/* The meaning of a recipe's text; caller frees. */
static char *meaning_of(const char *root, const char *text)
{
    iw_error err = IW_ERROR_INIT;
    iw_catalog *catalog;
    const iw_recipe *recipe;
    const char *name = strstr(text, "name: y\n") ? "y" : "x",
               *version = strstr(text, "version: 1.1\n") ? "1.1" : "1.0";
    iw_cleanup_free char *file = iw_format("recipes/%s/%s.yaml", name, version);
    iw_test_write(root, file, text);
    assert_int_equal(iw_catalog_open(root, &catalog, NULL), 0);
    if (iw_catalog_recipe(catalog, name, version, &recipe, &err))
        fail_msg("%s\n%s", iw_error_text(&err), text);
    char *meaning = iw_strdup(recipe->meaning);
    iw_catalog_free(catalog);
    return meaning;
}

static void test_each_key(void **state)
{
    (void)state;
    iw_cleanup_free char *root = iw_test_tree();
    lay_base(root);
    iw_cleanup_free char *before = meaning_of(root, base);
    assert_true(iw_starts_with(before, "recipe-meaning 1\n"));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const iw_change *change = &changes[i];
        if (strcmp(change->from, "[]") == 0) continue;
        iw_cleanup_free char *text = replaced(base, change->from, change->to);
        if (strcmp(change->from, "from: dd") == 0 && strcmp(change->to, "from: 3") == 0) {
            char *without = replaced(text, "id: dd, ", "");
            free(text);
            text = without;
        }
        if (strcmp(change->to, "name: c-py2") == 0) {
            char *renamed = replaced(text, "check: c-py", "check: c-py2");
            free(text);
            text = renamed;
        }
        iw_cleanup_free char *after = meaning_of(root, text);
        if ((strcmp(before, after) != 0) != change->built)
            fail_msg("%s %s: \"%s\" -> \"%s\" %s the meaning", change->shape, change->key,
                     change->from, change->to, change->built ? "doesn't change" : "changes");
    }
    iw_remove_tree(root, NULL);
}

/* A key that is added to the tables must be added above too. */
static void every_key_is_tried(void *context, const iw_shape *shape)
{
    (void)context;
    for (size_t i = 0; i < shape->key_count; i++) {
        const iw_key *key = &shape->keys[i];
        bool tried = false;
        for (size_t k = 0; k < sizeof changes / sizeof *changes; k++)
            tried = tried || (strcmp(changes[k].shape, shape->name) == 0 &&
                              strcmp(changes[k].key, key->name) == 0);
        if (!tried) fail_msg("no change of \"%s\" in \"%s\" is tried", key->name, shape->name);
    }
}

static void test_every_key_is_tried(void **state)
{
    (void)state;
    iw_shape_each(&iw_shape_recipe, every_key_is_tried, NULL);
}

/* What a local source holds, down to the x bit, is part of it. */
static void test_local_content(void **state)
{
    (void)state;
    iw_cleanup_free char *root = iw_test_tree();
    lay_base(root);
    iw_cleanup_free char *before = meaning_of(root, base),
                         *path = iw_path_join(root, "recipes/x/files/a");
    iw_test_write(root, "recipes/x/files/a", "B\n");
    iw_cleanup_free char *content = meaning_of(root, base);
    assert_string_not_equal(before, content);
    iw_test_write(root, "recipes/x/files/a", "A\n");
    assert_int_equal(chmod(path, 0755), 0);
    iw_cleanup_free char *program = meaning_of(root, base);
    assert_string_not_equal(before, program);
    assert_int_equal(chmod(path, 0600), 0);
    iw_cleanup_free char *again = meaning_of(root, base);
    assert_string_equal(before, again);
    iw_remove_tree(root, NULL);
}

/* The same tree in another place means the same. */
static void test_place(void **state)
{
    (void)state;
    iw_cleanup_free char *one = iw_test_tree(), *two = iw_test_tree();
    lay_base(one);
    lay_base(two);
    iw_cleanup_free char *a = meaning_of(one, base), *b = meaning_of(two, base);
    assert_string_equal(a, b);
    assert_null(strstr(a, one));
    iw_remove_tree(one, NULL);
    iw_remove_tree(two, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_key),
        cmocka_unit_test(test_every_key_is_tried),
        cmocka_unit_test(test_local_content),
        cmocka_unit_test(test_place),
    };
    return cmocka_run_group_tests_name("recipe meaning", tests, NULL, NULL);
}
