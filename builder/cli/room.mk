cli_SOURCES :=
cli_TESTS :=
cli_USES := base
