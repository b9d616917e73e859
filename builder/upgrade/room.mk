upgrade_SOURCES := version.c
upgrade_TESTS := test_version.c
upgrade_USES := base
