deliver_SOURCES := session.c ready.c prove.c bundling.c reporting.c bundle_file.c compare.c verify.c
deliver_TESTS :=
deliver_USES := base recipe store plan fetch build pack audit emulate report
