upgrade_SOURCES := version.c candidates.c patch_try.c edit.c draft.c requirement.c metadata.c
upgrade_TESTS := test_version.c test_candidates.c test_patch_try.c test_edit.c test_draft.c test_requirement.c test_metadata.c
upgrade_USES := base recipe store plan fetch
