/* style.css as text in the program. */
#include "report/html.h"

__asm__(".pushsection .rodata\n"
        ".globl iw_report_style\n"
        ".type iw_report_style, @object\n"
        "iw_report_style:\n"
        ".incbin \"builder/report/style.css\"\n"
        ".byte 0\n"
        ".size iw_report_style, . - iw_report_style\n"
        ".popsection\n");
