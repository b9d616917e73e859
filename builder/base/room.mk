base_SOURCES := clock.c error.c memory.c arena.c text.c path.c fault.c fs.c scratch.c hash.c guard.c machine.c process.c json.c event.c
base_TESTS := test_text.c test_fs.c test_process.c
base_USES := 
