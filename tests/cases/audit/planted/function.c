/* One forbidden instruction in one function, among clean ones. */
int clean(int a)
{
    return a * 3;
}

void planted(unsigned char *p)
{
    __asm__ volatile("movdqu (%0), %%xmm0; pshufb %%xmm0, %%xmm0; movdqu %%xmm0, (%0)" ::"r"(p)
                     : "xmm0", "memory");
}

int other(int a)
{
    return a - 7;
}
