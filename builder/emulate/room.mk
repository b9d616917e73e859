emulate_SOURCES := cpuid.c checks.c crash.c unseen.c
emulate_TESTS := test_cpuid.c test_trace.c test_emulator.c
emulate_USES := base recipe build audit
HELPERS += iw-trace
iw-trace_HELPER := emulate/trace_main.c
