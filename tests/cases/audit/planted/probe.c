/* XGETBV in constructors: behind a test of OSXSAVE, and without. */
unsigned probe_state, careless_state;

static __attribute__((noinline)) unsigned ask(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

__attribute__((constructor)) static void careful(void)
{
    unsigned a = 1, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (c & 1u << 27) {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        probe_state = low;
    }
}

__attribute__((constructor)) static void careless(void)
{
    careless_state = ask();
}
