emulate_SOURCES := cpuid.c checks.c crash.c unseen.c shown.c
emulate_TESTS := test_cpuid.c test_trace.c test_emulator.c
emulate_USES := base recipe build audit
HELPERS += iw-trace iw-cpu
iw-trace_HELPER := emulate/trace_main.c emulate/trace_files.c
iw-cpu_HELPER := emulate/cpu_main.c
