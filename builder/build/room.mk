build_SOURCES :=
build_TESTS :=
build_USES := base
