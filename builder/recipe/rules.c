/* What the scalars of the format may say. */
#include <string.h>

#include "base/hash.h"
#include "base/path.h"
#include "recipe/features.h"
#include "recipe/schema.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"
#define HEX DIGIT "abcdef"
#define NAME_START LOWER DIGIT
#define NAME_REST NAME_START ".+-"
#define VERSION_START LOWER UPPER DIGIT
#define VERSION_REST VERSION_START ".+~_-"

/* The whole text: one byte of `start`, then any of `rest`. */
static bool spelled(const char *text, const char *start, const char *rest)
{
    return *text && strchr(start, *text) && text[1 + strspn(text + 1, rest)] == '\0';
}

/* No control characters (U+0000 to U+001F, U+007F to U+009F) but those named: a message may show
 * the text on a terminal. */
static bool printable(const char *text, const char *controls)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if ((*at < 0x20 && !strchr(controls, *at)) || *at == 0x7F || (*at == 0xC2 && at[1] < 0xA0))
            return false;
    return true;
}

static bool fits_text(const char *text)
{
    return *text && printable(text, "");
}

static bool fits_lines(const char *text)
{
    return text[strspn(text, " \t\n")] && printable(text, "\t\n");
}

static bool fits_name(const char *text)
{
    return spelled(text, NAME_START, NAME_REST);
}

static bool fits_version(const char *text)
{
    return spelled(text, VERSION_START, VERSION_REST);
}

static bool fits_debian_version(const char *text)
{
    return spelled(text, VERSION_START, VERSION_REST ":");
}

static bool fits_like(const char *text)
{
    size_t name = strcspn(text, "/");
    return name > 0 && strchr(NAME_START, *text) && strspn(text, NAME_REST) == name &&
           text[name] == '/' && fits_version(text + name + 1);
}

static bool fits_need(const char *text)
{
    return strchr(text, '/') ? fits_like(text) : fits_name(text);
}

static bool fits_project(const char *text)
{
    return spelled(text, VERSION_START, VERSION_START "._-") &&
           !strchr("._-", text[strlen(text) - 1]);
}

static bool fits_file_name(const char *text)
{
    return fits_text(text) && !strchr(text, '/') && strcmp(text, ".") != 0 &&
           strcmp(text, "..") != 0;
}

static bool fits_folder(const char *text)
{
    return fits_text(text) && iw_path_is_inside(text);
}

static bool fits_path(const char *text)
{
    /* something must be left of it: neither "." nor "./" */
    return fits_folder(text) && text[strspn(text, "./")];
}

static bool brackets_closed(const char *text)
{
    while ((text = strchr(text, '['))) {
        text += 1 + (text[1] == '!' || text[1] == '^');
        if (*text == ']') text++;
        size_t inside = strcspn(text, "]/");
        if (text[inside] != ']') return false;
        text += inside;
    }
    return true;
}

static bool fits_glob(const char *text)
{
    if (!fits_folder(text) || !brackets_closed(text)) return false;
    for (const char *stars = strstr(text, "**"); stars; stars = strstr(stars + 2, "**"))
        if ((stars > text && stars[-1] != '/') || (stars[2] && stars[2] != '/')) return false;
    return true;
}

/* What follows the scheme: a host, and no space, control character or (unless `user`) name and
 * password. */
static bool fits_authority(const char *rest, bool user)
{
    size_t host = strcspn(rest, "/?#");
    if (host == 0 || *rest == ':') return false;
    if (!user && memchr(rest, '@', host)) return false;
    for (const unsigned char *at = (const unsigned char *)rest; *at; at++)
        if (*at <= 0x20 || *at >= 0x7F || strchr("\"<>\\^`{|}", *at)) return false;
    return true;
}

static bool fits_url(const char *text)
{
    if (iw_starts_with(text, "https://")) return fits_authority(text + 8, false);
    return iw_starts_with(text, "http://") && fits_authority(text + 7, false);
}

