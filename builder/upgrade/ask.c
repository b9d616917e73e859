#include "upgrade/ask.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "build/checks_root.h"
#include "build/sandbox.h"

__asm__(".pushsection .rodata\n"
        ".globl iw_ask_program\n"
        ".type iw_ask_program, @object\n"
        "iw_ask_program:\n"
        ".incbin \"builder/upgrade/sdist.py\"\n"
        ".byte 0\n"
        ".size iw_ask_program, . - iw_ask_program\n"
        ".popsection\n");
extern const char iw_ask_program[];

enum { ANSWER_LIMIT = 16 << 20, SECONDS = 120 };

/* The last line that it printed, for a message. Caller frees. */
static char *last_words(int log)
{
    char text[2048];
    off_t end = lseek(log, 0, SEEK_END);
    ssize_t got = end > 0 ? pread(log, text, sizeof text - 1, end > 2047 ? end - 2047 : 0) : 0;
    iw_slice rest = {text, got > 0 ? (size_t)got : 0}, line, last = {"nothing was said", 16};
    while (iw_slice_next(&rest, '\n', &line))
        if (iw_slice_trim(line).length) last = iw_slice_trim(line);
    return iw_strndup(last.data, last.length);
}

static int run(const char *root, const char *bytecode, const char *folder, const char *what,
               int log, iw_error *err)
{
    const iw_bind binds[] = {{IW_BIND_WRITABLE, folder, "/build"},
                             {IW_BIND_WRITABLE, bytecode, "/tmp/bytecode"}};
    const char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    const char *const command[] = {IW_CHECKS_PYTHON, "-I", "-X", "pycache_prefix=/tmp/bytecode",
                                   "/build/ask.py",  what, NULL};
    const iw_sandbox sandbox = {.root = root,
                                .binds = binds,
                                .bind_count = 2,
                                .environment = environment,
                                .folder = "/build",
                                .command = command,
                                .keep_fd = -1};
    const iw_sandbox_watch watch = {.log = log, .cancel = -1, .timeout = SECONDS};
    iw_sandbox_result result = {0};
    if (iw_sandbox_run(&sandbox, &watch, &result, err) != 0) return -1;
    if (result.status == 0 && !result.timed_out) return 0;
    iw_cleanup_free char *said = last_words(log);
    return iw_fail(err, IW_E_FORMAT, "its metadata can't be read: %s",
                   result.timed_out ? "it takes too long" : said);
}

int iw_ask(const char *root, const char *passing, const char *folder, const char *what,
           json_t **out, iw_error *err)
{
    iw_cleanup_free char *program = iw_path_join(folder, "ask.py"),
                         *answer = iw_path_join(folder, "answer.json"),
                         *bytecode = iw_path_join(passing, "bytecode"), *text = NULL;
    size_t length;
    iw_cleanup_fd int log = memfd_create("ask", MFD_CLOEXEC);
    *out = NULL;
    if (log < 0) return iw_fail_errno(err, IW_E_IO, "no memory file");
    if (iw_write_passing(program, iw_ask_program, strlen(iw_ask_program), 0644, err) != 0 ||
        chmod(folder, 0777) != 0 || iw_make_folders(bytecode, 0777, err) != 0 ||
        chmod(bytecode, 0777) != 0 || run(root, bytecode, folder, what, log, err) != 0 ||
        iw_read_file(answer, ANSWER_LIMIT, &text, &length, err) != 0)
        return -1;
    *out = json_loadb(text, length, 0, NULL);
    return *out ? 0 : iw_fail(err, IW_E_FORMAT, "its metadata can't be read: no answer");
}
