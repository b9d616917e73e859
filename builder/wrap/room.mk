wrap_SOURCES := policy.c command.c names.c slots.c broker.c network.c sha256.c entry.c objects.c rust.c nvcc.c
wrap_TESTS := test_arguments.c test_responses.c test_objects.c test_rust.c test_slots.c test_network.c test_wrapper.c test_fuzz_wrap.c
wrap_USES := base
HELPERS += iw-cc iw-init
iw-cc_HELPER := wrap/cc_main.c wrap/real.c wrap/policy.c wrap/command.c wrap/entry.c wrap/objects.c wrap/rust.c wrap/nvcc.c wrap/sha256.c base/error.c base/memory.c base/text.c base/path.c base/fs.c base/fault.c
iw-cc_HELPER_LIBS :=
iw-init_HELPER := wrap/init_main.c
iw-init_HELPER_LIBS := -lseccomp