static bool fits_git_url(const char *text)
{
    return fits_url(text) ||
           (iw_starts_with(text, "ssh://") && text[6] != '-' && fits_authority(text + 6, true));
}

static bool fits_commit(const char *text)
{
    return strlen(text) == 40 && strspn(text, HEX) == 40;
}

static bool fits_module(const char *text)
{
    for (;;) {
        size_t part = strspn(text, LOWER UPPER DIGIT "_");
        if (part == 0 || strchr(DIGIT, *text)) return false;
        text += part;
        if (*text == '\0') return true;
        if (*text++ != '.') return false;
    }
}

static bool hexadecimal(const char **text, uint64_t *out)
{
    if (!iw_starts_with(*text, "0x")) return false;
    size_t digits = strspn(*text + 2, HEX);
    *out = 0;
    for (size_t i = 0; i < digits; i++)
        *out = *out << 4 | (uint64_t)(strchr(HEX, (*text)[2 + i]) - HEX);
    *text += 2 + digits;
    return digits > 0 && digits <= 16;
}

static bool fits_range(const char *text)
{
    uint64_t start, end;
    return hexadecimal(&text, &start) && *text++ == '-' && hexadecimal(&text, &end) &&
           *text == '\0' && start < end;
}

static bool fits_environment(const char *text)
{
    return spelled(text, LOWER UPPER "_", LOWER UPPER DIGIT "_");
}

static bool fits_word(const char *text)
{
    return spelled(text, VERSION_START, VERSION_START "._+,-");
}

static bool two_digits(const char *at, int least, int most)
{
    int value = (at[0] - '0') * 10 + at[1] - '0';
    return value >= least && value <= most;
}

static bool fits_moment(const char *text)
{
    static const char shape[] = "00000000T000000Z";
    if (strlen(text) != strlen(shape)) return false;
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i]) return false;
    return two_digits(text + 4, 1, 12) && two_digits(text + 6, 1, 31) &&
           two_digits(text + 9, 0, 23) && two_digits(text + 11, 0, 59) &&
           two_digits(text + 13, 0, 60);
}

/* SPDX licence expressions, annex D of SPDX 2.3; the identifiers are not looked up. */
static iw_slice licence_token(const char **at)
{
    *at += strspn(*at, " ");
    size_t length = **at == '(' || **at == ')' ? 1 : strcspn(*at, " ()");
    iw_slice token = {*at, length};
    *at += length;
    return token;
}

static bool licence_identifier(iw_slice token)
{
    if (token.length == 0 || iw_slice_equal(token, "AND") || iw_slice_equal(token, "OR") ||
        iw_slice_equal(token, "WITH"))
        return false;
    size_t used = 0;
    while (used < token.length && strchr(VERSION_START ".-:", token.data[used])) used++;
    return used > 0 &&
           (used == token.length || (used + 1 == token.length && token.data[used] == '+'));
}

static bool fits_licence(const char *text)
{
    size_t open = 0;
    bool operand = true; /* whether one is due */
    for (const char *at = text; at[strspn(at, " ")];) {
        iw_slice token = licence_token(&at);
        if (iw_slice_equal(token, "(")) {
            if (!operand) return false;
            open++;
        } else if (iw_slice_equal(token, ")")) {
            if (operand || open-- == 0) return false;
        } else if (operand) {
            if (!licence_identifier(token)) return false;
            operand = false;
        } else {
            if (!iw_slice_equal(token, "AND") && !iw_slice_equal(token, "OR") &&
                !iw_slice_equal(token, "WITH"))
                return false;
            operand = true;
        }
    }
    return !operand && open == 0 && fits_text(text);
}

#define RE_NAME "[a-z0-9][a-z0-9.+-]*"
#define RE_VERSION "[A-Za-z0-9][A-Za-z0-9.+~_-]*"
#define RE_INSIDE "^(?!/)(?!(.*/)?\\.\\.(/|$))[^\\u0000-\\u001f\\u007f-\\u009f]+$"
#define RE_REST "[!#-;=?-\\[\\]_a-z~]"

