recipe_SOURCES := document.c features.c rules.c schema.c keys.c meaning.c json.c source.c tree.c patch.c load.c stack.c profile.c toolchain.c catalog.c distribution.c version.c
recipe_TESTS := test_document.c test_cases.c test_profiles.c test_meaning.c test_patch.c test_tree.c test_distribution.c test_fuzz_replay.c test_torch.c test_version.c
recipe_USES := base
