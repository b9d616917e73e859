# Hand-written: no .cfi, no size, local; reached by a call from a function, or by a pointer in data. Behind it a table that would decode as AVX.
    .text
    .globl entry
    .type entry, @function
entry:
    .cfi_startproc
    call helper
    ret
    .cfi_endproc
    .size entry, . - entry
    .balign 16
constants:
    .byte 0x06, 0x07, 0xc5, 0xfc, 0x58, 0xc1, 0xc5, 0xfc, 0x59, 0xc1, 0x06, 0x0e, 0x16, 0x1e, 0x27, 0x2f
    .balign 16
helper:
    pabsb %xmm0, %xmm0
    lea constants(%rip), %rax
    ret
    .balign 16
pointed:
    phaddw %xmm0, %xmm0
    ret
    .data
    .balign 8
    .globl pointer
pointer:
    .quad pointed
    .section .note.GNU-stack, "", @progbits
