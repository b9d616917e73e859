pack_SOURCES := elf.c record.c finish.c closure.c scripts.c describe.c bundle.c
pack_TESTS := test_elf.c test_finish.c test_bundle.c
pack_USES := base recipe store plan
