upgrade_SOURCES := candidates.c debian.c watch.c patch_try.c patch_lines.c patch_moved.c edit.c draft.c requirement.c clash.c metadata.c release.c memory.c needs.c companions.c difference.c proof.c hints.c trial.c bump.c solve.c tools.c all.c lessons.c move_toolchain.c tell.c \
	ask.c sketch.c learn.c rig.c make_sketch.c make_build.c new.c resolve.c heal_hashes.c heal_decide.c heal_tools.c heal_write.c heal.c
upgrade_TESTS := test_candidates.c test_debian_releases.c test_watch.c test_patch_try.c test_edit.c test_draft.c test_requirement.c test_clash.c test_metadata.c test_solve.c test_learn.c test_sketch.c test_heal_hashes.c test_proofs.c test_hints.c test_tell.c
upgrade_USES := base recipe store plan fetch audit triage build deliver
$(B)/obj/builder/upgrade/ask.o: builder/upgrade/sdist.py
