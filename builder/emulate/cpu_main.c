/* iw-cpu: writes what Linux tells of processors, for the one that it runs on itself. Under an
 * emulator /proc/cpuinfo and /sys/devices/system/cpu are the host's; started there, this program
 * makes files to put in their place.
 *
 * usage: iw-cpu FOLDER PROCESSORS
 * FOLDER (which exists) gets `cpuinfo` and `cpu/`, of so many processors: one socket, a thread
 * each. Formats: proc(5), the kernel's Documentation/ABI/testing/sysfs-devices-system-cpu. */
#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EAX, EBX, ECX, EDX };
#define EXTENDED 0x80000000u
#define PROCESSORS_LIMIT 4096
#define MEGAHERTZ 2000 /* a CPU that is emulated has none of its own */

/* --- what CPUID says ------------------------------------------------------ */

static void leaf(uint32_t number, uint32_t sub, uint32_t registers[4])
{
    uint32_t highest = __get_cpuid_max(number & EXTENDED, NULL);
    memset(registers, 0, 4 * sizeof *registers);
    if (highest >= number)
        __cpuid_count(number, sub, registers[EAX], registers[EBX], registers[ECX], registers[EDX]);
}

/* The kernel's words for the bits (arch/x86/include/asm/cpufeatures.h), in the order in which it
 * prints them. */
