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

.PHONY: payloads
payloads: $(PAYLOADS)
