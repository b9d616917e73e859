/* An IFUNC resolver that isn't plain itself, and an implementation that it only picks. */
static int plain(int a)
{
    return a + 1;
}

static int fast(int a)
{
    __asm__ volatile("vzeroupper");
    return a + 2;
}

static void *pick(void)
{
    unsigned long value = 5;
    __asm__ volatile("shlx %0, %0, %0" : "+r"(value));
    return value > 7 ? (void *)fast : (void *)plain;
}

int chosen(int a) __attribute__((ifunc("pick")));
