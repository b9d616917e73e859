audit_SOURCES := isa.c tables.c decode.c newer.c instruction.c image.c flow.c scan.c pool.c audit.c report.c
audit_TESTS := test_decode.c test_planted.c test_fuzz_audit.c
audit_USES := base recipe

# Made anew from the reference decoder (half a minute), and compared in review.
.PHONY: audit-tables
audit-tables: $(B)/audit-generate
	$(B)/audit-generate >builder/audit/tables.inc.new && mv builder/audit/tables.inc.new builder/audit/tables.inc
$(B)/audit-generate: builder/audit/generate.c builder/audit/isa.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE -O2 -Ibuilder $(WARNINGS) -isystem $(VENDOR)/include -o $@ $^ $(if $(ZYDIS),$(ZYDIS),-lZydis)

# Decoders side by side: `make bench-audit FILES="…/libtorch_cpu.so"`; iced-x86 among them where there is cargo (it is fetched and built then).
.PHONY: bench-audit bench-iced test-audit-every
bench-iced:
	@command -v cargo >/dev/null || { echo "no cargo here: iced-x86 is left out"; exit 0; }; \
	  cargo build --quiet --release --manifest-path tests/bench/iced/Cargo.toml --target-dir $(O)/iced || echo "iced-x86 could not be built: it is left out"
bench-audit: bench-iced $(B)/tests/bench/audit_bench
	@IW_ICED=$(O)/iced/release/iced-bench $(B)/tests/bench/audit_bench $(FILES)

# Every byte offset of every library of this host, or below FOLDER (unpacked wheels), against Zydis: half an hour.
test-audit-every: $(B)/tests/audit/test_decode
	@IW_AUDIT_EVERY=1 $(if $(FOLDER),IW_AUDIT_FOLDER=$(FOLDER)) $<
