# SPDX-License-Identifier: MIT
# `make test` is what CI runs: what apt lacks, the build, and every test, cheapest first.

PYTEST ?=
TEST_FUZZ_TIME ?= 5
CLANG_FORMAT ?= clang-format
C_FILES = $(wildcard $(addsuffix /*.[ch],include lib vmx guest ept shadow boot vmm tools/guest tools/guest/lib tools/bench/guest \
	tests/host tests/host/oracle tests/host/vmxsim tests/host/exits tests/fuzz \
	tests/payload/* tests/boot/guest))

.PHONY: test
test:
	@tools/tallyvisor-deps test
	@echo "== build"
	@$(MAKE) --no-print-directory -j2 all guest-programs guest-programs-i386 payloads
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory -j2 test-host
	@$(MAKE) --no-print-directory -j2 fuzz FUZZ_TIME=$(TEST_FUZZ_TIME)
	@$(MAKE) --no-print-directory test-boot

.PHONY: check
check:
	@python3 tools/check_layers.py
	@python3 -B tools/exits_page.py --check && echo "docs/exits.md: as the sources say"
	@$(CLANG_FORMAT) --dry-run -Werror $(C_FILES) && echo "format: clean"

# What is generated of the documentation.
.PHONY: docs
docs:
	python3 -B tools/exits_page.py

# Two rounds: what starts no emulator runs in one process, for some of it sends signals to itself and
# wants the main thread, which a worker of xdist's may be without; then the emulators, two at a time.
# A selection in PYTEST may leave nothing to one of the rounds (pytest's status 5).
RUN_PYTEST = BUILD=$(abspath $(BUILD)) /usr/bin/python3 -B -m pytest -v -p no:cacheprovider \
	--durations=5
NOTHING_IS_FINE = $(if $(PYTEST),|| [ $$? -eq 5 ])

.PHONY: test-boot
test-boot: all guest-programs guest-programs-i386 payloads
	@echo "== tools"
	$(RUN_PYTEST) -m 'not bochs and not qemu' $(PYTEST) tests/boot $(NOTHING_IS_FINE)
	@echo "== boots in emulators"
	$(RUN_PYTEST) -m 'bochs or qemu' -n 2 --dist load $(PYTEST) tests/boot $(NOTHING_IS_FINE)
