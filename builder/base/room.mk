base_SOURCES := error.c memory.c arena.c text.c path.c fault.c fs.c hash.c process.c event.c
base_TESTS :=
base_USES := 
