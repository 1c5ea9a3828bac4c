# SPDX-License-Identifier: MIT
# Tiny guests for the boot tests: tests/payload/*.asm as ELF files of the 32-bit class, linked by
# multiboot.ld, and as flat binaries that are loaded by the addresses in their headers.

PAYLOADS := $(patsubst tests/payload/%.asm,$(BUILD)/payload/%.elf,$(wildcard tests/payload/*.asm)) \
	$(patsubst tests/payload/%.asm,$(BUILD)/payload/%.bin,$(wildcard tests/payload/*.asm))

$(BUILD)/payload/%.o: tests/payload/%.asm tests/payload/common.inc
	@mkdir -p $(@D)
	$(Q)echo "  NASM  $<"; nasm -f elf32 -w+all -w-unknown-warning -o $@ $<

$(BUILD)/payload/%.elf: $(BUILD)/payload/%.o tests/payload/multiboot.ld
	$(Q)ld -m elf_i386 -nostdlib -static --build-id=none -z noexecstack -n --no-warn-rwx-segments \
		-T tests/payload/multiboot.ld -o $@ $<

$(BUILD)/payload/%.bin: tests/payload/%.asm tests/payload/common.inc
	@mkdir -p $(@D)
	$(Q)nasm -f bin -w+all -w-unknown-warning -DAOUT -o $@ $<

# And payloads in C, each a directory of its own: 64-bit code on tests/payload/lib/, packed into the
# 32-bit ELF class for the loader.
PAYLOAD_CFLAGS := -std=gnu17 -O2 -Wall -Wextra -Werror -Wmissing-prototypes -Wvla -ffreestanding \
	-fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fcf-protection=none \
	-Iinclude -I. -Itests/payload/lib -MMD -MP
PAYLOAD_DIRS := $(patsubst tests/payload/%/main.c,%,$(wildcard tests/payload/*/main.c))
PAYLOADS += $(PAYLOAD_DIRS:%=$(BUILD)/payload/%.elf)
payload_objs = $(patsubst %.c,$(BUILD)/payload/c/%.o,$(wildcard $(1)/*.c)) \
	$(patsubst %.asm,$(BUILD)/payload/c/%-asm.o,$(wildcard $(1)/*.asm))
PAYLOAD_LIB := $(call payload_objs,tests/payload/lib) \
	$(patsubst %,$(BUILD)/payload/c/lib/%.o,exit_reasons fmt mem)

$(BUILD)/payload/c/%-asm.o: %.asm
	@mkdir -p $(@D)
	$(Q)echo "  NASM  $<"; nasm -f elf64 -w+all -w-unknown-warning -w-reloc-abs-dword -o $@ $<

$(BUILD)/payload/c/%.o: %.c
	@mkdir -p $(@D)
	$(Q)echo "  CC    $<"; $(CC) $(PAYLOAD_CFLAGS) -c -o $@ $<

# Its loops must not become calls of the functions that they are.
$(BUILD)/payload/c/lib/mem.o: PAYLOAD_CFLAGS += -fno-tree-loop-distribute-patterns

define payload_rule
$(BUILD)/payload/$(1).elf: $(PAYLOAD_LIB) $(call payload_objs,tests/payload/$(1)) \
		tests/payload/lib/payload.ld
	$(Q)ld -m elf_x86_64 -nostdlib -static --build-id=none -z noexecstack -n \
		--no-warn-rwx-segments -T tests/payload/lib/payload.ld -o $$@.64 $$(filter %.o,$$^)
	$(Q)$(OBJCOPY) -O elf32-i386 $$@.64 $$@
endef
$(foreach dir,$(PAYLOAD_DIRS),$(eval $(call payload_rule,$(dir))))

-include $(shell find $(BUILD)/payload/c -name '*.d' 2>/dev/null)

.PHONY: payloads
payloads: $(PAYLOADS)
