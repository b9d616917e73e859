report_SOURCES := html.c timeline.c page.c bump.c style.c
report_TESTS := test_fuzz_report.c test_page.c
report_USES := base
$(B)/obj/builder/report/style.o: builder/report/style.css
