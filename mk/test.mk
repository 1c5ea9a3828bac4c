# SPDX-License-Identifier: MIT
# `make test` is what CI runs: what apt lacks, the build, and every test, cheapest first.

PYTEST ?=
TEST_FUZZ_TIME ?= 5
CLANG_FORMAT ?= clang-format
C_FILES = $(wildcard $(addsuffix /*.[ch],include lib vmx guest ept boot vmm tools/guest tools/bench/guest \
	tests/host tests/fuzz tests/payload/*))

.PHONY: test
test:
	@tools/tallyvisor-deps test
	@echo "== build"
	@$(MAKE) --no-print-directory -j2 all guest-programs payloads
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory -j2 test-host
	@$(MAKE) --no-print-directory -j2 fuzz FUZZ_TIME=$(TEST_FUZZ_TIME)
	@$(MAKE) --no-print-directory test-boot

.PHONY: check
check:
	@python3 tools/check_layers.py
	@$(CLANG_FORMAT) --dry-run -Werror $(C_FILES) && echo "format: clean"

.PHONY: test-boot
test-boot: all guest-programs payloads
	@echo "== boots in emulators"
	BUILD=$(abspath $(BUILD)) /usr/bin/python3 -B -m pytest -v -p no:cacheprovider \
		-n 2 --dist load --durations=5 $(PYTEST) tests/boot