static const iw_text_rule rules[IW_T_COUNT] = {
    [IW_T_TEXT] = {"one line of text", "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", fits_text, 4096,
                   true},
    [IW_T_LINES] = {"lines of text", NULL, fits_lines, 262144, false},
    [IW_T_NAME] = {"lower-case letters, digits, `.`, `+`, `-`", "^" RE_NAME "$", fits_name, 100,
                   true},
    [IW_T_VERSION] = {"letters, digits, `.`, `+`, `~`, `_`, `-`", "^" RE_VERSION "$", fits_version,
                      100, true},
    [IW_T_DEBIAN_VERSION] = {"a Debian version", "^[A-Za-z0-9][A-Za-z0-9.+~_:-]*$",
                             fits_debian_version, 100, true},
    [IW_T_LIKE] = {"name/version", "^" RE_NAME "/" RE_VERSION "$", fits_like, 201, false},
    [IW_T_NEED] = {"name or name/version", "^" RE_NAME "(/" RE_VERSION ")?$", fits_need, 201, true},
    [IW_T_PROJECT] = {"a project's name", "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
                      fits_project, 100, true},
    [IW_T_FILE_NAME] = {"a file's name, without a folder",
                        "^(?!\\.\\.?$)[^/\\u0000-\\u001f\\u007f-\\u009f]+$", fits_file_name, 255,
                        true},
    [IW_T_PATH] = {"a relative path that stays inside", RE_INSIDE, fits_path, 1024, true},
    [IW_T_FOLDER] = {"a relative folder that stays inside", RE_INSIDE, fits_folder, 1024, true},
    [IW_T_GLOB] = {"a relative glob (`**` only as a whole part of the path)", RE_INSIDE, fits_glob,
                   1024, true},
    [IW_T_URL] = {"an http(s) URL without a user's name",
                  "^https?://[^/?#@:][^/?#@]*([/?#]" RE_REST "*)?$", fits_url, 2048, false},
    [IW_T_GIT_URL] = {"an http(s) or ssh URL, as ssh://git@host/path",
                      "^(https?://[^/?#@:][^/?#@]*|ssh://[^-/?#:][^/?#]*)([/?#]" RE_REST "*)?$",
                      fits_git_url, 2048, false},
    [IW_T_SHA256] = {"64 lower-case hexadecimal digits", "^[0-9a-f]{64}$", iw_is_sha256, 64, true},
    [IW_T_COMMIT] = {"40 lower-case hexadecimal digits", "^[0-9a-f]{40}$", fits_commit, 40, true},
    [IW_T_LICENCE] = {"an SPDX licence expression", "^[A-Za-z0-9.+:() -]+$", fits_licence, 500,
                      false},
    [IW_T_MODULE] = {"a Python module's name", "^[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*$", fits_module,
                     200, false},
    [IW_T_FEATURE] = {"an instruction-set feature, as gcc's -m options name it", NULL,
                      iw_feature_known, 32, true},
    [IW_T_NAMED_FEATURE] = {"an instruction-set feature, as the audit names it", NULL,
                            iw_feature_named, 32, true},
    [IW_T_RANGE] = {"0xSTART-0xEND", "^0x[0-9a-f]{1,16}-0x[0-9a-f]{1,16}$", fits_range, 37, false},
    [IW_T_ENVIRONMENT] = {"a variable's name", "^[A-Za-z_][A-Za-z0-9_]*$", fits_environment, 100,
                          false},
    [IW_T_WORD] = {"one word", "^[A-Za-z0-9][A-Za-z0-9._+,-]*$", fits_word, 200, true},
    [IW_T_MOMENT] = {"a time in UTC as 20261123T083542Z", "^[0-9]{8}T[0-9]{6}Z$", fits_moment, 16,
                     false},
};

const iw_text_rule *iw_text_rule_of(iw_text_type type)
{
    return &rules[type];
}
