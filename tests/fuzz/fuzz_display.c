/* Fuzz target: the display. Whatever happens in whatever order, at any width and height, the frames
 * stay within their bounds, and neither they nor the lines that stay hold anything that a terminal
 * would obey. The bytes are a little program, read by `next`. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/ui/frame_check.h"
#include "base/text.h"
#include "ui/display.h"

#define SUBJECTS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const uint8_t *at, *end;
} input;

static uint8_t next(input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static uint64_t next_number(input *in)
{
    uint64_t value = 0;
    for (unsigned left = next(in) % 9; left; left--) value = value << 8 | next(in);
    return value;
}

/* Up to 63 bytes of the input, or one of the words that mean something; NULL sometimes. `text`
 * holds 64. */
static const char *next_text(input *in, char *text)
{
    static const char *const words[] = {"fetch",
                                        "compile",
                                        "check",
                                        "unpack",
                                        "B",
                                        "%",
                                        "reused",
                                        "passed",
                                        "[12/345] cc -c a.c",
                                        "[ 12%] \033[32mBuilding\r",
                                        "\xf0\x9f\x99\x82",
                                        ""};
    uint8_t kind = next(in);
    if (kind == 0) return NULL;
    if (kind <= sizeof words / sizeof *words) return words[kind - 1];
    size_t length = kind % 64, i = 0;
    for (; i < length && in->at < in->end; i++) text[i] = (char)next(in);
    text[i] = '\0';
    return text;
}

static void broken(const char *what, const iw_buffer *text)
{
    fprintf(stderr, "fuzz_display: %s:\n%s\n", what, text->data ? text->data : "");
    abort();
}

static void check_frame(const iw_display *display, const iw_display_style *style, input *in,
                        int64_t now)
{
    iw_buffer out = {0};
    size_t width = next(in), height = next(in) % 40;
    size_t lines = iw_display_frame(display, width, height, now, &out);
    const char *trouble = frame_trouble(out.data, lines, width, height, style->colour);
    if (trouble) broken(trouble, &out);
    iw_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!use_utf8()) abort();
    input in = {data, data + size};
    uint8_t choice = next(&in);
    iw_display_style style = {
        .colour = choice & 1, .verbose = choice & 2, .plain = choice & 4, .ascii = choice & 8};
    iw_display *display = iw_display_new(&style);
    char texts[5][64], subjects[SUBJECTS][64];
    const char *subject[SUBJECTS];
    for (size_t i = 0; i < SUBJECTS; i++) subject[i] = next_text(&in, subjects[i]);
    int64_t now = choice & 16 ? (int64_t)next_number(&in) : 1000;
    iw_buffer lines = {0};
    while (in.at < in.end) {
        uint8_t type = next(&in);
        if (choice & 32) now = (int64_t)((uint64_t)now + next_number(&in)); /* any clock */
        if (now < INT64_MAX / 2 && !(choice & 32)) now += next(&in) * 100;
        iw_event event = {.type = (iw_event_type)(type % 8),
                          .subject = type & 128 ? next_text(&in, texts[0])
                                                : subject[(type >> 3) % SUBJECTS],
                          .phase = next_text(&in, texts[1]),
                          .detail = next_text(&in, texts[2]),
                          .path = next_text(&in, texts[3]),
                          .unit = next_text(&in, texts[4]),
                          .count = next_number(&in),
                          .total = next_number(&in),
                          .when = now};
        iw_display_event(display, &event, &lines);
        check_frame(display, &style, &in, now);
    }
    for (const char *at = lines.data ? lines.data : ""; *at;)
        if (line_columns(&at, style.colour) < 0)
            broken("a line that stays holds what it must not", &lines);
    iw_buffer_free(&lines);
    iw_display_free(display);
    return 0;
}
