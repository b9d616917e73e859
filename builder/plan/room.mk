plan_SOURCES := graph.c plan_keys.c changes.c plan.c why.c schedule.c
plan_TESTS :=
plan_USES := recipe store
