#include "build/sandbox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/process.h"

static void add_bind(iw_strings *argv, const iw_bind *bind)
{
    static const char *const words[] = {"--ro-bind", "--bind", "--tmpfs", "--symlink"};
    iw_strings_add(argv, words[bind->kind]);
    if (bind->kind != IW_BIND_TMPFS) iw_strings_add(argv, bind->from);
    iw_strings_add(argv, bind->to);
}

/* What is always cut off: every namespace, capabilities, the user's name and the host's. (The
 * caller's environment isn't even given to bwrap: before 0.5 it has no --clearenv.) */
static void add_isolation(const iw_sandbox *sandbox, iw_strings *argv)
{
    static const char *const always[] = {
        "--unshare-all", "--unshare-user", "--die-with-parent", "--cap-drop",
        "ALL",           "--hostname",     "ironwheel",         NULL};
    iw_strings_add_all(argv, always);
    if (!sandbox->terminal) iw_strings_add(argv, "--new-session");
    iw_strings_add(argv, "--uid");
    iw_strings_add_format(argv, "%d", IW_SANDBOX_UID);
    iw_strings_add(argv, "--gid");
    iw_strings_add_format(argv, "%d", IW_SANDBOX_UID);
}

static void add_environment(iw_strings *argv, const char *const *environment)
{
    for (size_t i = 0; environment && environment[i]; i++) {
        const char *equals = strchr(environment[i], '=');
        if (!equals) continue;
        iw_cleanup_free char *name = iw_strndup(environment[i], (size_t)(equals - environment[i]));
        iw_strings_add(argv, "--setenv");
        iw_strings_add(argv, name);
        iw_strings_add(argv, equals + 1);
    }
}

static void add_command(const iw_sandbox *sandbox, iw_strings *argv)
{
    if (sandbox->init) {
        iw_strings_add(argv, sandbox->init);
        iw_strings_add(argv, "--socket");
        iw_strings_add_format(argv, "%d", sandbox->keep_fd);
        iw_strings_add(argv, "--");
    }
    iw_strings_add_all(argv, sandbox->command);
}

void iw_sandbox_arguments(const iw_sandbox *sandbox, iw_strings *argv)
{
    if (sandbox->host) {
        add_command(sandbox, argv);
        return;
    }

    static const char *const mounts[] = {"--proc",  "/proc", "--dev", "/dev",
                                         "--tmpfs", "/tmp",  NULL};
    static const char *const seal[] = {"--remount-ro", "/", NULL};
    iw_strings_add(argv, "bwrap");
    add_isolation(sandbox, argv);
    if (sandbox->root) {
        iw_strings_add(argv, "--ro-bind");
        iw_strings_add(argv, sandbox->root);
        iw_strings_add(argv, "/");
    }
    iw_strings_add_all(argv, mounts);
    for (size_t i = 0; i < sandbox->bind_count; i++) add_bind(argv, &sandbox->binds[i]);
    if (!sandbox->root) iw_strings_add_all(argv, seal);
    add_environment(argv, sandbox->environment);
    iw_strings_add(argv, "--chdir");
    iw_strings_add(argv, sandbox->folder ? sandbox->folder : "/");
    iw_strings_add(argv, "--");
    add_command(sandbox, argv);
}

/* --- probing -------------------------------------------------------------- */

/* Whether the file `path` below `root` begins with `value`. */
static bool knob_is(const char *root, const char *path, char value)
{
    iw_cleanup_free char *full = iw_path_join(root, path);
    iw_cleanup_fd int fd = open(full, O_RDONLY | O_CLOEXEC);
    char c = 0;
    return fd >= 0 && read(fd, &c, 1) == 1 && c == value;
}

static bool is_there(const char *root, const char *path)
{
    iw_cleanup_free char *full = iw_path_join(root, path);
    return iw_exists(full);
}

const char *iw_sandbox_advice(const char *root, bool privileged)
{
    if (is_there(root, ".dockerenv"))
        return "this is a Docker container, which forbids user namespaces: start it with `docker "
               "run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
               "--security-opt systempaths=unconfined`";
    if (is_there(root, "run/.containerenv"))
        return "this is a Podman container, which forbids a /proc of one's own: start it with "
               "`podman run --security-opt unmask=ALL --security-opt seccomp=unconfined`";
    if (knob_is(root, "proc/sys/user/max_user_namespaces", '0'))
        return "user namespaces are limited to 0: `sudo sysctl -w user.max_user_namespaces=15000` "
               "allows them until the next boot";
    if (!privileged && knob_is(root, "proc/sys/kernel/unprivileged_userns_clone", '0'))
        return "user namespaces are forbidden to all but root: `sudo sysctl -w "
               "kernel.unprivileged_userns_clone=1` allows them until the next boot (the same in a "
               "file in /etc/sysctl.d keeps it)";
    if (!privileged && knob_is(root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'))
        return "AppArmor forbids user namespaces to all but root: `sudo sysctl -w "
               "kernel.apparmor_restrict_unprivileged_userns=0` allows them until the next boot "
               "(the same in a file in /etc/sysctl.d keeps it)";
    return "in a container, a chroot or another sandbox, run it outside, or allow the container "
           "user namespaces and its own /proc";
}

int iw_sandbox_probe(iw_error *err)
{
    static const char *const argv[] = {"/bin/true", NULL};
    const iw_sandbox sandbox = {.root = "/", .command = argv, .keep_fd = -1};
    iw_sandbox_result result;
    iw_error inner = IW_ERROR_INIT;
    iw_cleanup_free char *program = iw_find_program("bwrap");
    if (!program)
        return iw_fail(err, IW_E_ENVIRONMENT,
                       "bubblewrap (bwrap) is needed for the sandbox and isn't in PATH: install "
                       "the package bubblewrap (it is called so everywhere: `apt-get install`, "
                       "`dnf install`, `pacman -S` or `zypper install`)");
    /* Out of the terminal's reach, as every run of it: a Ctrl-C meanwhile is no sign that there is
     * none. */
    int status = iw_sandbox_run(&sandbox, NULL, &result, &inner);
    if (status == 0 && result.status != 0)
        status = iw_fail(&inner, IW_E_ENVIRONMENT, "a program in it failed");
    if (status != 0)
        iw_fail(err, IW_E_ENVIRONMENT,
                "no sandbox can be had here (%s): %s. `build --no-sandbox` does without, with this "
                "host's own tools",
                iw_error_text(&inner), iw_sandbox_advice("/", geteuid() == 0));
    iw_error_clear(&inner);
    return status;
}
