# SPDX-License-Identifier: MIT
# Host tests: the pure rooms (lib/, guest/, ept/) compiled for this machine with ASan and UBSan,
# one cmocka program per tests/host/test_*.c. `make test-host TESTS="lapic pit"` runs some.

HOST_CC ?= gcc
HOST_CFLAGS := -std=gnu17 -g -O1 -Wall -Wextra -Werror -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined -Iinclude -I. -MMD -MP
# lib/mem.c replaces libc's functions and is tested under other names (tests/host/test_mem.c).
HOST_SRCS := $(filter-out lib/mem.c,$(wildcard lib/*.c guest/*.c ept/*.c shadow/*.c vmx/*.c))
HOST_OBJS := $(HOST_SRCS:%.c=$(BUILD)/host/%.o)
HOST_TESTS := $(patsubst tests/host/test_%.c,%,$(wildcard tests/host/test_*.c))
TESTS ?= $(HOST_TESTS)

$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(Q)echo "  HOSTCC $<"; $(HOST_CC) $(HOST_CFLAGS) -c -o $@ $<

$(BUILD)/host/libpure.a: $(HOST_OBJS)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/host/test_%: $(BUILD)/host/tests/host/test_%.o $(BUILD)/host/libpure.a
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka

.PHONY: test-host
test-host: $(TESTS:%=$(BUILD)/host/test_%)
	@set -e; for t in $(TESTS); do echo "== $$t"; \
		UBSAN_OPTIONS=print_stacktrace=1 $(BUILD)/host/test_$$t; done

.SECONDARY:
-include $(shell find $(BUILD)/host -name '*.d' 2>/dev/null)
