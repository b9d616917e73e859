/* The decoder against its byte-string cases, and against Zydis on random bytes and on code of this
 * host. */
#include "kit.h"

#include <elf.h>

#include "audit/decode.h"
#include "audit/encoding.h"
#include "audit/image.h"
#include "audit/newer.h"
#include "recipe/features.h"

static size_t from_hex(const char *hex, uint8_t *out, size_t limit)
{
    size_t count = 0;
    for (unsigned byte; count < limit && sscanf(hex + 2 * count, "%2x", &byte) == 1; count++)
        out[count] = (uint8_t)byte;
    return count;
}

/* One line of instructions.test: sweeps the bytes with NOPs around them. */
static void check_line(kit *k, const char *hex, const char *profile, const char *expected)
{
    uint8_t bytes[64];
    iw_isa_rules rules;
    memset(bytes, 0x90, sizeof bytes);
    size_t length = from_hex(hex, bytes, 15);
    iw_isa_rules_make(&kit_profile(k, profile)->usable, &rules);
    iw_coder *coder = iw_coder_new(&rules);
    bool alone = strcmp(expected, "undecodable") == 0;
    for (int fast = 0; fast < 2;
         fast++) { /* with nothing behind it, and with enough for the fast way */
        iw_sweep sweep = {0};
        iw_sweep_run(coder, bytes, 0, length, fast && !alone ? sizeof bytes : length, &sweep);
        const char *found = sweep.count == 0                  ? "-"
                            : sweep.hits[0].isa == IW_ISA_ODD ? "odd"
                                                              : rules.lacks[sweep.hits[0].isa];
        if (strcmp(found, expected) != 0)
            fail_msg("%s for %s: %s, expected %s", hex, profile, found, expected);
        if (!alone) assert_int_equal(sweep.instructions, 1);
        iw_sweep_free(&sweep);
    }
    iw_coder_free(coder);
}

static void test_instructions(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    size_t length, lines = 0;
    kit_ok(iw_read_file("tests/cases/audit/instructions.test", 1 << 20, &text, &length, &err));
    iw_slice rest = {text, length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        char hex[40], profile[20], expected[20];
        iw_cleanup_free char *copy = iw_strndup(line.data, line.length);
        if (*copy == '#' || !*copy) continue;
        assert_int_equal(sscanf(copy, "%39s %19s %19s", hex, profile, expected), 3);
        check_line(*state, hex, profile, expected);
        lines++;
    }
    assert_true(lines > 100);
}

/* --- against Zydis -------------------------------------------------------- */

typedef struct pair {
    iw_coder *coder;
    ZydisDecoder zydis;
} pair;

static void pair_open(kit *k, pair *p)
{
    iw_isa_rules rules;
    iw_isa_rules_make(&kit_profile(k, "k10")->usable, &rules);
    p->coder = iw_coder_new(&rules);
    ZydisDecoderInit(&p->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

/* What Zydis rejects is for newer.test. */
static uint32_t by_zydis(const pair *p, const uint8_t *bytes, size_t available)
{
    ZydisDecodedInstruction in;
    iw_newer newer;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&p->zydis, NULL, bytes,
                                                    available < 15 ? available : 15, &in)))
        return iw_newer_read(&p->zydis, bytes, available, &newer) ? newer.length | newer.isa << 8
                                                                  : 1 | IW_ISA_BAD << 8;
    return in.length | iw_isa_of(in.meta.isa_set, in.mnemonic) << 8;
}

static void check_bytes(const pair *p, const uint8_t *bytes, size_t available)
{
    uint32_t ours = iw_decode(p->coder, bytes, available), zydis = by_zydis(p, bytes, available);
    if (ours == zydis) return;
    char hex[31] = "";
    for (unsigned i = 0; i < 15 && i < available; i++) sprintf(hex + 2 * i, "%02x", bytes[i]);
    fail_msg("%s: length %u class %u, Zydis has %u and %u", hex, ours & 255, ours >> 8, zydis & 255,
             zydis >> 8);
}

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