static const struct word {
    uint32_t leaf, sub;
    int where;
    const char *names[32];
} words[] = {
    /* clang-format off */
    {1, 0, EDX, {"fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep", "mtrr", "pge", "mca", "cmov",
                 "pat", "pse36", "pn", "clflush", NULL, "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe"}},
    {EXTENDED | 1, 0, EDX, {[11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext", [25] = "fxsr_opt", [26] = "pdpe1gb",
                            [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow"}},
    {1, 0, ECX, {"pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm",
                 NULL, "pcid", "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt", "tsc_deadline_timer", "aes", "xsave", NULL, "avx", "f16c",
                 "rdrand", "hypervisor"}},
    {EXTENDED | 1, 0, ECX, {"lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch", "osvw", "ibs",
                            "xop", "skinit", "wdt", NULL, "lwp", "fma4", "tce", NULL, "nodeid_msr", NULL, "tbm", "topoext", "perfctr_core",
                            "perfctr_nb", NULL, "bpext", "ptsc", "perfctr_llc", "mwaitx"}},
    {7, 0, EBX, {"fsgsbase", "tsc_adjust", NULL, "bmi1", "hle", "avx2", NULL, "smep", "bmi2", "erms", "invpcid", "rtm", "cqm", NULL, "mpx", "rdt_a",
                 "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", NULL, "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er",
                 "avx512cd", "sha_ni", "avx512bw", "avx512vl"}},
    {13, 1, EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
    {7, 1, EAX, {[4] = "avx_vnni", [5] = "avx512_bf16"}},
    {7, 0, ECX, {[1] = "avx512vbmi", [2] = "umip", [3] = "pku", [4] = "ospke", [5] = "waitpkg", [6] = "avx512_vbmi2", [8] = "gfni", [9] = "vaes",
                 [10] = "vpclmulqdq", [11] = "avx512_vnni", [12] = "avx512_bitalg", [14] = "avx512_vpopcntdq", [16] = "la57", [22] = "rdpid",
                 [25] = "cldemote", [27] = "movdiri", [28] = "movdir64b"}},
    {7, 0, EDX, {[2] = "avx512_4vnniw", [3] = "avx512_4fmaps", [4] = "fsrm", [8] = "avx512_vp2intersect", [14] = "serialize", [16] = "tsxldtrk",
                 [22] = "amx_bf16", [23] = "avx512_fp16", [24] = "amx_tile", [25] = "amx_int8"}},
    /* clang-format on */
};

static void print_flags(FILE *out)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        uint32_t registers[4];
        leaf(words[i].leaf, words[i].sub, registers);
        for (unsigned bit = 0; bit < 32; bit++)
            if ((registers[words[i].where] >> bit & 1) && words[i].names[bit])
                fprintf(out, " %s", words[i].names[bit]);
        /* Two that the kernel sets by itself on every 64-bit processor. */
        if (words[i].leaf == (EXTENDED | 1) && words[i].where == EDX) fputs(" nopl cpuid", out);
    }
}

struct cpu {
    char vendor[13], name[49];
    unsigned family, model, stepping, level, flush, cache, physical, virtual;
};

static struct cpu this_cpu(void)
{
    struct cpu cpu = {.level = __get_cpuid_max(0, NULL)};
    uint32_t r[4];
    leaf(0, 0, r);
    memcpy(cpu.vendor, &r[EBX], 4), memcpy(cpu.vendor + 4, &r[EDX], 4);
    memcpy(cpu.vendor + 8, &r[ECX], 4);
    leaf(1, 0, r);
    cpu.family = r[EAX] >> 8 & 15, cpu.model = r[EAX] >> 4 & 15, cpu.stepping = r[EAX] & 15;
    if (cpu.family >= 6) cpu.model += (r[EAX] >> 16 & 15) << 4;
    if (cpu.family == 15) cpu.family += r[EAX] >> 20 & 255;
    cpu.flush = (r[EBX] >> 8 & 255) * 8;
    for (uint32_t i = 0; i < 3; i++) {
        leaf((EXTENDED | 2) + i, 0, r);
        memcpy(cpu.name + 16 * i, r, 16);
    }
    leaf(EXTENDED | 6, 0, r);
    cpu.cache = r[ECX] >> 16;
    leaf(EXTENDED | 8, 0, r);
    cpu.physical = r[EAX] & 255, cpu.virtual = r[EAX] >> 8 & 255;
    return cpu;
}

/* --- files ---------------------------------------------------------------- */

static FILE *create(const char *path)
{
    FILE *out = fopen(path, "w");
    if (out) return out;
    fprintf(stderr, "iw-cpu: can't write %s: %s\n", path, strerror(errno));
    exit(1);
}

static void finish(FILE *out, const char *path)
{
    int bad = ferror(out);
    if (!fclose(out) && !bad) return;
    fprintf(stderr, "iw-cpu: can't write %s: %s\n", path, strerror(errno));
    exit(1);
}

/* FOLDER/PATH with a line in it. */
static void put(const char *folder, const char *path, const char *format, ...)
{
    char whole[4096];
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    FILE *out = create(whole);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
    finish(out, whole);
}

static void print_processor(FILE *out, const struct cpu *cpu, unsigned number, unsigned count)
{
    fprintf(out, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n", number,
            cpu->vendor, cpu->family, cpu->model);
    fprintf(out, "model name\t: %s\nstepping\t: %u\ncpu MHz\t\t: %u.000\n",
            cpu->name[0] ? cpu->name : "unknown", cpu->stepping, MEGAHERTZ);
    if (cpu->cache) fprintf(out, "cache size\t: %u KB\n", cpu->cache);
    fprintf(out, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n", count,
            number, count);
    fprintf(out, "apicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\n",
            number, number);
    fprintf(out, "cpuid level\t: %u\nwp\t\t: yes\nflags\t\t:", cpu->level);
    print_flags(out);
    fprintf(out, "\nbugs\t\t:\nbogomips\t: %u.00\nclflush size\t: %u\ncache_alignment\t: %u\n",
            2 * MEGAHERTZ, cpu->flush, cpu->flush);
    fprintf(out, "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
            cpu->physical, cpu->virtual);
}

static void make_folder(const char *path)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST) return;
    fprintf(stderr, "iw-cpu: can't make %s: %s\n", path, strerror(errno));
    exit(1);
}

/* A mask of 32-bit groups, the highest first, as sysfs prints it. */
static void mask_of(unsigned first, unsigned last, char *out, size_t size)
{
    size_t used = 0;
    for (unsigned group = last / 32 + 1; group-- > 0 && used < size;) {
        uint32_t bits = 0;
        for (unsigned bit = 0; bit < 32; bit++)
            if (group * 32 + bit >= first && group * 32 + bit <= last) bits |= 1u << bit;
        used += (size_t)snprintf(out + used, size - used, "%08x%s", bits, group ? "," : "");
    }
}

static void range_text(unsigned count, char out[32])
{
    snprintf(out, 32, count > 1 ? "0-%u" : "0", count - 1);
}

static void write_topology(const char *folder, unsigned number, unsigned count)
{
    static const char *const own[] = {"thread_siblings", "core_cpus"}, *const all[] = {
                                                                           "core_siblings",
                                                                           "package_cpus"};
    char path[4096], name[64], mask[9 * (PROCESSORS_LIMIT / 32) + 1], range[32];
    snprintf(path, sizeof path, "%s/cpu%u", folder, number);
    make_folder(path);
    if (number) put(path, "online", "1");
    snprintf(path, sizeof path, "%s/cpu%u/topology", folder, number);
    make_folder(path);
    put(path, "physical_package_id", "0");
    put(path, "die_id", "0");
    put(path, "core_id", "%u", number);
    range_text(count, range);
    for (size_t i = 0; i < 2; i++) {
        mask_of(number, number, mask, sizeof mask);
        put(path, own[i], "%s", mask);
        snprintf(name, sizeof name, "%s_list", own[i]);
        put(path, name, "%u", number);
        mask_of(0, count - 1, mask, sizeof mask);
        put(path, all[i], "%s", mask);
        snprintf(name, sizeof name, "%s_list", all[i]);
        put(path, name, "%s", range);
    }
}

int main(int argc, char **argv)
{
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (count < 1 || count > PROCESSORS_LIMIT) {
        fprintf(stderr, "usage: iw-cpu FOLDER PROCESSORS\n");
        return 2;
    }
    const struct cpu cpu = this_cpu();
    char path[4000], range[32];
    snprintf(path, sizeof path, "%s/cpuinfo", argv[1]);
    FILE *out = create(path);
    for (unsigned i = 0; i < count; i++) print_processor(out, &cpu, i, (unsigned)count);
    finish(out, path);
    snprintf(path, sizeof path, "%s/cpu", argv[1]);
    make_folder(path);
    range_text((unsigned)count, range);
    put(path, "online", "%s", range);
    put(path, "possible", "%s", range);
    put(path, "present", "%s", range);
    put(path, "offline", "%s", "");
    put(path, "kernel_max", "%u", PROCESSORS_LIMIT - 1);
    for (unsigned i = 0; i < count; i++) write_topology(path, i, (unsigned)count);
    return 0;
}
