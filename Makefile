# Sluice: every task of the project. `make help` lists them; each does the set-up that it needs.
.DEFAULT_GOAL := help
.PHONY: help demo build native native-test native-fuzz setup format lint types tidy unit check test test-short test-race test-node-versions stress-test bench ci clean

SHELL := /bin/bash
BIN := node_modules/.bin
# Tests by kind: unit tests need no mount, the others go through the kernel and a real S3 server.
MOUNT_TESTS := $(shell find test/mount test/fault -name '*.test.ts' 2>/dev/null | sort)
ALL_TESTS := $(shell find test -name '*.test.ts' 2>/dev/null | sort)
UNIT_TESTS := $(filter-out $(MOUNT_TESTS),$(ALL_TESTS))
SOURCES := $(shell find src test scripts -mindepth 1 -name '*.ts' -o -mindepth 1 -type d)
compiled = $(patsubst %.ts,dist/%.js,$(1))
TEST_PROGRAMS := $(patsubst test/support/%.c,dist/test/support/%,$(wildcard test/support/*.c))
TAP := $(BIN)/tap --reporter=tap --jobs=2 --timeout=300

help: ## List the tasks
	@echo "Sluice mounts an S3-compatible bucket as a drive. Start with: make demo"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: build ## Mount a bucket of an embedded S3 server and stream a large file through it
	@node dist/src/cli/main.js demo

setup: ## Install what is missing: system packages (as root or with sudo) and npm packages
	@scripts/setup.sh

build: dist/.compiled native $(TEST_PROGRAMS) ## Compile what changed

# Dated before the compiler reads, so that what is edited meanwhile is newer. Folders are there for removed files.
dist/.compiled: package-lock.json tsconfig.json $(SOURCES) | setup
	@mkdir -p dist && touch $@.begun
	@$(BIN)/tsc -p tsconfig.json && chmod +x dist/src/cli/main.js && mv $@.begun $@

# The addon: one binary for every Node.js from 20 on, from headers that lie in npm packages. Sluice works without it.
NATIVE_CORE := $(filter-out native/addon%,$(wildcard native/*.cc))
NATIVE_FLAGS := -std=c++20 -O2 -g1 -pthread -Wall -Wextra -Werror -MMD -MP
ADDON_FLAGS := -fPIC -fvisibility=hidden -DNAPI_VERSION=8 -DNAPI_CPP_EXCEPTIONS \
	-isystem node_modules/node-api-headers/include -isystem node_modules/node-addon-api
ADDON_OBJECTS := $(patsubst native/%.cc,dist/native/%.o,$(wildcard native/*.cc))

# The protocol is Linux's. Without the addon the portable driver serves; the native tests fail then, loudly.
native: | setup
ifeq ($(shell uname -s),Linux)
	@$(MAKE) --no-print-directory dist/native/sluice.node || { rm -f dist/native/sluice.node; \
	  echo "The native driver cannot be built here (above): mounts will use the portable one, which is slower." >&2; }
endif

dist/native/sluice.node: $(ADDON_OBJECTS)
	@$(CXX) -shared -pthread -o $@.new $^ && mv $@.new $@

dist/native/%.o: native/%.cc package-lock.json | setup
	@mkdir -p $(@D) && $(CXX) $(NATIVE_FLAGS) $(ADDON_FLAGS) -c -o $@ $<

-include $(ADDON_OBJECTS:.o=.d)

# The addon's core alone, without Node.js, plainly and under sanitizers: its harness and its fuzz target.
SANITIZE_plain :=
SANITIZE_tsan := -O1 -fsanitize=thread
SANITIZE_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
NATIVE_KINDS := plain tsan asan
NATIVE_TESTS := $(wildcard native/test/*.cc)
objects_of = $(patsubst native/%.cc,dist/native/$(1)/%.o,$(NATIVE_CORE) $(filter-out native/test/$(2).cc,$(NATIVE_TESTS)))

define native_kind
dist/native/$(1)/%.o: native/%.cc
	@mkdir -p $$(@D) && $$(CXX) $$(NATIVE_FLAGS) $$(SANITIZE_$(1)) -c -o $$@ $$<
dist/native/$(1)/harness: $(call objects_of,$(1),fuzz_request)
	@$$(CXX) -pthread $$(SANITIZE_$(1)) -o $$@ $$^
dist/native/$(1)/fuzz_request: $(call objects_of,$(1),harness)
	@$$(CXX) -pthread $$(SANITIZE_$(1)) -o $$@ $$^
-include $(patsubst native/%.cc,dist/native/$(1)/%.d,$(NATIVE_CORE) $(NATIVE_TESTS))
endef
$(foreach kind,$(NATIVE_KINDS),$(eval $(call native_kind,$(kind))))

native-test: | setup ## Random runs of the native session under each sanitizer (NATIVE_RUNS, RACE_SEED)
ifeq ($(shell uname -s),Linux)
	@$(MAKE) --no-print-directory -j$(shell nproc) $(NATIVE_KINDS:%=dist/native/%/harness)
	@for kind in $(NATIVE_KINDS); do echo "# native session, $$kind"; \
	  TSAN_OPTIONS=halt_on_error=1 dist/native/$$kind/harness --runs $${NATIVE_RUNS:-200} \
	    $${RACE_SEED:+--seed $$RACE_SEED} || exit; done
endif

native-fuzz: | setup ## Hostile requests to the native session (FUZZ_SECONDS, RACE_SEED)
ifeq ($(shell uname -s),Linux)
	@$(MAKE) --no-print-directory -j$(shell nproc) dist/native/asan/fuzz_request
	@dist/native/asan/fuzz_request --seconds $${FUZZ_SECONDS:-10} $${RACE_SEED:+--seed $$RACE_SEED}
endif

# What tests cannot do in JavaScript: read files by mmap, keep mappings.
dist/test/support/%: test/support/%.c | setup
	@mkdir -p $(@D) && cc -O2 -Wall -Wextra -Werror -o $@ $<

format: setup ## Write the one format
	@$(BIN)/prettier --log-level warn --write .

lint: setup ## Type-aware lint
	@$(BIN)/oxlint --type-aware --deny-warnings src test scripts

types: setup
	@$(BIN)/tsc -p tsconfig.json --noEmit --incremental false

tidy: build ## House rules: import direction, one importer per package, file lengths, dead files
	@$(TAP) dist/test/tidy.test.js

unit: build ## Tests that need no mount
	@$(TAP) $(call compiled,$(UNIT_TESTS))

check: setup ## Format, lint, types, tidy and unit tests
	@$(BIN)/prettier --log-level warn --check .
	@$(MAKE) --no-print-directory lint types unit

test-short: build ## Unit tests but those that start other S3 clients
	@$(TAP) $(filter-out %/real-clients.test.js,$(call compiled,$(UNIT_TESTS)))

# What reads for the benchmarks: fast, so that its own cost stays small beside what is measured.
BENCH_PROGRAMS := $(patsubst %.c,dist/%,$(wildcard scripts/bench-*.c))
$(BENCH_PROGRAMS): dist/scripts/%: scripts/%.c scripts/bench-measure.h | setup
	@mkdir -p $(@D) && cc -O3 -pthread -Wall -Wextra -Werror -o $@ $<

test: build $(BENCH_PROGRAMS) ## Everything a user needs to trust it: unit, contract, mount, faults
	@scripts/setup.sh clients
	@$(TAP) $(call compiled,$(if $(CHECKED),$(filter-out $(UNIT_TESTS),$(ALL_TESTS)),$(ALL_TESTS)))

test-race: build native-test native-fuzz ## Random schedules of the concurrency scenarios (RACE_RUNS, RACE_SEED)
	@RACE_RUNS=$${RACE_RUNS:-600} $(TAP) dist/test/concurrency/scenarios.test.js

test-node-versions: build ## The addon on Node.js 20, 22 and 24, which come as npm packages
	@scripts/node-versions.sh

stress-test: build ## Readers, seeks, kills at random for a while (ITERATIONS, default 100)
	@scripts/stress-test.sh

bench: build $(BENCH_PROGRAMS) ## Measure (BENCH=, names as in scripts/bench.sh, or table; RUNS, SIZE_MIB)
	@scripts/bench.sh $(BENCH)

# The unit tests have run with `check` by then.
ci: ## What CI runs: check, test, a bounded test-race, and the addon on each supported Node.js
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory test CHECKED=yes
	@$(MAKE) --no-print-directory test-race
	@$(MAKE) --no-print-directory test-node-versions

clean: ## Remove everything that was built
	@rm -rf dist .tap node_modules
