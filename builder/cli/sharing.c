#include "cli/sharing.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/memory.h"

#define ANSWER_LIMIT 1024

void iw_forget(char **secret)
{
    if (*secret) explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

/* One line of the terminal, without its newline; NULL at its end. */
static char *read_line(const char *prompt, bool hidden)
{
    iw_cleanup_fd int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char text[ANSWER_LIMIT];
    size_t length = 0;
    ssize_t got = 1;
    struct termios before, silent;
    if (fd < 0 || tcgetattr(fd, &before) != 0) return NULL;
    silent = before;
    if (hidden) silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)!write(fd, prompt, strlen(prompt));
    tcsetattr(fd, TCSAFLUSH, &silent);
    while (length + 1 < sizeof text && (got = read(fd, text + length, 1)) == 1 &&
           text[length] != '\n')
        length++;
    tcsetattr(fd, TCSAFLUSH, &before);
    if (hidden) (void)!write(fd, "\n", 1);
    text[length] = 0;
    char *line = got == 1 ? iw_strdup(text) : NULL;
    explicit_bzero(text, sizeof text);
    return line;
}

static int from_environment(char **out)
{
    const char *given = getenv("IRONWHEEL_PASSPHRASE");
    *out = given && *given ? iw_strdup(given) : NULL;
    return *out != NULL;
}

int iw_ask_passphrase(iw_context *context, const char *key, char **out, iw_error *err)
{
    bool locked = false;
    *out = NULL;
    if (iw_key_is_locked(key, &locked, err) != 0) return -1;
    if (!locked || from_environment(out)) return 0;
    iw_cleanup_free char *prompt = iw_format("Passphrase of %s: ", key);
    if (context->ui) iw_ui_pause(context->ui);
    *out = read_line(prompt, true);
    if (context->ui) iw_ui_resume(context->ui);
    return 0; /* without one, reading the key says what is missing */
}

int iw_ask_new_passphrase(iw_context *context, const char *what, char **out, iw_error *err)
{
    (void)context;
    if (from_environment(out)) return 0;
    iw_cleanup_free char *prompt = iw_format("New passphrase for the %s: ", what);
    *out = read_line(prompt, true);
    char *again = *out && **out ? read_line("The same again: ", true) : NULL;
    bool fine = again && strcmp(again, *out) == 0;
    bool none = !*out || !**out;
    iw_forget(&again);
    if (fine) return 0;
    iw_forget(out);
    return iw_fail(err, IW_E_USAGE,
                   none ? "a passphrase was wanted; without a terminal, the variable "
                          "IRONWHEEL_PASSPHRASE holds it"
                        : "the two passphrases differ; nothing was written");
}

int iw_confirm(iw_context *context, const char *question, const char *instead, bool *yes,
               iw_error *err)
{
    iw_cleanup_free char *prompt = iw_format("%s [y/N] ", question);
    if (context->ui) iw_ui_pause(context->ui);
    iw_cleanup_free char *answer = isatty(0) ? read_line(prompt, false) : NULL;
    if (context->ui) iw_ui_resume(context->ui);
    *yes = answer && (*answer == 'y' || *answer == 'Y');
    return answer ? 0 : iw_fail(err, IW_E_USAGE, "%s", instead);
}

int iw_context_remote(iw_context *context, const iw_trust *trust, const char *name, iw_remote **out,
                      iw_error *err)
{
    iw_cleanup_free char *address = iw_remotes_resolve(trust, name),
                         *state = iw_trust_path(trust, "uploads");
    iw_remote_options options = {.sink = context->sink, .cancel = context->cancel, .state = state};
    return iw_remote_open(address, &options, out, err);
}

char *iw_key_told(const iw_public_key *key)
{
    char id[IW_KEY_ID], words[IW_KEY_WORDS];
    iw_key_id(key, id);
    iw_key_words(key, words);
    return iw_format("%s  (%s)", id, words);
}

void iw_say_pushed(iw_context *context, const iw_remote *remote, const iw_pushed *done)
{
    iw_cleanup_free char *sent = iw_format_bytes(done->sent),
                         *expires = done->expires ? iw_time_text(done->expires) : NULL;
    if (context->json) {
        iw_print_json(context,
                      json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "type", "pushed",
                                "to", iw_remote_where(remote), "key", done->key, "version",
                                (json_int_t)done->version, "bytes", (json_int_t)done->sent,
                                "bundles", (json_int_t)done->bundles, "artifacts",
                                (json_int_t)done->artifacts, "deltas", (json_int_t)done->deltas,
                                "wheels", (json_int_t)done->wheels, "expires",
                                (json_int_t)done->expires, "unchanged", done->unchanged));
        return;
    }
    if (context->quiet) return;
    iw_print(context, "%s: %s, channel %s version %llu%s%s\n", iw_remote_where(remote),
             done->unchanged && !done->sent ? "nothing new" : sent, done->key,
             (unsigned long long)done->version, expires ? ", good until " : "",
             expires ? expires : "");
}
