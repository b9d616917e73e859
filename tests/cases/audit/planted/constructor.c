/* A constructor that reaches the instruction by direct calls, one of them through the linker's
 * stub. */
__attribute__((noinline)) int planted_deep(void)
{
    int value;
    __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0; vzeroupper; mov $1, %0" : "=r"(value)::"xmm0");
    return value;
}

__attribute__((noinline)) int planted_middle(void)
{
    return planted_deep() + 1;
}

int planted_state;

__attribute__((constructor)) static void planted_start(void)
{
    planted_state = planted_middle() + 1;
}

__attribute__((noinline)) int never_before_main(void)
{
    int value;
    __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0; vzeroupper; mov $1, %0" : "=r"(value)::"xmm0");
    return value;
}
