plan_SOURCES := graph.c plan_keys.c changes.c plan.c why.c schedule.c
plan_TESTS := test_plan.c test_schedule.c
plan_USES := recipe store
