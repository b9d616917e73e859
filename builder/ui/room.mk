ui_SOURCES :=
ui_TESTS :=
ui_USES := base
