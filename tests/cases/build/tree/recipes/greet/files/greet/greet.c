#include "greet.h"

const char *greeting(void)
{
    return "hello";
}

int has_avx(void)
{
#ifdef __AVX__
    return 1;
#else
    return 0;
#endif
}
