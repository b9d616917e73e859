/* Planted violations: each kind of place is compiled, audited, and must be found there and nowhere
 * else. */
#include "kit.h"

#include <archive.h>
#include <archive_entry.h>

#include "base/hash.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_lines(const char *lines, const char *const *wanted)
{
    for (; *wanted; wanted++)
        if (!strstr(lines, *wanted)) fail_msg("\"%s\" is missing in:\n%s", *wanted, lines);
}

static size_t count_of(const char *lines, const char *what)
{
    size_t count = 0;
    for (const char *at = lines; (at = strstr(at, what)); at += strlen(what)) count++;
    return count;
}

/* Builds `library` in the kit's folder and audits it. */
static char *build(kit *k, const char *command, const char *library, const char *profile,
                   const iw_exception *exceptions, size_t count, iw_verdict *verdict)
{
    kit_run(k, command);
    iw_cleanup_free char *path = iw_path_join(k->folder, library);
    return kit_audit(k, path, profile, exceptions, count, verdict);
}

#define EXPECT(lines, ...) expect_lines(lines, (const char *const[]){__VA_ARGS__, NULL})

static void test_function(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state, "gcc -O2 -shared -fPIC -o f.so $PLANTED/function.c",
                                        "f.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding planted ssse3 broken pshufb | -\n", "file f.so broken\n");
    assert_int_equal(count_of(lines, "finding"), 1);
    iw_cleanup_free char *clean = build(*state, "true", "f.so", "core2", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_CLEAN);
    assert_string_equal(clean, "file f.so clean\n");
}

static void test_constructor(void **state)
{
    static const char *const features[] = {"avx", "avx2", NULL};
    const iw_exception exceptions[] = {
        {.symbol = "*", .file = "c.so", .reason = "reviewed", .features = {features, 2}}};
    iw_verdict verdict;
    iw_cleanup_free char *lines =
        build(*state, "gcc -O1 -fno-inline -shared -fPIC -o c.so $PLANTED/constructor.c", "c.so",
              "k10", exceptions, 1, &verdict);
    assert_int_equal(
        verdict, IW_VERDICT_BROKEN); /* the exception counts only in what doesn't run before main */
    EXPECT(lines,
           "finding planted_deep avx2 broken vpxor | constructor planted_start -> planted_middle "
           "-> planted_deep\n",
           "finding never_before_main avx guarded vzeroupper | -\n");
    assert_int_equal(count_of(lines, "broken"), 3);
    assert_int_equal(count_of(lines, "guarded"), 2);
}

static void test_resolver(void **state)
{
    static const char *const features[] = {"avx", "bmi2", NULL};
    const iw_exception exceptions[] = {
        {.symbol = "*", .file = "r.so", .reason = "reviewed", .features = {features, 2}}};
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state, "gcc -O1 -shared -fPIC -o r.so $PLANTED/resolver.c",
                                        "r.so", "k10", exceptions, 1, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "bmi2 broken shlx | IFUNC resolver ",
           "finding fast avx guarded vzeroupper | -\n");
}

static void test_static_archive(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(
        *state,
        "gcc -O1 -fno-inline -c -o with-a-very-long-member-name.o $PLANTED/constructor.c; gcc -O2 "
        "-c $PLANTED/function.c; rm -f l.a; ar rc l.a with-a-very-long-member-name.o function.o",
        "l.a", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "file l.a(with-a-very-long-member-name.o) broken\n",
           "file l.a(function.o) broken\n", "finding planted ssse3 broken pshufb | -\n",
           "finding planted_deep avx2 broken vpxor | constructor planted_start -> planted_middle "
           "-> planted_deep\n");
}

