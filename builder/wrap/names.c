#include "wrap/names.h"

#include <stddef.h>

const char *const *iw_wrapped_names(void)
{
    static const char *const names[] = {"as",
                                        "c++",
                                        "c89",
                                        "c89-gcc",
                                        "c99",
                                        "c99-gcc",
                                        "cc",
                                        "cpp",
                                        "cpp-12",
                                        "f77",
                                        "f95",
                                        "g++",
                                        "g++-12",
                                        "gcc",
                                        "gcc-12",
                                        "gfortran",
                                        "gfortran-12",
                                        "ld",
                                        "ld.bfd",
                                        "ld.gold",
                                        "rustc",
                                        "x86_64-linux-gnu-as",
                                        "x86_64-linux-gnu-cpp",
                                        "x86_64-linux-gnu-cpp-12",
                                        "x86_64-linux-gnu-g++",
                                        "x86_64-linux-gnu-g++-12",
                                        "x86_64-linux-gnu-gcc",
                                        "x86_64-linux-gnu-gcc-12",
                                        "x86_64-linux-gnu-gfortran",
                                        "x86_64-linux-gnu-gfortran-12",
                                        "x86_64-linux-gnu-ld",
                                        "x86_64-linux-gnu-ld.bfd",
                                        "x86_64-linux-gnu-ld.gold",
                                        NULL};
    return names;
}
