# SPDX-License-Identifier: MIT
# Fuzzing: every tests/fuzz/fuzz_*.c with libFuzzer, ASan and UBSan over the pure rooms (HOST_SRCS:
# this file comes after host-tests.mk). `make fuzz` gives each target FUZZ_TIME seconds;
# `make fuzz FUZZ="walk insn" FUZZ_TIME=3600` some of them, and longer. What it finds new is kept in
# $(BUILD)/fuzz/corpus/<name>; tests/fuzz/seeds/<name> is only read. A crash leaves its input in
# $(BUILD)/fuzz/ and fails the make. FUZZ_FLAGS are libFuzzer's.

FUZZ_CC ?= clang
FUZZ_TIME ?= 20
FUZZ_FLAGS ?=
FUZZ_CFLAGS := -std=gnu17 -g -O1 -Wall -Wextra -Werror -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined -Iinclude -I. -MMD -MP
FUZZ_OBJS := $(HOST_SRCS:%.c=$(BUILD)/fuzz/%.o)
FUZZ_ALL := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ ?= $(FUZZ_ALL)

$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(BUILD)/fuzz/libpure.a: $(FUZZ_OBJS)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libpure.a
	$(Q)$(FUZZ_CC) -fsanitize=address,undefined,fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^)

.PHONY: fuzz
fuzz: $(FUZZ:%=$(BUILD)/fuzz/fuzz_%)
	@set -e; for t in $(FUZZ); do \
		corpus=$(BUILD)/fuzz/corpus/$$t; seeds=tests/fuzz/seeds/$$t; mkdir -p $$corpus; \
		[ -d $$seeds ] || seeds=; \
		echo "== fuzz $$t, $(FUZZ_TIME) s"; log=$(BUILD)/fuzz/$$t.log; \
		if $(BUILD)/fuzz/fuzz_$$t -max_total_time=$(FUZZ_TIME) -timeout=10 -rss_limit_mb=2048 \
			-artifact_prefix=$(BUILD)/fuzz/$$t- $(FUZZ_FLAGS) $$corpus $$seeds \
			>$$log 2>&1; \
		then tail -n 1 $$log; else tail -n 60 $$log; exit 1; fi; \
	done

.SECONDARY:
-include $(shell find $(BUILD)/fuzz -name '*.d' 2>/dev/null)
