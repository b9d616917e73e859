/* Pieces of a file: how many, whether a list fits, and what is known of what has come. */
#include "../folder.h"

#include "base/memory.h"
#include "fetch/pieces.h"

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(iw_pieces_size(0), 65536);
    assert_int_equal(iw_pieces_size(62 * 65536), 65536);
    assert_int_equal(iw_pieces_size(62 * 65536 + 1), 131072);
    for (uint64_t size = 1; size < UINT64_C(1) << 45; size = size * 3 + 1) {
        uint64_t piece = iw_pieces_size(size);
        assert_true(size / piece <= IW_PIECES_MOST && (piece & (piece - 1)) == 0);
    }
}

static char *digits(size_t count)
{
    char *out = iw_alloc(count * 64 + 1);
    memset(out, 'a', count * 64);
    return out;
}

static void test_fit(void **state)
{
    (void)state;
    iw_cleanup_free char *two = digits(2), *many = digits(IW_PIECES_MOST + 1);
    assert_true(iw_pieces_fit(two, 10, 11) && iw_pieces_fit(two, 10, 20) &&
                iw_pieces_fit("", 10, 0));
    assert_false(iw_pieces_fit(two, 10, 10) || iw_pieces_fit(two, 10, 21) ||
                 iw_pieces_fit(two, 0, 20));
    assert_false(iw_pieces_fit(many, 1, IW_PIECES_MOST + 1) || iw_pieces_fit(two, 1, UINT64_MAX));
    two[70] = 'G';
    assert_false(iw_pieces_fit(two, 10, 20));
}

static char content[1000];

static char *added(uint64_t piece, size_t portion)
{
    iw_pieces *pieces = iw_pieces_new(piece);
    for (size_t at = 0; at < sizeof content; at += portion)
        iw_pieces_add(pieces, content + at,
                      sizeof content - at < portion ? sizeof content - at : portion);
    char *list = iw_pieces_finish(pieces);
    iw_pieces_free(pieces);
    return list;
}

/* In whatever portions it comes. */
static char *list_of(uint64_t piece)
{
    char digest[IW_SHA256_HEX];
    for (size_t i = 0; i < sizeof content; i++) content[i] = (char)(i * 7);
    char *list = added(piece, sizeof content);
    for (size_t portion = 1; portion < sizeof content; portion += 31) {
        iw_cleanup_free char *other = added(piece, portion);
        assert_string_equal(list, other);
    }
    iw_hash_bytes(content, piece < sizeof content ? (size_t)piece : sizeof content, digest);
    assert_memory_equal(list, digest, 64);
    assert_true(iw_pieces_fit(list, piece, sizeof content));
    return list;
}

/* In whatever portions it comes: what is good ends at a piece's end, and never behind what came. */
static void test_piecewise(void **state)
{
    (void)state;
    static const uint64_t pieces[] = {64, 100, 999, 1000, 5000};
    for (size_t k = 0; k < 5; k++) {
        uint64_t piece = pieces[k];
        iw_cleanup_free char *list = list_of(piece);
        for (size_t portion = 1; portion <= sizeof content; portion += 13) {
            iw_piecewise p = {list, piece, sizeof content, NULL, 0, 0, false};
            for (size_t at = 0; at < sizeof content; at += portion) {
                size_t left = sizeof content - at, take = left < portion ? left : portion;
                iw_piecewise_add(&p, content + at, take);
                uint64_t whole = (at + take) / piece * piece;
                assert_int_equal(p.good, at + take == sizeof content ? sizeof content : whole);
            }
            assert_false(p.wrong);
            iw_piecewise_add(&p, "x", 1);
            assert_true(p.wrong && p.good == sizeof content);
            iw_piecewise_free(&p);
        }
    }
}

static void test_wrong(void **state)
{
    (void)state;
    iw_cleanup_free char *list = list_of(100);
    for (size_t wrong = 0; wrong < sizeof content; wrong += 37) {
        iw_piecewise p = {list, 100, sizeof content, NULL, 0, 0, false};
        content[wrong] ^= 1;
        iw_piecewise_add(&p, content, sizeof content);
        content[wrong] ^= 1;
        assert_true(p.wrong && p.good == wrong / 100 * 100);
        iw_piecewise_add(&p, content, 100);
        assert_true(p.wrong && p.good == wrong / 100 * 100);
        iw_piecewise_restart(&p);
        iw_piecewise_add(&p, content, sizeof content);
        assert_true(!p.wrong && p.good == sizeof content);
        iw_piecewise_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_fit),
                                       cmocka_unit_test(test_piecewise),
                                       cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
}
