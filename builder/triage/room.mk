triage_SOURCES := list.c try.c newest.c
triage_TESTS :=
triage_USES := base recipe store audit emulate
