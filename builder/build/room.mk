build_SOURCES := host.c checks_root.c sandbox.c run.c prepare.c toolchain.c steps.c tree.c box.c patching.c facts.c package.c worker.c build.c shell.c
build_TESTS := test_sandbox.c test_steps.c test_root.c test_patching.c test_logs.c test_toolchain.c test_build.c
build_USES := base recipe store plan fetch wrap pack
