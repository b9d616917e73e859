/* Runs the instruction of each line of standard input ("name hex") and prints what came of it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static sigjmp_buf back;
static void on_signal(int number)
{
    siglongjmp(back, number);
}
int main(void)
{
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP};
    unsigned char *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static char memory[8192] __attribute__((aligned(4096)));
    char name[40], hex[64];
    for (int i = 0; i < 5; i++) signal(signals[i], on_signal);
    while (scanf("%39s %63s%*[^\n]", name, hex) == 2) {
        size_t count = 0;
        unsigned byte;
        memset(code, 0xc3, 4096);
        for (; sscanf(hex + 2 * count, "%2x", &byte) == 1; count++)
            code[count] = (unsigned char)byte;
        volatile uint64_t result = 0;
        int died = sigsetjmp(back, 1);
        if (!died) {
            uint64_t out = (uint64_t)(uintptr_t)memory, value = 1;
            __asm__ volatile("push %%rbx\n\tpush %%rbp\n\tpush %%r12\n\tmov $0, %%ecx\n\tmov "
                             "$0,%%edx\n\tcall *%2\n\tcld\n\tpop %%r12\n\tpop %%rbp\n\tpop %%rbx"
                             : "+a"(out), "+D"(value)
                             : "r"(code)
                             : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
            result = out;
        }
        printf("%s %s %llx\n", name,
               died == 0         ? "ran"
               : died == SIGILL  ? "SIGILL"
               : died == SIGSEGV ? "SIGSEGV"
                                 : "other",
               (unsigned long long)(died ? 0 : result & 0xff));
        fflush(stdout);
    }
    return 0;
}
