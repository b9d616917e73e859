wrap_SOURCES :=
wrap_TESTS :=
wrap_USES := base
