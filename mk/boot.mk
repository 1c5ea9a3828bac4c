# SPDX-License-Identifier: MIT
# The UEFI application: boot/, the pure files it shares with the core, and the linked core itself,
# in $(BUILD)/tallyvisor.efi. Built as gnu-efi wants it: a position-independent shared object that
# objcopy turns into a PE file. Nothing in it depends on when or where it was built.

BOOT_CC ?= gcc
OBJCOPY ?= objcopy
NASM ?= nasm
GNUEFI_INC ?= /usr/include/efi
GNUEFI_LIB ?= /usr/lib

CORE_ELF ?= $(BUILD)/core.elf

# The firmware's calling convention comes from EFIAPI (GNU_EFI_USE_MS_ABI) on its function pointers.
BOOT_CFLAGS := -std=gnu17 -O2 -Wall -Wextra -Werror -ffreestanding -fpic -fvisibility=hidden \
	-fshort-wchar -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-mno-red-zone -mgeneral-regs-only -DGNU_EFI_USE_MS_ABI \
	-Iinclude -I. -isystem $(GNUEFI_INC) -isystem $(GNUEFI_INC)/x86_64 -MMD -MP

BOOT_SRCS := $(wildcard boot/*.c) lib/options.c lib/exit_switches.c lib/vmx_features.c \
	lib/reproducible.c lib/fmt.c lib/mem.c guest/linux_plan.c guest/multiboot_plan.c guest/gmem.c vmx/caps.c \
	vmx/feature_bits.c vmx/switch_exits.c
BOOT_OBJS := $(BOOT_SRCS:%.c=$(BUILD)/efi/%.o) $(BUILD)/efi/boot/enter.o \
	$(BUILD)/efi/boot/core_image.o

$(BUILD)/efi/%.o: %.c
	@mkdir -p $(@D)
	$(Q)echo "  EFICC $<"; $(BOOT_CC) $(BOOT_CFLAGS) -c -o $@ $<

# Its loops must not become calls of the functions that they are.
$(BUILD)/efi/lib/mem.o: BOOT_CFLAGS += -fno-tree-loop-distribute-patterns

$(BUILD)/efi/boot/enter.o: boot/enter.asm
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -o $@ $<

# The core is loaded by its program headers: symbols and debug information stay at home.
$(BUILD)/efi/core.stripped: $(CORE_ELF)
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --strip-all $< $@

$(BUILD)/efi/boot/core_image.o: boot/core_image.asm $(BUILD)/efi/core.stripped
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -DCORE_ELF='"$(BUILD)/efi/core.stripped"' -o $@ $<

$(BUILD)/efi/tallyvisor.so: $(BOOT_OBJS)
	$(Q)ld -nostdlib -shared -Bsymbolic -znocombreloc --no-undefined --build-id=none \
		-z noexecstack -T $(GNUEFI_LIB)/elf_x86_64_efi.lds -o $@ \
		$(GNUEFI_LIB)/crt0-efi-x86_64.o $^ $(GNUEFI_LIB)/libgnuefi.a

$(BUILD)/tallyvisor.efi: $(BUILD)/efi/tallyvisor.so
	$(Q)echo "  EFI   $@"; SOURCE_DATE_EPOCH=0 $(OBJCOPY) \
		-j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym \
		-j .rel -j .rela -j .rel.* -j .rela.* -j .reloc \
		--target efi-app-x86_64 --subsystem=10 $< $@

.PHONY: boot
boot: $(BUILD)/tallyvisor.efi

# The files of boot/ that never see the firmware are tested on the host.
$(BUILD)/host/test_boot: $(BUILD)/host/tests/host/test_boot.o $(BUILD)/host/boot/core_elf.o \
		$(BUILD)/host/boot/memmap.o $(BUILD)/host/boot/load_options.o \
		$(BUILD)/host/libpure.a
	$(Q)$(HOST_CC) $(HOST_CFLAGS) -o $@ $^ -lcmocka

# The parser of whatever the user typed, under libFuzzer: `make fuzz-options FUZZ_SECONDS=60`.
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 30

$(BUILD)/fuzz/options: tests/fuzz/fuzz_options.c lib/options.c lib/exit_switches.c lib/vmx_features.c lib/fmt.c \
		include/options.h
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu17 -g -O1 -Wall -Wextra -Werror -Iinclude -I. \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o $@ \
		$(filter %.c,$^)

.PHONY: fuzz-options
fuzz-options: $(BUILD)/fuzz/options
	@mkdir -p $(BUILD)/fuzz/corpus-options
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=2600 $(BUILD)/fuzz/corpus-options

-include $(shell find $(BUILD)/efi -name '*.d' 2>/dev/null)
