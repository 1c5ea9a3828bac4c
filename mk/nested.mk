# SPDX-License-Identifier: MIT
# `make test-nested`: Tallyvisor under KVM's nested VMX, all of it on an emulated processor
# (docs/nested.md). Not part of `make test`: it takes five minutes. PAGING=, CPU=,
# MEM=, KERNEL=, GUEST_RUN=, OPTIONS=, OUT= and TIMEOUT= as run.mk hands them over.

NESTED_OPTIONS := $(foreach row,$(filter PAGING:% CPU:% MEM:% KERNEL:% GUEST_RUN:% OPTIONS:% OUT:% \
	TIMEOUT:%,$(RUN_GIVEN)),--$(lastword $(subst :, ,$(row)))="$$TYPED_$(firstword $(subst :, ,$(row)))")

.PHONY: test-nested
test-nested:
	@tools/tallyvisor-deps build run qemu
	@$(MAKE) --no-print-directory all guest-programs
	@PYTHONPATH=tools python3 -B -m nested --build "$(BUILD)" $(NESTED_OPTIONS)
