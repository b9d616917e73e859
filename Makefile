# make            out/release/ironwheel          make help   every target
# One makefile, nothing recursive. Each room lists its sources in builder/<room>/room.mk.
MODE ?= release
O ?= out
B := $(O)/$(MODE)
CC ?= gcc
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local

ROOMS := base recipe store plan fetch wrap build pack emulate audit triage report share deliver upgrade ui cli
include $(wildcard $(ROOMS:%=builder/%/room.mk))

PACKAGES := libgit2 libarchive libcurl yaml-0.1 sqlite3 libcrypto libelf jansson libseccomp libsodium libmicrohttpd
# A warning is an error in CI, and wherever the compiler is CI's: what it would refuse is refused before it is committed, and another compiler's new warnings stop no user.
WARNINGS := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 -Wvla $(if $(or $(CI),$(filter 12,$(shell $(CC) -dumpversion))),-Werror)
MODE_FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
MODE_FLAGS_dev := -O1 -g
MODE_FLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
MODE_FLAGS_tsan := -O1 -g -fsanitize=thread
MODE_FLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
MODE_FLAGS_cov := -O0 -g --coverage
ifeq ($(filter $(MODE),release dev asan tsan fuzz cov),)
$(error MODE is release, dev, asan, tsan, fuzz or cov, not $(MODE))
endif
# Compiled in from pinned sources (hosts/sources.txt): zstd on every host, Zydis where the host has none that will do. The least versions of all: hosts/needs.txt.
VENDOR := out/vendor
ZYDIS := $(if $(shell . hosts/needs.sh; needs_in has wish | grep -x zydis),,$(VENDOR)/libZydis.a)
IW_CFLAGS := -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -ffunction-sections -fdata-sections -Ibuilder $(WARNINGS) $(MODE_FLAGS_$(MODE)) \
	-ffile-prefix-map=$(CURDIR)/= -isystem $(VENDOR)/include $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
QUICK_LIBS := $(VENDOR)/libzstd.a $(shell $(PKG_CONFIG) --libs yaml-0.1 sqlite3 libcrypto jansson) -lpthread
IW_LIBS := $(VENDOR)/libzstd.a $(shell $(PKG_CONFIG) --libs $(PACKAGES)) $(if $(ZYDIS),$(ZYDIS),-lZydis) -lpthread

.DEFAULT_GOAL := all # rooms may have targets of their own, and are read before
.PHONY: all
all: $(B)/ironwheel helpers ## compile the program and its helpers (MODE=release|dev|asan|tsan|fuzz|cov, O=folder)
.SECONDARY:
.DELETE_ON_ERROR:

# --- pinned sources: the same bytes on every host ------------------------------------------------------------------------------
# Their names stay inside, so that a library of the host that uses its own zstd (libarchive) goes on doing so.
HIDDEN := -fvisibility=hidden -ffunction-sections -fdata-sections -fPIC -w
$(VENDOR)/%/.sha256: hosts/sources.txt
	@./bootstrap.sh --sources
	@touch $@
$(VENDOR)/%/headers: $(VENDOR)/%/.sha256
	@sh hosts/compile.sh headers $* $(VENDOR)
$(VENDOR)/libzstd.a: $(VENDOR)/zstd/headers
	CC="$(CC)" AR="$(AR)" sh hosts/compile.sh zstd $(VENDOR) -O3 $(HIDDEN)
$(VENDOR)/libZydis.a: $(VENDOR)/zydis/headers $(VENDOR)/zycore/headers
	CC="$(CC)" AR="$(AR)" sh hosts/compile.sh zydis $(VENDOR) -O2 $(HIDDEN)
COMPILED_IN := $(VENDOR)/libzstd.a $(ZYDIS)
COMPILED_IN_HEADERS := $(VENDOR)/zstd/headers $(if $(ZYDIS),$(VENDOR)/zydis/headers $(VENDOR)/zycore/headers)

