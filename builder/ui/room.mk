ui_SOURCES := display.c terminal.c
ui_TESTS :=
ui_USES := base