/* Random bytes, half of them begun like the crowded corners of the encoding. */
static void random_bytes(uint64_t *seed, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)(random_next(seed) >> 20);
    uint8_t any = bytes[count - 1];
    switch (random_next(seed) >> 20 & 15) {
    case 0: bytes[0] = 0xc5; break;
    case 1: bytes[0] = 0xc4, bytes[1] = (uint8_t)((bytes[1] & 0xe0) | (1 + any % 3)); break;
    case 2: bytes[0] = 0x62, bytes[1] = (uint8_t)((bytes[1] & 0xf7) | 1), bytes[2] |= 4; break;
    case 3:
        bytes[0] = 0x62, bytes[1] = (uint8_t)((bytes[1] & 0xf0) | (1 + any % 6)), bytes[2] |= 0x7c;
        break;
    case 4: bytes[0] = "\x66\xf2\xf3\xf0"[any & 3], bytes[1] = 0x0f; break;
    case 5:
        bytes[0] = "\x66\xf2\xf3\xf0"[any & 3], bytes[1] = (uint8_t)(0x40 | (bytes[1] & 15)),
        bytes[2] = 0x0f;
        break;
    case 6: bytes[0] = 0x0f, bytes[1] = any & 1 ? 0x38 : 0x3a; break;
    case 7: bytes[0] = 0x8f; break;
    default: break;
    }
}

static void test_random(void **state)
{
    pair p;
    uint8_t bytes[48];
    uint64_t seed = 0x9e3779b97f4a7c15;
    pair_open(*state, &p);
    for (unsigned i = 0; i < 1000000; i++) {
        random_bytes(&seed, bytes, sizeof bytes);
        check_bytes(&p, bytes, i % 8 == 0 ? 1 + i / 8 % 16 : sizeof bytes);
    }
    iw_coder_free(p.coder);
}

/* Every offset of at most `most` bytes in the middle of each executable section. */
static uint64_t check_file(const pair *p, const char *path, size_t most)
{
    iw_cleanup_free char *data = NULL;
    size_t size = 0;
    uint64_t done = 0;
    iw_image image;
    if (iw_read_file(path, (size_t)1 << 30, &data, &size, NULL) || !iw_image_is_elf(data, size))
        return 0;
    if (iw_image_open(data, size, path, &image, NULL)) return 0;
    for (size_t i = 0; i < image.code_count; i++) {
        const iw_code *code = &image.codes[i];
        size_t begin = code->size > most ? (code->size - most) / 2 : 0,
               end = code->size > most ? begin + most : code->size;
        for (size_t at = begin; at < end; at++) check_bytes(p, code->data + at, code->size - at);
        done += end - begin;
    }
    iw_image_close(&image);
    return done;
}

typedef struct everything {
    pair p;
    size_t most;
    uint64_t done, files;
} everything;

static int visit_library(void *context, const char *relative, const char *full,
                         const struct stat *status, iw_error *err)
{
    everything *e = context;
    (void)relative, (void)err;
    if (!S_ISREG(status->st_mode) || !strstr(iw_path_base(full), ".so"))
        return S_ISDIR(status->st_mode) && e->most != SIZE_MAX;
    uint64_t done = check_file(&e->p, full, e->most);
    e->done += done;
    e->files += done > 0;
    return 0;
}

/* A part of each library of this host. IW_AUDIT_EVERY=1: all of each, and of folders below, which
 * takes half an hour; IW_AUDIT_FOLDER: somewhere else. */
static void test_libraries(void **state)
{
    const char *folder = getenv("IW_AUDIT_FOLDER");
    everything e = {.most = getenv("IW_AUDIT_EVERY") ? SIZE_MAX : 1500};
    iw_error err = IW_ERROR_INIT;
    pair_open(*state, &e.p);
    kit_ok(iw_walk(folder ? folder : "/usr/lib/x86_64-linux-gnu", visit_library, &e, &err));
    if (e.most == SIZE_MAX)
        print_message("%llu bytes of %llu files, as Zydis has them at every offset\n",
                      (unsigned long long)e.done, (unsigned long long)e.files);
    assert_true(e.done > 100000);
    iw_coder_free(e.p.coder);
}

