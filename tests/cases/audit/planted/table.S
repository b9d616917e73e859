# A function with its jump table in the text, and code behind it: what a sweep would take for the table's last entries begins with 66, so that it
# swallows the next bytes.
    .text
    .globl planted
    .type planted, @function
planted:
    .cfi_startproc
    cmp $3, %rdi
    ja 9f
    lea table(%rip), %rax
    movslq (%rax, %rdi, 4), %rdx
    add %rax, %rdx
    jmp *%rdx
    .balign 4
table:
    .long 1f - table
    .long 2f - table
    .long 9f - table
    .long 1f - table
    .byte 0x48, 0xb8           # never run: a sweep reads it as mov $imm64, %rax and skips eight bytes
1:  pshufb %xmm1, %xmm0
    ret
2:  mov $2, %eax
    ret
9:  xor %eax, %eax
    ret
    .cfi_endproc
    .size planted, . - planted
    .section .note.GNU-stack, "", @progbits