# --- rooms: $(B)/lib<room>.a ------------------------------------------------------------------------------------------------
# The list itself is a prerequisite: an object that is missing is nothing to do for make (.SECONDARY) where its source is older than the archive.
objects = $(patsubst %.c,$(B)/obj/builder/$(1)/%.o,$($(1)_SOURCES))
define room_rules
$(B)/lib$(1).a: $(call objects,$(1)) builder/$(1)/room.mk
	@rm -f $$@; $(AR) rcD $$@ $$(filter %.o,$$^)
ALL_OBJECTS += $(call objects,$(1))
endef
$(foreach room,$(ROOMS),$(eval $(call room_rules,$(room))))

# A room's own archive and those of every room it may use, users first.
uses_of = $(1) $(foreach used,$($(1)_USES),$(call uses_of,$(used)))
room_libs = $(foreach room,$(sort $(call uses_of,$(1))),$(B)/lib$(room).a)

$(B)/libironwheel.a: $(ALL_OBJECTS) $(ROOMS:%=builder/%/room.mk) | $(COMPILED_IN)
	@rm -f $@; $(AR) rcD $@ $(filter %.o,$^)

$(B)/libexec/ironwheel: $(B)/obj/builder/cli/main.o $(B)/libironwheel.a
	@mkdir -p $(@D)
	$(CC) $(MODE_FLAGS_$(MODE)) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(IW_LIBS)
# What stands before it: of the library only what it calls, and so only the libraries that this needs.
$(B)/ironwheel: $(B)/obj/builder/cli/quick_main.o $(B)/libironwheel.a $(B)/libexec/ironwheel
	$(CC) $(MODE_FLAGS_$(MODE)) $(CFLAGS) -o $@ $(filter %.o %.a,$^) -Wl,--gc-sections,-z,muldefs $(LDFLAGS) $(if $(filter release dev,$(MODE)),$(QUICK_LIBS),$(IW_LIBS))

