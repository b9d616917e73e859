/* What every frame and every line must hold, by the C library's own idea of characters: valid
 * UTF-8, no control characters but our colours, never wider or higher than asked. Call use_utf8()
 * once before. */
#ifndef IW_TEST_FRAME_CHECK_H
#define IW_TEST_FRAME_CHECK_H

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

static inline bool use_utf8(void)
{
    return setlocale(LC_CTYPE, "C.UTF-8") != NULL;
}

/* Length of a colour (ESC [ digits and semicolons m) at `text`; 0: it is none. */
static inline size_t colour_length(const char *text)
{
    if (text[0] != '\033' || text[1] != '[') return 0;
    size_t length = 2 + strspn(text + 2, "0123456789;");
    return text[length] == 'm' ? length + 1 : 0;
}

/* Columns of the line at `*text`, which moves behind its newline; -1 where something is in it that
 * must not be. */
static inline long line_columns(const char **text, bool colour)
{
    long columns = 0;
    bool lit = false;
    while (**text && **text != '\n') {
        size_t skip = colour_length(*text);
        if (skip) {
            if (!colour) return -1;
            lit = strncmp(*text, "\033[0m", 4) != 0;
            *text += skip;
            continue;
        }
        wchar_t c;
        mbstate_t state = {0};
        size_t length = mbrtowc(&c, *text, strlen(*text), &state);
        if (length == 0 || length > 4 || c < 0x20 || (c >= 0x7f && c < 0xa0) ||
            (c >= 0x202a && c <= 0x202e))
            return -1;
        int width = wcwidth(c);
        columns += width < 0 ? 1 : width;
        *text += length;
    }
    if (**text != '\n' || lit) return -1; /* no newline; a colour that isn't ended */
    ++*text;
    return columns;
}

/* NULL where all is well, else what is wrong. */
static inline const char *frame_trouble(const char *frame, size_t lines, size_t width,
                                        size_t height, bool colour)
{
    size_t count = 0;
    for (const char *at = frame ? frame : ""; *at; count++) {
        long columns = line_columns(&at, colour);
        if (columns < 0) return "a line holds what no line may hold";
        if ((size_t)columns > width) return "a line is too wide";
    }
    if (count != lines) return "the number of lines is not what was said";
    return lines > height ? "too many lines" : NULL;
}

#endif
