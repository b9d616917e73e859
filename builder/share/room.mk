share_SOURCES := key.c canon.c channel.c channel_wheels.c remote.c remote_folder.c http.c challenge.c credentials.c oci.c registry.c upload.c remote_http.c remote_ssh.c remote_oci.c trust.c seen.c own.c layout.c delta.c bundle_facts.c parts.c admit.c prune.c wheel.c guard.c simple.c put_wheels.c push.c install.c added.c stream.c pull.c cache.c serve.c
share_TESTS := test_key.c test_channel.c test_serve.c test_wheel.c test_fuzz_share.c test_fuzz_oci.c test_fuzz_index.c test_oci.c
share_USES := base recipe store plan fetch audit pack
