#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "emulate/emulate.h"

/* XOP, TBM and LWP begin with 8F, where qemu sees POP; WAITPKG's and CET's instructions it takes
 * for others with the same opcode. */
static const char *const blind[] = {"lwp", "lzcnt", "shstk", "tbm", "waitpkg", "xop", NULL};

static bool allows(const iw_profile *profile, const char *feature)
{
    for (size_t i = 0; i < profile->features.count; i++)
        if (strcmp(profile->features.items[i], feature) == 0) return true;
    return false;
}

void iw_emulator_unseen(const iw_profile *profile, const char *out[IW_UNSEEN_LIMIT])
{
    size_t count = 0;
    _Static_assert(sizeof blind / sizeof *blind <= IW_UNSEEN_LIMIT, "IW_UNSEEN_LIMIT");
    for (size_t i = 0; blind[i]; i++)
        if (!allows(profile, blind[i])) out[count++] = blind[i];
    out[count] = NULL;
}

static bool is_bulldozer(const iw_profile *profile)
{
    return profile->flags.count && iw_starts_with(profile->flags.items[0], "-march=bdver");
}

char *iw_emulator_note(const iw_profile *profile)
{
    const char *unseen[IW_UNSEEN_LIMIT];
    iw_buffer out = {0};
    iw_emulator_unseen(profile, unseen);
    iw_buffer_add_format(&out, "the emulated %s doesn't stop at", profile->name);
    for (size_t i = 0; unseen[i]; i++) iw_buffer_add_format(&out, "%s %s", i ? "," : "", unseen[i]);
    iw_buffer_add_text(&out, ": for these the audit is the only guard");
    if (is_bulldozer(profile))
        iw_buffer_add_text(
            &out,
            "; FMA4, XOP and LWP, which such a CPU has, are left out, for no emulator runs them");
    return iw_buffer_take(&out);
}
