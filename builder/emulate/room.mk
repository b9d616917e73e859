emulate_SOURCES :=
emulate_TESTS :=
emulate_USES := base
