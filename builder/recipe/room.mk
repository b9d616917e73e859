recipe_SOURCES :=
recipe_TESTS :=
recipe_USES := base
