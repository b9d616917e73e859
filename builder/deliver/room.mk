deliver_SOURCES := session.c ready.c prove.c bundling.c reporting.c bundle_file.c compare.c verify.c floor.c passed.c only.c check.c away.c assemble.c again.c jobs.c
deliver_TESTS := test_floor.c
deliver_USES := base share recipe store plan fetch build pack audit emulate report
