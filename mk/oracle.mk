# SPDX-License-Identifier: MIT
# The shadow MMU's oracle (tests/host/oracle/; docs/testing.md). It is part of the host test
# mmu_oracle and of the fuzz target mmu; `make mmu-oracle OPS=10000000 SEED=1` is a longer run
# without sanitizers, and WORLD=n begins it with that world. This file comes after host-tests.mk and
# fuzz.mk.

OPS ?= 10000000
SEED ?= 1
WORLD ?=
ORACLE_SRCS := $(wildcard tests/host/oracle/*.c)
ORACLE_CFLAGS := -std=gnu17 -g -O2 -Wall -Wextra -Werror -Iinclude -I. -MMD -MP
# What the MMU and the oracle need of the pure rooms.
ORACLE_OBJS := $(patsubst %.c,$(BUILD)/oracle/%.o,$(ORACLE_SRCS) tests/host/mmu_oracle_run.c \
	guest/walk.c guest/gmem.c lib/fmt.c $(wildcard ept/*.c shadow/*.c))

$(BUILD)/host/test_mmu_oracle: $(ORACLE_SRCS:%.c=$(BUILD)/host/%.o)
$(BUILD)/fuzz/fuzz_mmu: $(ORACLE_SRCS:%.c=$(BUILD)/fuzz/%.o)

$(BUILD)/oracle/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(HOST_CC) $(ORACLE_CFLAGS) -c -o $@ $<

$(BUILD)/oracle/mmu-oracle: $(ORACLE_OBJS)
	$(Q)$(HOST_CC) -o $@ $^

.PHONY: mmu-oracle
mmu-oracle: $(BUILD)/oracle/mmu-oracle
	$< $(OPS) $(SEED) $(WORLD)

-include $(ORACLE_OBJS:.o=.d)
