share_SOURCES := key.c canon.c channel.c
share_TESTS := test_key.c test_channel.c
share_USES := base recipe store plan fetch audit pack