/* The fast loop finds the boundaries that one instruction after the other gives. */
static void test_sweep(void **state)
{
    pair p;
    uint8_t *bytes = iw_alloc(1 << 20);
    uint64_t seed = 88172645463325252;
    iw_sweep sweep = {0};
    pair_open(*state, &p);
    for (size_t i = 0; i + 48 <= 1 << 20; i += 24) random_bytes(&seed, bytes + i, 48);
    size_t at = 0, hit = 0, stopped = iw_sweep_run(p.coder, bytes, 0, 1 << 20, 1 << 20, &sweep);
    uint64_t count = 0;
    for (; at < 1 << 20; count++) {
        uint32_t one = by_zydis(&p, bytes + at, (1 << 20) - at);
        bool odd = (one & 255) == 2 && bytes[at] == 0 && bytes[at + 1] == 0;
        if (iw_coder_rules(p.coder)->forbidden[one >> 8] || odd) {
            assert_true(hit < sweep.count);
            assert_int_equal(sweep.hits[hit].offset, at);
            assert_int_equal(sweep.hits[hit].length, one & 255);
            assert_int_equal(sweep.hits[hit].isa, odd ? IW_ISA_ODD : one >> 8);
            hit++;
        }
        at += one & 255;
    }
    assert_int_equal(hit, sweep.count);
    assert_int_equal(count, sweep.instructions);
    assert_int_equal(at, stopped);
    iw_sweep_free(&sweep);
    iw_coder_free(p.coder);
    free(bytes);
}

/* Whatever a finding is called, an exception can name it. */
static void test_features_have_names(void **state)
{
    (void)state;
    for (unsigned isa = 1; isa < IW_ISA_LIMIT; isa++)
        for (const char *const *need = iw_isa_needs(isa); need && *need; need++)
            if (!iw_feature_named(*need)) fail_msg("no exception could name %s", *need);
    assert_false(iw_feature_named("undecodable"));
}

/* --- newer than Zydis ----------------------------------------------------- */

enum { NEWER_LIMIT = 1000, NEWER_STEP = 32 };

typedef struct newer_case {
    uint8_t bytes[NEWER_STEP]; /* NOPs behind it */
    size_t length;
    char feature[16], name[24], meaning[64];
} newer_case;

static size_t read_newer(newer_case *cases)
{
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *text = NULL;
    size_t length, count = 0;
    kit_ok(iw_read_file("tests/cases/audit/newer.test", 1 << 20, &text, &length, &err));
    iw_slice rest = {text, length}, line;
    while (iw_slice_next(&rest, '\n', &line)) {
        char hex[40];
        iw_cleanup_free char *copy = iw_strndup(line.data, line.length);
        newer_case *c = &cases[count];
        if (*copy == '#' || !*copy) continue;
        assert_true(count < NEWER_LIMIT);
        assert_int_equal(sscanf(copy, "%39s %15s %23s %63[^\n]", hex, c->feature, c->name,
                                c->meaning),
                         4);
        memset(c->bytes, 0x90, sizeof c->bytes);
        c->length = from_hex(hex, c->bytes, 15);
        count++;
    }
    return count;
}

/* Names and lengths, by every way that leads there; and cut off anywhere it's nothing. */
static void test_newer(void **state)
{
    kit *k = *state;
    newer_case *cases = iw_alloc(NEWER_LIMIT * sizeof *cases);
    size_t count = read_newer(cases);
    pair p;
    pair_open(k, &p);
    assert_true(count > 600);
    for (size_t i = 0; i < count; i++) {
        const newer_case *c = &cases[i];
        iw_sweep sweep = {0};
        iw_instruction in;
        uint32_t found = iw_decode(p.coder, c->bytes, sizeof c->bytes);
        const char *feature = found >> 8 == IW_ISA_BAD ? "undecodable"
                              : iw_isa_needs(found >> 8) && iw_isa_needs(found >> 8)[0]
                                  ? iw_isa_needs(found >> 8)[0]
                                  : "-";
        if ((found & 255) != c->length || strcmp(feature, c->feature) != 0)
            fail_msg("%s: length %u, %s", c->meaning, found & 255, feature);
        for (size_t cut = 1; cut < c->length; cut++)
            if (iw_decode(p.coder, c->bytes, cut) != (1 | IW_ISA_BAD << 8))
                fail_msg("%s: known from %zu bytes", c->meaning, cut);
        iw_sweep_run(p.coder, c->bytes, 0, c->length, sizeof c->bytes, &sweep);
        assert_int_equal(sweep.count, 1);
        assert_int_equal(sweep.hits[0].isa, found >> 8);
        iw_sweep_free(&sweep);
        assert_int_equal(iw_instruction_read(c->bytes, sizeof c->bytes, 0,
                                             kit_profile(k, "x86-64-v3"), &in),
                         0);
        assert_string_equal(in.text, c->name);
        assert_string_equal(in.feature, c->feature);
        assert_false(in.allowed);
    }
    iw_coder_free(p.coder);
    free(cases);
}

