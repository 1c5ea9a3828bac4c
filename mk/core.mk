# SPDX-License-Identifier: MIT
# The core: freestanding, linked at CORE_BASE by linker.ld, without FPU or SSE registers, so that
# the guest's stay in the processor. The link's symbols are put into its room for the table that the
# panic screen reads.

CC ?= gcc
OBJCOPY ?= objcopy
CORE_SRCS := $(wildcard vmm/*.c ept/*.c shadow/*.c guest/*.c vmx/*.c) \
	$(filter-out lib/options.c,$(wildcard lib/*.c)) lib/options.c
CORE_OBJS := $(CORE_SRCS:%.c=$(BUILD)/core/%.o) $(BUILD)/core/vmm/entry.o
# Nothing here uses vector registers, so the stack is aligned to 8 only: to 16 it would cost an
# instruction in most functions.
CORE_STACK := $(shell $(CC) -mpreferred-stack-boundary=3 -mgeneral-regs-only -E -x c /dev/null \
	>/dev/null 2>&1 && echo -mpreferred-stack-boundary=3 || echo -mstack-alignment=8)
CORE_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wmissing-prototypes -Wvla \
	-ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only $(CORE_STACK) \
	-fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fcf-protection=none -ffile-prefix-map=$(CURDIR)/= \
	-Iinclude -I. -MMD -MP
CORE_LDFLAGS := -nostdlib -static -no-pie -Wl,-T,linker.ld -Wl,--build-id=none \
	-Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--fatal-warnings

CORE_ELF := $(BUILD)/core.elf

$(BUILD)/core/%.o: %.c
	@mkdir -p $(@D)
	$(Q)echo "  CC    $<"; $(CC) $(CORE_CFLAGS) -c -o $@ $<

# Its loops must not become calls of the functions that they are.
$(BUILD)/core/lib/mem.o: CORE_CFLAGS += -fno-tree-loop-distribute-patterns

$(BUILD)/core/vmm/entry.o: vmm/entry.asm
	@mkdir -p $(@D)
	$(Q)echo "  NASM  $<"; nasm -f elf64 -w+all -o $@ $<

$(BUILD)/core0.elf: $(CORE_OBJS) linker.ld
	$(Q)echo "  LD    $@"; $(CC) $(CORE_LDFLAGS) -o $@ $(CORE_OBJS)

$(BUILD)/core.symbols: $(BUILD)/core0.elf tools/mksyms.py
	$(Q)nm --defined-only $< | python3 tools/mksyms.py > $@

$(CORE_ELF): $(BUILD)/core0.elf $(BUILD)/core.symbols
	$(Q)$(OBJCOPY) --update-section .symbols=$(BUILD)/core.symbols $< $@

-include $(CORE_OBJS:.o=.d)
