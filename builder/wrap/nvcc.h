/* NVIDIA's nvcc, which comes in a prefix and not with the toolchain: a recipe moves it to
 * "nvcc.real" and puts the wrapper in its place. Internal to `iw-cc`. */
#ifndef IW_WRAP_NVCC_H
#define IW_WRAP_NVCC_H

/* The real one beside what was called, by its path or by a name on PATH. Caller frees. NULL: none
 * on PATH. */
char *iw_nvcc_find(const char *called);
/* What decides about its results besides the command line: the digests of its parts, and what it
 * takes from the environment. Caller frees. NULL: a part can't be read. */
char *iw_nvcc_identity(const char *path);

#endif
