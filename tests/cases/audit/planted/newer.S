# An instruction that the reference decoder is too old for (VSM4RNDS4), one that nothing knows (VEX, map 2, opcode FF), and one behind them that is forbidden.
    .text
    .globl planted
    .type planted, @function
planted:
    .cfi_startproc
    mov $1, %eax
    .byte 0xc4, 0xe2, 0x73, 0xda, 0xc2
    .byte 0xc4, 0xe2, 0x73, 0xff, 0xc2
    pshufb %xmm1, %xmm0
    ret
    .cfi_endproc
    .size planted, . - planted
    .section .note.GNU-stack, "", @progbits
