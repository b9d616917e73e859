cli_SOURCES := options.c usage.c context.c session.c commands.c build.c check.c plan.c fetch.c log.c list.c pack.c unpack.c diff.c cache.c toolchain.c \
	doctor.c completion.c audit.c run.c verify.c triage.c new.c heal.c bump.c patches.c
cli_SOURCES += sharing.c keygen.c trust.c push.c published.c pull.c remote.c serve.c challenge.c giving.c jobs.c withdraw.c
cli_TESTS :=
cli_USES := base deliver audit recipe store plan fetch build pack emulate triage report upgrade share ui
