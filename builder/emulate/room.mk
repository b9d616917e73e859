emulate_SOURCES := cpuid.c checks.c
emulate_TESTS :=
emulate_USES := base recipe build
HELPERS += iw-trace
iw-trace_HELPER := emulate/trace_main.c
