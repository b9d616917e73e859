upgrade_SOURCES := version.c candidates.c patch_try.c
upgrade_TESTS := test_version.c test_candidates.c test_patch_try.c
upgrade_USES := base recipe store plan fetch
