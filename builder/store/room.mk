store_SOURCES := archive_name.c archive_ring.c archive_place.c archive_tar.c archive_in.c archive_out.c archive_zip.c \
	store_index.c store.c store_source.c store_artifact.c store_record.c store_care.c
store_TESTS := test_archive.c test_store.c test_fuzz_archive.c
store_USES := base
