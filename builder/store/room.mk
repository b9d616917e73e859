store_SOURCES :=
store_TESTS :=
store_USES := base
