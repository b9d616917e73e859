/* This host's CPU features by CPUID, under GCC's names. Never /proc/cpuinfo: an emulator shows the
 * host's there, unless iw-cpu's is put in its place. */
#ifndef IW_EMULATE_CPUID_H
#define IW_EMULATE_CPUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Registers of one CPUID leaf, eax to edx. */
typedef void (*iw_cpuid)(void *context, uint32_t leaf, uint32_t subleaf, uint32_t registers[4]);

/* The CPU that this runs on. */
void iw_cpuid_host(void *context, uint32_t leaf, uint32_t subleaf, uint32_t registers[4]);

/* Every feature that iw_cpu_has can answer for, NULL-terminated, static. */
const char *const *iw_cpu_features(void);

/* Whether the CPU behind `cpuid` has the feature (false for a name that isn't in iw_cpu_features).
 * Leaves beyond the CPU's highest one count as zero. */
bool iw_cpu_has(iw_cpuid cpuid, void *context, const char *feature);

#endif
