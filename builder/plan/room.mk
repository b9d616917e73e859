plan_SOURCES :=
plan_TESTS :=
plan_USES := base
