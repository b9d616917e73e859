#include "store/archive_tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "store/archive.h"
#include "store/archive_name.h"

#define USTAR_SIZE_LIMIT ((uint64_t)1 << 33) /* eleven octal digits */

typedef struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], kind, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
} ustar;

_Static_assert(sizeof(ustar) == IW_TAR_BLOCK, "a header is one block");

static void put_octal(char *field, int digits, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%0*" PRIo64, digits, value);
    memcpy(field, text, (size_t)digits + 1);
}

/* Into `name`, or at a `/` into `prefix` and `name`; false where neither holds it. */
static bool put_path(ustar *header, const char *path, size_t length)
{
    if (length <= sizeof header->name) {
        memcpy(header->name, path, length);
        return true;
    }
    for (size_t i = length - 1 > sizeof header->prefix ? sizeof header->prefix : length - 1; i > 0;
         i--) {
        if (path[i] != '/' || i + 1 >= length || length - i - 1 > sizeof header->name) continue;
        memcpy(header->prefix, path, i);
        memcpy(header->name, path + i + 1, length - i - 1);
        return true;
    }
    return false;
}

static void add_block(iw_buffer *out, ustar *header, char kind, unsigned mode, uint64_t size)
{
    header->kind = kind;
    put_octal(header->mode, 7, mode);
    put_octal(header->uid, 7, 0);
    put_octal(header->gid, 7, 0);
    put_octal(header->size, 11, size < USTAR_SIZE_LIMIT ? size : 0);
    put_octal(header->mtime, 11, IW_ARCHIVE_TIME);
    memcpy(header->magic, "ustar", 6);
    memcpy(header->version, "00", 2);
    put_octal(header->major, 7, 0);
    put_octal(header->minor, 7, 0);
    memset(header->checksum, ' ', sizeof header->checksum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *header; i++) sum += ((const unsigned char *)header)[i];
    put_octal(header->checksum, 6, sum); /* six digits, NUL, and the blank that stands there */
    iw_buffer_add(out, header, sizeof *header);
}

/* "<length> <key>=<value>\n", where the length counts itself. */
static void add_record(iw_buffer *out, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, length = rest + 1;
    for (size_t digits = 1, bound = 10; length >= bound; bound *= 10) length = rest + ++digits;
    iw_buffer_add_format(out, "%zu %s=%s\n", length, key, value);
}

static void add_pax(iw_buffer *out, const iw_buffer *records)
{
    static const char zeros[IW_TAR_BLOCK];
    ustar header = {.name = "PaxHeader"};
    add_block(out, &header, 'x', 0644, records->length);
    iw_buffer_add(out, records->data, records->length);
    iw_buffer_add(out, zeros, (IW_TAR_BLOCK - records->length % IW_TAR_BLOCK) % IW_TAR_BLOCK);
}

void iw_tar_header(iw_buffer *out, iw_tar_kind kind, const char *path, const char *target,
                   unsigned mode, uint64_t size)
{
    ustar header = {0};
    iw_cleanup_buffer iw_buffer name = {0}, records = {0};
    iw_buffer_add_text(&name, path);
    if (kind == IW_TAR_FOLDER) iw_buffer_add_char(&name, '/');
    bool long_path = !put_path(&header, name.data, name.length),
         long_link = target && strlen(target) > sizeof header.link;
    /* Records are UTF-8 unless they say otherwise; names that aren't are kept as they are. */
    if ((long_path && !iw_name_is_utf8(path)) || (long_link && !iw_name_is_utf8(target)))
        add_record(&records, "hdrcharset", "BINARY");
    if (long_path) {
        add_record(&records, "path", name.data);
        put_path(&header, name.data, sizeof header.name);
    }
    if (target)
        memcpy(header.link, target,
               strlen(target) < sizeof header.link ? strlen(target) : sizeof header.link);
    if (long_link) add_record(&records, "linkpath", target);
    if (size >= USTAR_SIZE_LIMIT) {
        iw_cleanup_free char *text = iw_format("%" PRIu64, size);
        add_record(&records, "size", text);
    }
    if (records.length) add_pax(out, &records);
    add_block(out, &header, (char)kind, mode, size);
}

void iw_tar_end(iw_buffer *out)
{
    static const char zeros[2 * IW_TAR_BLOCK];
    iw_buffer_add(out, zeros, sizeof zeros);
}
