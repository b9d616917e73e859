fetch_SOURCES := pinned.c transfer.c pieces.c where.c simple.c names.c snapshot.c gone.c origins.c probe.c listed.c debian_releases.c check.c crates.c git.c accept.c lay.c fetch.c debian_resolve.c debian_index.c toolchain_update.c
fetch_TESTS := test_transfer.c test_pieces.c test_pypi.c test_debian.c test_crates.c test_git.c test_fetch.c test_pinned.c test_snapshot.c test_check.c
fetch_USES := base recipe store