$(B)/obj/%.o: %.c | $(COMPILED_IN_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(IW_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- programs that run inside the sandbox: static, small, no library of ours beyond base --------------------------------------
# Each name in HELPERS has <name>_HELPER := its sources (paths below builder/), set in a room.mk.
HELPERS ?=
helper_objects = $(patsubst %.c,$(B)/obj-static/builder/%.o,$($(1)_HELPER))
define helper_rules
$(B)/libexec/$(1): $(call helper_objects,$(1))
	@mkdir -p $$(@D)
	$(CC) -static -O2 -o $$@ $$^ $($(1)_HELPER_LIBS)
ALL_HELPERS += $(B)/libexec/$(1)
endef
$(foreach helper,$(HELPERS),$(eval $(call helper_rules,$(helper))))
# Loaded into programs that are checked: freestanding, for any x86-64 CPU and any C library.
$(B)/libexec/iw-crash.so: builder/emulate/crash_lib.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O2 -ffreestanding -fno-stack-protector -fcf-protection=none -march=x86-64 -fPIC -shared -nostdlib \
	  -ffile-prefix-map=$(CURDIR)/= -Wl,--build-id=none -o $@ $<
ALL_HELPERS += $(B)/libexec/iw-crash.so
.PHONY: helpers
helpers: $(ALL_HELPERS)

$(B)/obj-static/%.o: %.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE -Ibuilder $(WARNINGS) -O2 -g -ffile-prefix-map=$(CURDIR)/= -MMD -MP -c -o $@ $<

# --- unit tests: tests/unit/<room>/test_*.c, one program each ----------------------------------------------------------------
define unit_rules
$(B)/tests/$(1)/%: $(B)/obj/tests/unit/$(1)/%.o $(call room_libs,$(1)) | $(COMPILED_IN)
	@mkdir -p $$(@D)
	$(CC) $(MODE_FLAGS_$(MODE)) $(CFLAGS) -o $$@ $$< -Wl,--start-group $(call room_libs,$(1)) -Wl,--end-group $(LDFLAGS) -lcmocka $(IW_LIBS)
UNIT_TESTS += $(patsubst %.c,$(B)/tests/$(1)/%,$($(1)_TESTS))
.PHONY: unit-$(1)
unit-$(1): $(patsubst %.c,$(B)/tests/$(1)/%,$($(1)_TESTS)) helpers
	@set -e; for t in $(patsubst %.c,$(B)/tests/$(1)/%,$($(1)_TESTS)); do IW_HELPERS=$(abspath $(B))/libexec $$$$t; done
endef
$(foreach room,$(ROOMS),$(eval $(call unit_rules,$(room))))

# --- all tests --------------------------------------------------------------------------------------------------------------
RUN_TESTS := IW_HELPERS=$(abspath $(B))/libexec IW_PROGRAM=$(abspath $(B))/ironwheel python3 tests/run.py --results $(B)/results
.PHONY: test unit test-programs test-deps test-real test-stack test-fleet test-hosts test-repro test-asan prove lint format layers bench
test-deps:
	@./bootstrap.sh --test-deps
test-programs: $(UNIT_TESTS)
unit: $(UNIT_TESTS) helpers ## the unit tests of every room
	@$(RUN_TESTS) $(UNIT_TESTS)
test: test-deps ## everything that needs no long build: unit, command line, fixture packages (installs what it needs)
	@$(MAKE) --no-print-directory -j$(shell nproc) layers all $(UNIT_TESTS)
	@$(RUN_TESTS) $(UNIT_TESTS) tests/cli
test-asan: ## the unit tests under ASan and UBSan
	@$(MAKE) --no-print-directory MODE=asan unit
test-stack: test-deps ## build stack base, prove it from outside, compare its digest (half an hour with an empty store)
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@$(RUN_TESTS)-stack tests/stack
test-fleet: test-deps ## build stack base-fleet, which passes under Core 2, K10 and Nehalem alike, and prove that (as long as test-stack; not part of CI)
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@$(RUN_TESTS)-fleet tests/fleet
test-hosts: all ## bootstrap on fresh systems (HOSTS=…: bullseye bookworm trixie sid bare), each bundle compared with this host's (root, an hour; not part of CI)
	@python3 tests/hosts/run.py $(HOSTS)
prove: test-deps ## build one stack and prove it from outside, STACK=name (as long as that stack takes; not part of CI); DIST=folder keeps its bundle, or takes the one that is there
	@test -n "$(STACK)" || { echo "which stack? make prove STACK=name; ./bootstrap.sh --list names them" >&2; exit 2; }
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@IW_STACK='$(STACK)' IW_DIST='$(DIST)' $(RUN_TESTS)-prove tests/prove
test-repro: test-deps ## build stack base twice, in other places, at other times, and compare the bytes
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@IW_PROGRAM=$(abspath $(B))/ironwheel python3 tests/repro.py
$(B)/tests/bench/%: $(B)/obj/tests/bench/%.o $(B)/libironwheel.a
	@mkdir -p $(@D)
	$(CC) $(MODE_FLAGS_$(MODE)) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(IW_LIBS)
test-real: test-deps ## what stands in tests/real/*.list, with the package index (LISTS="triage", LARGE=1 for what brings gigabytes; goes on where it was)
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@IW_PROGRAM=$(abspath $(B))/ironwheel IW_HELPERS=$(abspath $(B))/libexec python3 tests/real/run.py $(if $(LARGE),--large) $(LISTS)
bench: all $(B)/tests/bench/bench_pack ## ratios: the warm run, packing, pulling, the wrapper, the audit (FILES=…, default this host's largest library); side by side in one run
	@IW_PROGRAM=$(abspath $(B))/ironwheel IW_HELPERS=$(abspath $(B))/libexec python3 tests/bench/bench.py
	@$(MAKE) --no-print-directory bench-audit
# --- fuzzing: make fuzz-wrap TIME=60 ------------------------------------------------------------------------------------------
TIME ?= 60
$(B)/fuzz/%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/libironwheel.a
	@mkdir -p $(@D)
	$(CC) $(MODE_FLAGS_$(MODE)) -fsanitize=fuzzer $(CFLAGS) -o $@ $^ $(LDFLAGS) $(IW_LIBS)
fuzz-%: ## one of tests/fuzz for TIME seconds, with libFuzzer; what it finds is kept as a file of the corpus
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang $(O)/fuzz/fuzz/$*
	@mkdir -p $(O)/fuzz/new-$*
	$(O)/fuzz/fuzz/$* -max_total_time=$(TIME) -artifact_prefix=tests/fuzz/corpus/$*/ $(O)/fuzz/new-$* tests/fuzz/corpus/$*

layers: ## whether each room includes only what ARCHITECTURE.md gives it
	@python3 tests/layers.py
FORMATTED := $(shell find builder tests -name '*.[ch]')
CLANG_FORMAT ?= clang-format
format: ## every C file as .clang-format says (Debian 12's clang-format: other versions break lines elsewhere)
	@$(CLANG_FORMAT) -i $(FORMATTED)
lint: ## cppcheck, a compile by clang with -Werror, and whether every C file is formatted
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED) || { echo "lint: \`make format\` mends this"; exit 1; }
	cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=normalCheckLevelMaxBranches \
	  --suppress='*:builder/audit/tables.inc' --include=tests/lint.h -Ibuilder builder
	@$(MAKE) --no-print-directory CC=clang CI=1 O=$(O)/clang MODE=dev $(O)/clang/dev/libironwheel.a

# --- pages that the program writes ----------------------------------------------------------------------------------------------
.PHONY: docs-triage docs-pictures
docs-pictures: all ## docs/terminal.png and docs/report.png, from a real build of base and its report (chromium, tmux; some minutes)
	@IW_PROGRAM=$(abspath $(B))/ironwheel python3 docs/pictures.py
docs-triage: all ## docs/triage.md, which published wheels run on a Phenom II (hours and some ten gigabytes the first time)
	@sh docs/triage.sh $(B)/ironwheel > $(B)/triage.md && mv $(B)/triage.md docs/triage.md
# --- installing ---------------------------------------------------------------------------------------------------------------
COMPLETIONS := bash-completion/completions/ironwheel:bash zsh/site-functions/_ironwheel:zsh fish/vendor_completions.d/ironwheel.fish:fish
.PHONY: install man
man: $(B)/ironwheel ## manual pages, from the option tables, into man/
	@mkdir -p man; $(B)/ironwheel man --list | while read -r name; do \
	  page=$$(echo "$$name" | tr ' ' -); set --; [ "$$name" = ironwheel ] || { page=ironwheel-$$page; set -- $$name; }; \
	  $(B)/ironwheel man "$$@" > man/$$page.1; done
install: all man ## into PREFIX (default /usr/local), below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/ironwheel $(DESTDIR)$(PREFIX)/share/ironwheel $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(B)/ironwheel $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(ALL_HELPERS) $(B)/libexec/ironwheel $(DESTDIR)$(PREFIX)/libexec/ironwheel/
	cp -R recipes patches $(DESTDIR)$(PREFIX)/share/ironwheel/
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	@for pair in $(COMPLETIONS); do file=$(DESTDIR)$(PREFIX)/share/$${pair%%:*}; install -d $$(dirname $$file); $(B)/ironwheel completion $${pair##*:} > $$file; done

compile_commands.json: Makefile $(wildcard builder/*/room.mk) ## for editors and clang tools
	@{ echo '['; separator=; for object in $(ALL_OBJECTS:$(B)/obj/%.o=%.c); do \
	  printf '%s{"directory":"$(CURDIR)","file":"%s","command":"$(CC) $(IW_CFLAGS) -c %s"}' "$$separator" $$object $$object; separator=','; done; echo ']'; } > $@

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z_.%-]*\):.*## /\1\t/p' Makefile | awk -F'\t' '{ printf "  %-22s %s\n", "make " $$1, $$2 }'

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: clean
clean:
	rm -rf $(O)
