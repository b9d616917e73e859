fetch_SOURCES :=
fetch_TESTS :=
fetch_USES := base