/* The line of objdump for an offset: the count of its bytes, and the mnemonic in `text`; 0 where it
 * says (bad). */
static unsigned objdump_says(const char *listing, size_t offset, char *text, size_t size)
{
    iw_cleanup_free char *label = iw_format("\n%8zx:\t", offset);
    const char *line = strstr(listing, label);
    unsigned count = 0;
    assert_non_null(line);
    line += strlen(label);
    for (; line[0] != ' ' && line[0] != '\t' && line[0] != '\n'; line += 3) count++;
    line += strspn(line, " \t");
    if (iw_starts_with(line, "{")) line = strchr(line, ' ') + 1; /* {vex} */
    snprintf(text, size, "%.*s", (int)strcspn(line, " \n"), line);
    return strncmp(text, "(bad)", 5) == 0 ? 0 : count;
}

/* Debian's binutils 2.40 know eight of these features. */
static void test_newer_by_objdump(void **state)
{
    static const char *const known[] = {"amx-fp16",  "avxifma", "avxneconvert", "avxvnniint8",
                                        "cmpccxadd", "msrlist", "raoint",       "wrmsrns"};
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    newer_case *cases = iw_alloc(NEWER_LIMIT * sizeof *cases);
    size_t count = read_newer(cases), agreed[8] = {0}, length;
    iw_cleanup_buffer iw_buffer all = {0};
    for (size_t i = 0; i < count; i++) iw_buffer_add(&all, cases[i].bytes, NEWER_STEP);
    iw_cleanup_free char *path = iw_path_join(k->folder, "newer.bin"),
                         *listing_path = iw_path_join(k->folder, "newer.txt"), *listing = NULL;
    kit_ok(iw_write_file(path, all.data, all.length, 0644, &err));
    kit_run(k, "objdump -D -b binary -m i386:x86-64 -M intel --insn-width=16 newer.bin >newer.txt");
    kit_ok(iw_read_file(listing_path, 1 << 24, &listing, &length, &err));
    for (size_t i = 0; i < count; i++) {
        char mnemonic[40];
        unsigned bytes = objdump_says(listing, i * NEWER_STEP, mnemonic, sizeof mnemonic);
        for (size_t f = 0; f < 8; f++) {
            if (strcmp(cases[i].feature, known[f]) != 0) continue;
            size_t first = strcspn(cases[i].meaning, " ");
            if (bytes != cases[i].length || strlen(mnemonic) != first ||
                strncmp(mnemonic, cases[i].meaning, first) != 0)
                fail_msg("objdump has %s of %u bytes for %s of %zu", mnemonic, bytes,
                         cases[i].meaning, cases[i].length);
            agreed[f]++;
        }
    }
    for (size_t f = 0; f < 8; f++) assert_true(agreed[f] > 0);
    free(cases);
}

static void test_read_one(void **state)
{
    iw_instruction in;
    assert_int_equal(iw_instruction_read("\x66\x0f\x38\x00\xc1", 5, 0x1000,
                                         kit_profile(*state, "k10"), &in),
                     0);
    assert_string_equal(in.text, "pshufb xmm0, xmm1");
    assert_string_equal(in.feature, "ssse3");
    assert_false(in.allowed);
    assert_int_equal(iw_instruction_read("\x66\x0f\x38\x00\xc1", 5, 0x1000,
                                         kit_profile(*state, "core2"), &in),
                     0);
    assert_true(in.allowed);
    assert_int_equal(in.length, 5);
    assert_int_equal(iw_instruction_read("\x06", 1, 0, NULL, &in), -1);
    assert_int_equal(iw_instruction_read("\x48", 1, 0, NULL, &in), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_instructions, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_random, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_libraries, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_sweep, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_read_one, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_newer, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(test_newer_by_objdump, kit_open, kit_close),
        cmocka_unit_test(test_features_have_names),
    };
    return cmocka_run_group_tests_name("decoding", tests, NULL, NULL);
}
