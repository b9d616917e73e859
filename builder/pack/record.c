#include "pack/record.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/text.h"

#define LIMIT (64u << 20)

/* urlsafe base64 without padding, as the specification asks. */
static int digest_of(const char *path, char out[64], size_t *size, iw_error *err)
{
    iw_cleanup_free char *data = NULL;
    unsigned char raw[32], text[64];
    if (iw_read_file(path, (size_t)2 << 30, &data, size, err) != 0) return -1;
    if (!EVP_Digest(data, *size, raw, NULL, EVP_sha256(), NULL))
        return iw_fail(err, IW_E_MEMORY, "no memory for a digest");
    int length = EVP_EncodeBlock(text, raw, sizeof raw);
    while (length && text[length - 1] == '=') length--;
    for (int i = 0; i < length; i++)
        out[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
    out[length] = 0;
    return 0;
}

/* The first CSV field of a line, unquoted; caller frees. */
static char *first_field(iw_slice line)
{
    iw_buffer out = {0};
    if (line.length == 0 || line.data[0] != '"') {
        const char *comma = memchr(line.data, ',', line.length);
        return iw_strndup(line.data, comma ? (size_t)(comma - line.data) : line.length);
    }
    for (size_t i = 1; i < line.length; i++) {
        if (line.data[i] != '"') iw_buffer_add_char(&out, line.data[i]);
        else if (i + 1 < line.length && line.data[i + 1] == '"')
            iw_buffer_add_char(&out, line.data[i++]);
        else break;
    }
    return iw_buffer_take(&out);
}

static void add_field(iw_buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"\n")) {
        iw_buffer_add_text(out, text);
        return;
    }
    iw_buffer_add_char(out, '"');
    for (; *text; text++) {
        if (*text == '"') iw_buffer_add_char(out, '"');
        iw_buffer_add_char(out, *text);
    }
    iw_buffer_add_char(out, '"');
}

static int add_line(iw_buffer *out, const char *tree, const char *folder, const char *record,
                    iw_slice line, iw_error *err)
{
    iw_cleanup_free char *name = first_field(line);
    iw_cleanup_free char *joined = iw_path_join(folder, name);
    iw_cleanup_free char *clean = iw_path_clean(joined);
    if (!*name || !iw_path_is_inside(clean) || iw_ends_with(name, ".pyc")) return 0;
    iw_cleanup_free char *path = iw_path_join(tree, clean);
    struct stat status;
    if (lstat(path, &status) != 0) return 0; /* removed */
    add_field(out, name);
    if (strcmp(clean, record) == 0 || !S_ISREG(status.st_mode)) {
        iw_buffer_add_text(out, ",,\n");
        return 0;
    }
    char digest[64];
    size_t size;
    if (digest_of(path, digest, &size, err) != 0) return -1;
    iw_buffer_add_format(out, ",sha256=%s,%zu\n", digest, size);
    return 0;
}

int iw_record_fix(const char *tree, const char *relative, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(tree, relative), *info = iw_path_parent(relative),
                         *folder = iw_path_parent(info), *text = NULL;
    if (iw_read_file(path, LIMIT, &text, NULL, err) != 0) return -1;
    iw_cleanup_buffer iw_buffer out = {0};
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line))
        if (add_line(&out, tree, folder, relative, iw_slice_trim(line), err) != 0) return -1;
    return iw_write_passing(path, out.data ? out.data : "", out.length, 0644, err);
}

int iw_record_read(const char *tree, const char *relative, iw_strings *out, iw_error *err)
{
    iw_cleanup_free char *path = iw_path_join(tree, relative), *info = iw_path_parent(relative),
                         *folder = iw_path_parent(info), *text = NULL;
    if (iw_read_file(path, LIMIT, &text, NULL, err) != 0) return -1;
    iw_slice rest = iw_slice_of(text), line;
    while (iw_slice_next(&rest, '\n', &line)) {
        iw_cleanup_free char *name = first_field(iw_slice_trim(line)),
                             *joined = iw_path_join(folder, name), *clean = iw_path_clean(joined);
        if (*name && iw_path_is_inside(clean)) iw_strings_add(out, clean);
    }
    return 0;
}

typedef struct making {
    const char *record;
    iw_buffer out;
} making;

static int add_file(void *context, const char *relative, const char *full,
                    const struct stat *status, iw_error *err)
{
    making *m = context;
    char digest[64];
    size_t size;
    if (!S_ISREG(status->st_mode) || strcmp(relative, m->record) == 0) return 0;
    add_field(&m->out, relative);
    if (digest_of(full, digest, &size, err) != 0) return -1;
    iw_buffer_add_format(&m->out, ",sha256=%s,%zu\n", digest, size);
    return 0;
}

int iw_record_make(const char *tree, const char *relative, iw_error *err)
{
    making m = {.record = relative};
    iw_cleanup_free char *path = iw_path_join(tree, relative);
    int status = iw_walk(tree, add_file, &m, err);
    add_field(&m.out, relative);
    iw_buffer_add_text(&m.out, ",,\n");
    if (status == 0) status = iw_write_passing(path, m.out.data, m.out.length, 0644, err);
    iw_buffer_free(&m.out);
    return status;
}