static void test_stripped(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state,
                                        "gcc -O1 -fno-inline -fvisibility=hidden -shared -fPIC -o "
                                        "s.so $PLANTED/constructor.c; strip s.so",
                                        "s.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "avx2 broken vpxor | constructor sub_", "finding sub_");
    assert_int_equal(count_of(lines, "finding"), 4);
    /* Without .eh_frame, too. */
    iw_cleanup_free char *bare =
        build(*state,
              "gcc -O1 -fno-inline -fvisibility=hidden -fno-asynchronous-unwind-tables -shared "
              "-fPIC -o b.so $PLANTED/constructor.c; strip b.so",
              "b.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    assert_int_equal(count_of(bare, " broken v"), 4);
    /* Without section headers. */
    iw_cleanup_free char *sections = build(
        *state,
        "cp s.so n.so; printf '\\0\\0\\0\\0\\0\\0\\0\\0' | dd of=n.so bs=1 seek=40 conv=notrunc "
        "2>/dev/null; printf '\\0\\0\\0\\0' | dd of=n.so bs=1 seek=60 conv=notrunc 2>/dev/null",
        "n.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    assert_int_equal(count_of(sections, " broken v"), 4);
}

static void test_jump_table(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines =
        build(*state, "gcc -shared -fPIC -o t.so $PLANTED/table.S; strip t.so", "t.so", "k10", NULL,
              0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding planted ssse3 broken pshufb | -\n");
    assert_int_equal(count_of(lines, "finding"), 1);
}

static void test_hand_written(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines =
        build(*state, "gcc -shared -fPIC -o h.so $PLANTED/hand.S; strip h.so", "h.so", "k10", NULL,
              0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "ssse3 broken pabsb | -\n", "ssse3 broken phaddw | -\n");
    iw_cleanup_free char *packed =
        build(*state,
              "gcc -shared -fPIC -Wl,-z,pack-relative-relocs -o q.so $PLANTED/hand.S; strip q.so",
              "q.so", "k10", NULL, 0, &verdict);
    EXPECT(packed, "ssse3 broken pabsb | -\n", "ssse3 broken phaddw | -\n");
    assert_int_equal(count_of(lines, " broken "), 2); /* the table is no code */
    assert_true(count_of(lines, "avx undecided") <= 2);
    iw_cleanup_free char *labelled =
        build(*state, "gcc -shared -fPIC -o v.so $PLANTED/hand.S; gcc -c -o v.o $PLANTED/hand.S",
              "v.so", "k10", NULL, 0, &verdict);
    EXPECT(labelled, "finding helper ssse3 broken pabsb | -\n",
           "finding pointed ssse3 broken phaddw | -\n");
    assert_int_equal(count_of(labelled, " broken "), 2);
    iw_cleanup_free char *object = build(*state, "true", "v.o", "k10", NULL, 0, &verdict);
    EXPECT(object, "finding helper ssse3 broken pabsb | -\n",
           "finding pointed ssse3 broken phaddw | -\n");
    assert_int_equal(count_of(object, " broken "), 2);
}

static void test_tables(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines =
        build(*state, "gcc -shared -fPIC -o d.so $PLANTED/tables.S; strip d.so", "d.so", "core2",
              NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_CLEAN);
    assert_int_equal(count_of(lines, " broken"), 0);
    assert_true(count_of(lines, "undecided") > 0); /* named, not passed over */
    /* With its label, which doesn't say that it's a table. */
    iw_cleanup_free char *labelled =
        build(*state,
              "gcc -shared -fPIC -o u.so $PLANTED/tables.S; gcc -c -o u.o $PLANTED/tables.S",
              "u.so", "core2", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_CLEAN);
    assert_int_equal(count_of(labelled, " broken"), 0);
    iw_cleanup_free char *object = build(*state, "true", "u.o", "core2", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_CLEAN);
    assert_int_equal(count_of(object, " broken"), 0);
}

static void test_island(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines =
        build(*state, "gcc -shared -fPIC -o l.so $PLANTED/island.S; strip l.so", "l.so", "k10",
              NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding - avx broken vaddps | -\n");
    assert_int_equal(count_of(lines, " broken "), 1); /* neither table */
}

static void test_pieces(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines =
        build(*state, "gcc -nostdlib -shared -fPIC -o k.so $PLANTED/pieces.S; strip k.so", "k.so",
              "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding - ssse3 broken pabsb | -\n");
    assert_non_null(strstr(lines, "phaddw"));
    assert_int_equal(count_of(lines, "avx broken"), 0);
}

static void test_shadow_stack(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state, "gcc -O2 -shared -fPIC -o i.so $PLANTED/shadow.c",
                                        "i.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding unasked shstk broken incsspq | -\n",
           "finding other_register shstk broken incsspq | -\n");
    assert_int_equal(count_of(lines, "finding"), 2);
}

static void test_newer(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state, "gcc -shared -fPIC -o y.so $PLANTED/newer.S",
                                        "y.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding planted sm4 broken vsm4rnds4 | -\n",
           "finding planted undecodable broken (bad) | -\n",
           "finding planted ssse3 broken pshufb | -\n");
    assert_int_equal(count_of(lines, "finding"), 3);
}

static void test_silent_trap(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state, "gcc -O2 -shared -fPIC -o z.so $PLANTED/lzcnt.c",
                                        "z.so", "core2", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding planted lzcnt broken lzcnt | -\n");
    assert_int_equal(count_of(lines, "finding"), 1);
}

static void test_shunned(void **state)
{
    iw_verdict verdict;
    iw_cleanup_free char *lines = build(*state, "gcc -O2 -shared -fPIC -o p.so $PLANTED/pairs.c",
                                        "p.so", "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(lines, "finding planted 3dnow broken pfcmpeq | -\n");
    assert_int_equal(count_of(lines, "finding"), 1);
}

/* --- exceptions ----------------------------------------------------------- */

static void test_symbol_exception(void **state)
{
    static const char *const ssse3[] = {"ssse3", NULL}, *const avx[] = {"avx", NULL};
    const iw_exception good = {
        .symbol = "plan*", .file = "**/e.so", .reason = "reviewed", .features = {ssse3, 1}};
    iw_exception bad[] = {good, good, good};
    iw_verdict verdict;
    bad[0].symbol = "clean";
    bad[1].file = "lib/other.so";
    bad[2].features = (iw_list){avx, 1};
    iw_cleanup_free char *lines = build(*state, "gcc -O2 -shared -fPIC -o e.so $PLANTED/function.c",
                                        "e.so", "k10", &good, 1, &verdict);
    assert_int_equal(verdict, IW_VERDICT_GUARDED);
    EXPECT(lines, "finding planted ssse3 guarded pshufb | -\n", "file e.so guarded\n");
    iw_cleanup_free char *refused = build(*state, "true", "e.so", "k10", bad, 3, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    assert_int_equal(count_of(refused, "guarded"), 0);
}

/* A file of these bytes that holds just what was counted; an exception's share isn't counted. */
static void test_tried(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    char sha256[IW_SHA256_HEX], other[IW_SHA256_HEX];
    kit_run(k, "gcc -O2 -shared -fPIC -o t.so $PLANTED/function.c");
    iw_cleanup_free char *path = iw_path_join(k->folder, "t.so");
    kit_ok(iw_hash_file(path, sha256, NULL, &err));
    memcpy(other, sha256, sizeof other);
    other[0] = other[0] == '0' ? '1' : '0';
    iw_variable one[] = {{"ssse3", "1"}, {"avx", "1"}}, two[] = {{"ssse3", "2"}},
                none[] = {{"avx", "1"}};
    const struct {
        iw_tried tried;
        iw_verdict verdict;
    } cases[] = {
        {{.file = "t.so", .sha256 = sha256, .holds = one, .holds_count = 1}, IW_VERDICT_TRIED},
        {{.file = "u.so", .sha256 = sha256, .holds = one, .holds_count = 1}, IW_VERDICT_BROKEN},
        {{.file = "t.so", .sha256 = other, .holds = one, .holds_count = 1}, IW_VERDICT_BROKEN},
        {{.file = "t.so", .sha256 = sha256, .holds = one, .holds_count = 2}, IW_VERDICT_BROKEN},
        {{.file = "t.so", .sha256 = sha256, .holds = two, .holds_count = 1}, IW_VERDICT_BROKEN},
        {{.file = "t.so", .sha256 = sha256, .holds = none, .holds_count = 1}, IW_VERDICT_BROKEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_verdict verdict;
        iw_cleanup_free char *lines = kit_audit_tried(k, path, &cases[i].tried, &verdict);
        assert_int_equal(verdict, cases[i].verdict);
        EXPECT(lines,
               i ? "finding planted ssse3 broken pshufb | -\n"
                 : "finding planted ssse3 tried pshufb | -\n",
               i ? "file t.so broken\n" : "file t.so tried\n");
    }
}

static void test_range_exception(void **state)
{
    static const char *const features[] = {"ssse3", NULL};
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    char sha256[IW_SHA256_HEX], other[IW_SHA256_HEX];
    iw_verdict verdict;
    kit_run(k, "gcc -O2 -shared -fPIC -o g.so $PLANTED/function.c; strip g.so");
    iw_cleanup_free char *path = iw_path_join(k->folder, "g.so");
    kit_ok(iw_hash_file(path, sha256, NULL, &err));
    memcpy(other, sha256, sizeof other);
    other[0] = other[0] == '0' ? '1' : '0';
    iw_exception e = {.range = "0x0-0x100000",
                      .sha256 = sha256,
                      .file = "g.so",
                      .reason = "reviewed",
                      .features = {features, 1}};
    free(kit_audit(k, path, "k10", &e, 1, &verdict));
    assert_int_equal(verdict, IW_VERDICT_GUARDED);
    e.range = "0x0-0x10"; /* another place */
    free(kit_audit(k, path, "k10", &e, 1, &verdict));
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    e.range = "0x0-0x100000";
    e.sha256 = other; /* another file */
    free(kit_audit(k, path, "k10", &e, 1, &verdict));
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
}

static void test_probe(void **state)
{
    static const char *const features[] = {"xsave", NULL};
    const iw_exception e = {
        .symbol = "*", .file = "p.so", .reason = "behind OSXSAVE", .features = {features, 1}};
    for (int optimise = 0; optimise < 3; optimise++) {
        iw_verdict verdict;
        iw_cleanup_free char *command =
            iw_format("gcc -O%d -shared -fPIC -o p.so $PLANTED/probe.c", optimise);
        iw_cleanup_free char *lines = build(*state, command, "p.so", "k10", &e, 1, &verdict);
        assert_int_equal(verdict, IW_VERDICT_BROKEN);
        EXPECT(lines, "finding careful xsave guarded xgetbv | constructor careful\n",
               "xsave broken xgetbv | constructor careless");
        assert_int_equal(count_of(lines, "guarded xgetbv"), 1);
        iw_cleanup_free char *without = build(*state, "true", "p.so", "k10", NULL, 0, &verdict);
        assert_int_equal(count_of(without, "guarded"), 0); /* nothing is guarded without a review */
    }
}

/* --- containers ----------------------------------------------------------- */

static void pack(const char *out, int format, const char *member, const char *file)
{
    char *data;
    size_t length;
    assert_int_equal(iw_read_file(file, 1 << 24, &data, &length, NULL), 0);
    struct archive *archive = archive_write_new();
    if (format == 0) archive_write_set_format_zip(archive);
    else archive_write_set_format_pax_restricted(archive), archive_write_add_filter_zstd(archive);
    assert_int_equal(archive_write_open_filename(archive, out), ARCHIVE_OK);
    const char *const names[] = {"README", member};
    for (int i = 0; i < 2; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, names[i]);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, i ? (int64_t)length : 5);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        assert_true(archive_write_data(archive, i ? data : "hello", i ? length : 5) > 0);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    free(data);
}

static void test_containers(void **state)
{
    kit *k = *state;
    iw_verdict verdict;
    kit_run(k, "gcc -O2 -shared -fPIC -o w.so $PLANTED/function.c; mkdir -p tree/lib tree/empty; "
               "cp w.so tree/lib/; printf x >tree/empty/note; ln -sf lib/w.so tree/link.so");
    iw_cleanup_free char *so = iw_path_join(k->folder, "w.so"),
                         *wheel = iw_path_join(k->folder, "tree/w.whl"),
                         *bundle = iw_path_join(k->folder, "w.tar.zst"),
                         *tree = iw_path_join(k->folder, "tree");
    pack(wheel, 0, "w/core.so", so);
    pack(bundle, 1, "top/inner.whl", wheel);
    iw_cleanup_free char *in_wheel = kit_audit(k, wheel, "k10", NULL, 0, &verdict);
    assert_int_equal(verdict, IW_VERDICT_BROKEN);
    EXPECT(in_wheel, "file core.so broken\n");
    iw_cleanup_free char *in_bundle = kit_audit(k, bundle, "k10", NULL, 0, &verdict);
    EXPECT(in_bundle, "file core.so broken\n");
    iw_cleanup_free char *in_tree = kit_audit(k, tree, "k10", NULL, 0, &verdict);
    assert_int_equal(count_of(in_tree, "file "), 2); /* lib/w.so and the wheel's */
    EXPECT(in_tree, "file core.so broken\n", "file w.so broken\n");
}

/* Files come in the order of their paths and findings in the order of addresses, however many
 * threads there are. */
static void test_order(void **state)
{
    kit *k = *state;
    iw_verdict verdict;
    kit_run(k, "mkdir -p many; gcc -O1 -fno-inline -shared -fPIC -o many/a00.so "
               "$PLANTED/constructor.c; for i in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 "
               "17 18 19; do cp many/a00.so many/a$i.so; done");
    iw_cleanup_free char *folder = iw_path_join(k->folder, "many"),
                         *first = kit_audit(k, folder, "k10", NULL, 0, &verdict),
                         *second = kit_audit(k, folder, "k10", NULL, 0, &verdict);
    assert_string_equal(first, second);
    assert_int_equal(count_of(first, "file "), 20);
    assert_true(strstr(first, "file a03.so") < strstr(first, "file a04.so"));
}

static void test_trouble(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_audit_summary summary;
    const iw_audit_options options = {.profile = kit_profile(k, "k10"), .threads = 2};
    kit_run(k, "gcc -O2 -shared -fPIC -o x.so $PLANTED/function.c; head -c 3000 x.so >cut.so; "
               "printf 'text' >note.txt; printf '!<arch>\\nrubbish' >bad.a");
    const char *const names[] = {"cut.so", "note.txt", "bad.a", "missing"};
    for (size_t i = 0; i < 4; i++) {
        iw_cleanup_free char *path = iw_path_join(k->folder, names[i]);
        const char *paths[] = {path, NULL};
        assert_int_equal(iw_audit_paths(paths, 1, &options, &summary, &err), -1);
        assert_non_null(strstr(iw_error_text(&err), names[i]));
        iw_audit_summary_clear(&summary);
        iw_error_clear(&err);
    }
}

/* JSON lines hold what they are said to hold. */
static void keep_json(void *context, const iw_audit_finding *finding)
{
    iw_cleanup_free char *line = iw_audit_finding_json(finding),
                         *text = iw_audit_finding_text(finding);
    iw_buffer_add_format(context, "%s\n%s", line, text);
}

static void keep_file_json(void *context, const iw_audit_file *file)
{
    iw_cleanup_free char *line = iw_audit_file_json(file), *text = iw_audit_file_text(file);
    iw_buffer_add_format(context, "%s\n%s", line, text);
}

static void test_reports(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_audit_summary summary;
    iw_cleanup_buffer iw_buffer lines = {0};
    iw_audit_options options = {.profile = kit_profile(k, "k10"),
                                .threads = 1,
                                .max_findings = 3,
                                .finding = keep_json,
                                .file = keep_file_json,
                                .context = &lines};
    kit_run(k, "gcc -O1 -fno-inline -shared -fPIC -o j.so $PLANTED/constructor.c");
    iw_cleanup_free char *path = iw_path_join(k->folder, "j.so");
    const char *paths[] = {path, NULL};
    kit_ok(iw_audit_paths(paths, 1, &options, &summary, &err));
    iw_cleanup_free char *sum = iw_audit_summary_json(&summary, "k10"),
                         *text = iw_audit_summary_text(&summary, "k10");
    assert_int_equal(count_of(lines.data, "\"type\":\"finding\""),
                     3); /* bounded; all are counted */
    EXPECT(lines.data, "\"function\":\"planted_deep\"", "\"bytes\":\"c5fdefc0\"",
           "\"mnemonic\":\"vpxor\"", "\"feature\":\"avx2\"", "\"type\":\"file\"",
           "\"counts\":{\"avx\":2,\"avx2\":2}", "\"verdict\":\"broken\"",
           "runs before main: constructor planted_start -> planted_middle -> planted_deep");
    EXPECT(sum, "\"type\":\"summary\"", "\"files\":1", "\"counts\":{\"avx\":2,\"avx2\":2}");
    EXPECT(text, "broken for k10: 1 files");
    iw_audit_summary_clear(&summary);
}

/* --- libraries labelled by hand ------------------------------------------- */

typedef struct seen_library {
    iw_buffer features;
    uint64_t undecided_bytes;
} seen_library;

static void keep_features(void *context, const iw_audit_file *file)
{
    seen_library *seen = context;
    iw_buffer_clear(&seen->features);
    for (size_t i = 0; i < file->count_count; i++)
        iw_buffer_add_format(&seen->features, "%s%s", i ? " " : "", file->counts[i].feature);
    if (file->count_count == 0) iw_buffer_add_text(&seen->features, "-");
    seen->undecided_bytes = file->undecided_bytes;
}

static bool is_bookworm(void)
{
    iw_cleanup_free char *text = NULL;
    return iw_read_file("/etc/os-release", 1 << 16, &text, NULL, NULL) == 0 &&
           strstr(text, "VERSION_CODENAME=bookworm");
}

/* One label held against the library; false where there is no such library, or not with these
 * bytes. */
static bool hold_label(kit *k, const char *name, const char *package, const char *sha256,
                       uint64_t undecided, const char *features)
{
    iw_error err = IW_ERROR_INIT;
    seen_library seen = {0};
    char here[IW_SHA256_HEX];
    iw_audit_summary summary;
    const iw_audit_options options = {
        .profile = kit_profile(k, "k10"), .threads = 1, .file = keep_features, .context = &seen};
    iw_cleanup_free char *path = iw_path_join("/usr/lib/x86_64-linux-gnu", name), *data = NULL;
    size_t size;
    if (access(path, R_OK) != 0)
        return print_message("%s isn't here: its label (%s) wasn't held against it\n", name,
                             package),
               false;
    kit_ok(iw_read_file(path, 1 << 28, &data, &size, &err));
    iw_hash_bytes(data, size, here);
    if (strcmp(here, sha256) != 0)
        return print_message(
                   "%s here isn't the labelled one of %s: its label wasn't held against it\n", name,
                   package),
               false;
    kit_ok(iw_audit_paths(ARGV(path), 1, &options, &summary, &err));
    iw_audit_summary_clear(&summary);
    if (strcmp(seen.features.data, features) != 0)
        fail_msg("%s holds %s, its label says %s", name, seen.features.data, features);
    if (seen.undecided_bytes != undecided)
        fail_msg("%s: %llu bytes are undecided, its label says %llu", name,
                 (unsigned long long)seen.undecided_bytes, (unsigned long long)undecided);
    iw_buffer_free(&seen.features);
    return true;
}

static void test_libraries(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    size_t length, held = 0;
    if (!is_bookworm()) return; /* the labels are of its libraries */
    kit_ok(iw_read_file("tests/cases/audit/libraries.test", 1 << 16, &text, &length, &err));
    iw_slice rest = {text, length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *copy = iw_strndup(line.data, line.length);
        char name[40], package[80], sha256[65];
        unsigned long long undecided;
        int used = 0;
        if (*copy == '#' || !*copy) continue;
        assert_int_equal(sscanf(copy, "%39s %79s %64s %llu %n", name, package, sha256, &undecided,
                                &used),
                         4);
        held += hold_label(*state, name, package, sha256, undecided, copy + used);
    }
    assert_true(held >= 20);
}

/* OpenSSL's constants in .text: most are told from code, what is left is named as undecided, and no
 * feature comes of it. */
static void count_undecided(void *context, const iw_audit_finding *finding)
{
    size_t *counts = context;
    counts[finding->standing == IW_FINDING_UNDECIDED]++;
    if (finding->standing == IW_FINDING_UNDECIDED)
        assert_non_null(strstr(finding->reason, "nothing shows these bytes to be code"));
    else
        assert_false(strcmp(finding->feature, "3dnow") == 0 ||
                     strcmp(finding->feature, "rtm") == 0 || strcmp(finding->feature, "vmx") == 0 ||
                     strcmp(finding->feature, "undecodable") == 0);
}

static void test_tables_of_openssl(void **state)
{
    iw_error err = IW_ERROR_INIT;
    size_t counts[2] = {0};
    iw_audit_summary summary;
    const iw_audit_options options = {.profile = kit_profile(*state, "k10"),
                                      .threads = 1,
                                      .max_findings = UINT64_MAX,
                                      .finding = count_undecided,
                                      .context = counts};
    if (!is_bookworm()) return;
    kit_ok(iw_audit_paths(ARGV("/usr/lib/x86_64-linux-gnu/libcrypto.so.3"), 1, &options, &summary,
                          &err));
    assert_true(counts[0] > 1000);
    assert_true(counts[1] > 0 && counts[1] < 200);
    assert_true(summary.undecided_bytes > 100000 &&
                summary.undecided_bytes < summary.code_bytes / 10);
    iw_audit_summary_clear(&summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_function),
        cmocka_unit_test(test_constructor),
        cmocka_unit_test(test_resolver),
        cmocka_unit_test(test_static_archive),
        cmocka_unit_test(test_stripped),
        cmocka_unit_test(test_jump_table),
        cmocka_unit_test(test_hand_written),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_silent_trap),
        cmocka_unit_test(test_shunned),
        cmocka_unit_test(test_symbol_exception),
        cmocka_unit_test(test_tried),
        cmocka_unit_test(test_range_exception),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_libraries),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_shadow_stack),
        cmocka_unit_test(test_island),
        cmocka_unit_test(test_newer),
        cmocka_unit_test(test_tables_of_openssl),
    };
    return cmocka_run_group_tests_name("planted violations", tests, kit_open, kit_close);
}
