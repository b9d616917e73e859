/* What gcc 12 makes of comparing pairs of floats for a K10: 3DNow!, and no FEMMS. */
unsigned long long planted(unsigned long long a, unsigned long long b)
{
    __asm__("movq %0, %%mm0\n\tmovq %1, %%mm1\n\tpfcmpeq %%mm1, %%mm0\n\tmovq %%mm0, %0"
            : "+r"(a)
            : "r"(b));
    return a;
}
