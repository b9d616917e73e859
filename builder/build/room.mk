build_SOURCES := sandbox.c run.c prepare.c toolchain.c steps.c
build_TESTS := test_sandbox.c test_steps.c
build_USES := base
