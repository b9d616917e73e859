#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"
#include "emulate/emulate.h"

int iw_show_cpu(const char *emulator, const char *model, const char *helpers, const char *folder,
                iw_error *err)
{
    iw_cleanup_free char *program = iw_path_join(helpers, "iw-cpu");
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    iw_cleanup_free char *count = iw_format("%ld", processors > 0 ? processors : 1);
    const char *argv[] = {emulator, "-cpu", model, program, folder, count, NULL};
    const char *environment[] = {"LC_ALL=C", NULL};
    if (iw_make_folders(folder, 0755, err) != 0 ||
        iw_run_capture(argv, environment, 4096, NULL, NULL, err) != 0)
        return iw_wrap(err, "what the kernel would say of the emulated CPU");
    return 0;
}
