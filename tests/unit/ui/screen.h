/* A terminal, as far as our display needs one: carriage return, line feed, CUU, ED and EL to the
 * end, DECAWM, colours; all lines ever shown are kept. It folds long lines, and folds them anew
 * when it becomes narrower. Anything else that it is sent is counted as trouble. One column per
 * byte. */
#ifndef IW_TEST_SCREEN_H
#define IW_TEST_SCREEN_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

typedef struct screen {
    iw_strings lines;
    size_t row, column, width;
    bool no_wrap;
    bool coloured; /* a colour was ever set */
    size_t trouble;
    char sequence[32]; /* begun, not ended */
    size_t sequence_length;
} screen;

static inline char *screen_line(screen *s, size_t row)
{
    while (s->lines.count <= row) {
        iw_strings_add(&s->lines, "");
        char **line = &s->lines.items[s->lines.count - 1];
        free(*line);
        *line = iw_alloc(4096);
    }
    return s->lines.items[row];
}

static inline void screen_truncate(screen *s, size_t row, size_t column)
{
    char *line = screen_line(s, row);
    if (strlen(line) > column) line[column] = '\0';
}

static inline void screen_put(screen *s, char c)
{
    if (s->column == s->width) {
        if (s->no_wrap) {
            s->column--;
        } else {
            s->row++;
            s->column = 0;
        }
    }
    char *line = screen_line(s, s->row);
    for (size_t length = strlen(line); length < s->column; length++) line[length] = ' ';
    bool end = !line[s->column];
    line[s->column++] = c;
    if (end) line[s->column] = '\0';
}

static inline void screen_obey(screen *s)
{
    const char *text = s->sequence;
    char last = text[s->sequence_length - 1];
    size_t number = (size_t)atoi(text + 2);
    if (last == 'm') {
        s->coloured = true;
    } else if (last == 'A' && number) {
        s->row -= number < s->row ? number : s->row;
    } else if (strcmp(text, "\033[K") == 0) {
        screen_truncate(s, s->row, s->column);
    } else if (strcmp(text, "\033[J") == 0) {
        screen_truncate(s, s->row, s->column);
        for (size_t row = s->row + 1; row < s->lines.count; row++) screen_truncate(s, row, 0);
    } else if (strcmp(text, "\033[?7l") == 0 || strcmp(text, "\033[?7h") == 0) {
        s->no_wrap = last == 'l';
    } else {
        s->trouble++;
    }
}

static inline void screen_feed(screen *s, const char *data, size_t length)
{
    for (; length; data++, length--) {
        if (s->sequence_length || *data == '\033') {
            if (s->sequence_length + 1 < sizeof s->sequence)
                s->sequence[s->sequence_length++] = *data;
            s->sequence[s->sequence_length] = '\0';
            if (s->sequence_length > 2 && *data >= 0x40 && *data < 0x7f) {
                screen_obey(s);
                s->sequence_length = 0;
            }
        } else if (*data == '\r') {
            s->column = 0;
        } else if (*data == '\n') {
            screen_line(s, ++s->row);
        } else if ((unsigned char)*data >= 0x20) {
            screen_put(s, *data);
        } else {
            s->trouble++;
        }
    }
}

/* All lines, without empty ones at the end: caller frees. */
static inline char *screen_text(const screen *s)
{
    iw_buffer out = {0};
    size_t count = s->lines.count;
    while (count && !*s->lines.items[count - 1]) count--;
    for (size_t i = 0; i < count; i++) iw_buffer_add_format(&out, "%s\n", s->lines.items[i]);
    return iw_buffer_take(&out);
}

static inline void screen_resize(screen *s, size_t width)
{
    screen old = *s;
    *s = (screen){
        .width = width, .coloured = old.coloured, .trouble = old.trouble, .no_wrap = false};
    for (size_t i = 0; i < old.lines.count && i <= old.row; i++) {
        if (i) screen_feed(s, "\r\n", 2);
        if (i < old.row) screen_feed(s, old.lines.items[i], strlen(old.lines.items[i]));
    }
    s->column = 0;
    s->no_wrap = old.no_wrap;
    iw_strings_free(&old.lines);
}

#endif
