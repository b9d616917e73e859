audit_SOURCES := isa.c tables.c decode.c newer.c instruction.c image.c flow.c scan.c pool.c audit.c report.c
audit_TESTS := test_decode.c test_planted.c test_fuzz_audit.c
audit_USES := base recipe

# Made anew from the reference decoder (half a minute), and compared in review.
.PHONY: audit-tables
audit-tables: $(B)/audit-generate
	$(B)/audit-generate >builder/audit/tables.inc.new && mv builder/audit/tables.inc.new builder/audit/tables.inc
$(B)/audit-generate: builder/audit/generate.c builder/audit/isa.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE -O2 -Ibuilder $(WARNINGS) -o $@ $^ -lZydis

# Decoders side by side: `make bench-audit FILES="…/libtorch_cpu.so"`.
.PHONY: bench-audit test-audit-every
bench-audit: $(B)/tests/bench/audit_bench
	@$(B)/tests/bench/audit_bench $(FILES)

# Every byte offset of every library of this host, or below FOLDER (unpacked wheels), against Zydis: half an hour.
test-audit-every: $(B)/tests/audit/test_decode
	@IW_AUDIT_EVERY=1 $(if $(FOLDER),IW_AUDIT_FOLDER=$(FOLDER)) $<
