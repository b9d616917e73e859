ui_SOURCES := columns.c display.c terminal.c
ui_TESTS := test_columns.c test_display.c test_fuzz_display.c test_terminal.c
ui_USES := base
