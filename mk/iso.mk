# SPDX-License-Identifier: MIT
# `make iso`: $(BUILD)/tallyvisor.iso, for a USB stick or a CD (docs/hardware.md). KERNEL=, CMDLINE=
# and OPTIONS= as for `make run` (mk/run.mk, which hands them over).

ISO_OPTIONS := $(foreach row,$(filter KERNEL:% CMDLINE:% OPTIONS:%,$(RUN_GIVEN)),\
	--$(lastword $(subst :, ,$(row)))="$$TYPED_$(firstword $(subst :, ,$(row)))")

.PHONY: iso
iso:
	@tools/tallyvisor-deps build
	@$(MAKE) --no-print-directory all guest-programs $(BUILD)/payload/zoo.elf
	@tools/tallyvisor-iso --build "$(BUILD)" $(ISO_OPTIONS)
