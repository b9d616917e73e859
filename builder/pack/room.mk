pack_SOURCES :=
pack_TESTS :=
pack_USES := base
