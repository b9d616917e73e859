/* What `ironwheel` starts with: a run of `build` with nothing to do is answered here, with five
 * libraries loaded instead of fifty; everything else is the whole program's, libexec/ironwheel. It
 * says nothing but that one answer: the whole program gives every error. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "cli/context.h"
#include "cli/session.h"
#include "store/archive_in.h"

/* In the place of the store's own, which brings libarchive and the thirty libraries behind it: a
 * file of the store that must be read again (its time changed, or it is new) is the whole program's
 * business. */
int iw_archive_lay(int fd, const char *name, const char *folder, const iw_strings *skip,
                   const iw_packed *expected, char **conflict, iw_error *err)
{
    (void)fd, (void)folder, (void)skip, (void)expected, (void)conflict;
    return iw_fail(err, IW_E_ENVIRONMENT, "%s must be read", name);
}

const iw_command_spec *const *iw_commands(void)
{
    static const iw_command_spec build = {.name = "build",
                                          .operands = "STACK",
                                          .least = 1,
                                          .most = 1,
                                          .summary = "",
                                          .description = "",
                                          .options = iw_build_option_table};
    static const iw_command_spec *const all[] = {&build, NULL};
    return all;
}

/* Whether that was the answer. */
static bool answer(int argc, char **argv)
{
    iw_error err = IW_ERROR_INIT;
    iw_arguments arguments;
    iw_context context;
    iw_session session = {0};
    bool found = false;
    iw_cleanup_free char *path = NULL, *sha256 = NULL;
    if (argc < 3 || strcmp(argv[1], "build") != 0 ||
        iw_parse_arguments(argc - 1, (const char *const *)argv + 1, &arguments, &err) != 0) {
        iw_error_clear(&err);
        return false;
    }
    if (iw_flag(&arguments, "help") || iw_flag(&arguments, "version") ||
        iw_flag(&arguments, "no-sandbox"))
        return false;
    iw_context_open(&context, &arguments);
    if (iw_context_session(&context, arguments.operands[0], &session, &err) == 0 &&
        iw_build_find_ready(&context, &session, &path, &sha256, &found, &err) == 0 && found)
        found = iw_build_say_ready(&context, session.stack->name, path, sha256) == 0;
    iw_session_close(&session);
    iw_context_close(&context);
    iw_error_clear(&err);
    return found;
}

/* In a checkout out/<mode>/libexec/ironwheel, installed <prefix>/libexec/ironwheel/ironwheel. */
static void run_whole(char **argv)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) return;
    self[length] = 0;
    iw_cleanup_free char *folder = iw_path_parent(self),
                         *beside = iw_path_join(folder, "libexec/ironwheel"),
                         *joined = iw_path_join(folder, "../libexec/ironwheel/ironwheel");
    execv(beside, argv);
    execv(joined, argv);
    fprintf(stderr, "ironwheel: can't start %s or %s: %s; run `make` (or `make install`) again\n",
            beside, joined, strerror(errno));
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    if (answer(argc, argv)) return fflush(stdout) == 0 ? 0 : 1;
    run_whole(argv);
    return 2;
}
