triage_SOURCES := requirement.c lock.c given.c pip.c absent.c bytecode.c sdist.c count.c owner.c trial.c try.c newest.c kept.c triage.c program.c
triage_TESTS := test_requirement.c test_pip.c
triage_USES := base recipe store fetch build audit emulate
$(B)/obj/builder/triage/program.o: builder/triage/trial.py
