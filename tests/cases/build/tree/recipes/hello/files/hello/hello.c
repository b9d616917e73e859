#include <greet.h>
#include <stdio.h>

int main(void)
{
    printf("%s%s avx=%d\n", greeting(), LOUD ? "!" : "", has_avx());
    return 0;
}
