ui_SOURCES := columns.c display.c terminal.c
ui_TESTS :=
ui_USES := base
