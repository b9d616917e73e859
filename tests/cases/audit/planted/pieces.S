# A gap: functions that nothing names or leads to, and a table among them.
    .text
    .globl entry
    .type entry, @function
entry:
    .cfi_startproc
    ret
    .cfi_endproc
    .size entry, . - entry
    .balign 16
    mov %rdi, %rax
    pabsb %xmm0, %xmm0
    ret
    .balign 16
    .byte 0x06, 0x07, 0xc5, 0xfc, 0x58, 0xc1, 0xc5, 0xfc, 0x59, 0xc1, 0x06, 0x0e, 0x16, 0x1e, 0x27, 0x2f
    .balign 16
    mov %rdi, %rax
    phaddw %xmm0, %xmm0
    ret
    .section .note.GNU-stack, "", @progbits
