# Read at every project(): what torch's CMake would otherwise find out for itself.
# The compiler could make AVX2 and AVX-512 copies of the kernels; this CPU could never run them. CMake's cache keeps a preset answer.
foreach(language C CXX)
  foreach(kind AVX AVX2 AVX512)
    set(${language}_${kind}_FOUND OFF CACHE BOOL "not on this CPU" FORCE)
    set(${language}_${kind}_FLAGS "" CACHE STRING "not on this CPU" FORCE)
  endforeach()
endforeach()
set(CAFFE2_COMPILER_SUPPORTS_AVX512_EXTENSIONS OFF CACHE INTERNAL "not on this CPU" FORCE)
# OpenBLAS built with gfortran returns complex dot products as gfortran does, not through a hidden argument: use CBLAS, which has one way.
set(BLAS_USE_CBLAS_DOT TRUE)
