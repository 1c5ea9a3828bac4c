# SPDX-License-Identifier: MIT
# The core's sources, as they stand, on a simulated processor (tests/host/vmxsim/), for the host test
# `exits` (docs/testing.md). Left out is what sets the physical machine up, and switches it off. This
# file comes after host-tests.mk.

VMXSIM_CORE := $(filter-out vmm/main.c vmm/pci.c vmm/poweroff.c vmm/host_paging.c,$(wildcard vmm/*.c))
VMXSIM_SRCS := $(VMXSIM_CORE) $(wildcard tests/host/vmxsim/*.c tests/host/exits/*.c)
VMXSIM_OBJS := $(VMXSIM_SRCS:%.c=$(BUILD)/vmxsim/%.o)
# Optimized as the core is: its checks at compile time need constants to be seen.
VMXSIM_CFLAGS := $(HOST_CFLAGS) -O2 -fno-strict-aliasing -include tests/host/vmxsim/insn.h

$(BUILD)/vmxsim/%.o: %.c
	@mkdir -p $(@D)
	$(Q)echo "  HOSTCC $<"; $(HOST_CC) $(VMXSIM_CFLAGS) -c -o $@ $<

$(BUILD)/host/test_exits: $(VMXSIM_OBJS)

-include $(VMXSIM_OBJS:.o=.d)
