/* trial.py as text in the program. */
#include "triage/internal.h"

__asm__(".pushsection .rodata\n"
        ".globl iw_trial_code\n"
        ".type iw_trial_code, @object\n"
        "iw_trial_code:\n"
        ".incbin \"builder/triage/trial.py\"\n"
        ".byte 0\n"
        ".size iw_trial_code, . - iw_trial_code\n"
        ".popsection\n");
