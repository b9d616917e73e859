/* INCSSP as gcc's unwinder does it, behind RDSSP: never run where there are no shadow stacks. And
 * without asking. */
void asked(void)
{
    __asm__ volatile("xor %%eax, %%eax; rdsspq %%rax; test %%rax, %%rax; je 1f; mov $1, %%eax; "
                     "incsspq %%rax; 1:" ::
                         : "rax", "cc");
}

void unasked(void)
{
    __asm__ volatile("mov $1, %%eax; incsspq %%rax" ::: "rax");
}

void other_register(void)
{
    __asm__ volatile("xor %%eax, %%eax; rdsspq %%rax; test %%rcx, %%rcx; je 1f; mov $1, %%eax; "
                     "incsspq %%rax; 1:" ::
                         : "rax", "cc");
}
