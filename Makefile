# SPDX-License-Identifier: MIT
# Tallyvisor. `make help` lists what there is; `make compare`, `make run` and `make test` are those that
# matter.

BUILD ?= build
# `make V=1` shows the commands.
Q := $(if $(V),,@)
.DELETE_ON_ERROR:

.PHONY: all
all:

include mk/core.mk
include mk/boot.mk
include mk/run.mk
include mk/iso.mk
include mk/bench.mk
include mk/nested.mk
include mk/payload.mk
include mk/zoo.mk
include mk/host-tests.mk
include mk/fuzz.mk
include mk/oracle.mk
include mk/vmxsim.mk
include mk/test.mk

# tallyvisor.efi is the whole hypervisor.
all: $(BUILD)/tallyvisor.efi

.PHONY: clean
clean:
	rm -rf $(BUILD)

.PHONY: help
help:
	@echo "make run         boot Linux under Tallyvisor; this terminal becomes its console"
	@echo "                 PAGING=ept|shadow|compare|bare ENGINE=auto|bochs|qemu CPU= MEM= KERNEL="
	@echo "                 INITRD= CMDLINE= GUEST_RUN= OPTIONS= OUT= TIMEOUT=   (docs/running.md)"
	@echo "make trace       the same, and a picture of every VM exit      (docs/trace.md)"
	@echo "make compare     fixed workloads: bare, EPT, shadow paging     (docs/compare.md)"
	@echo "make zoo         every exit reason, raised and checked: PAGING= CPU=  (docs/zoo.md)"
	@echo "make iso         an image for a USB stick: $(BUILD)/tallyvisor.iso  (docs/hardware.md)"
	@echo "make bench       fixed workloads, bare against EPT            (docs/bench.md)"
	@echo "make test        everything: host tests, fuzzers briefly, boots in emulators"
	@echo "make             build $(BUILD)/tallyvisor.efi"
	@echo "make test-host   host tests only        (TESTS=\"lapic pit\" picks some)"
	@echo "make test-boot   boots in emulators only (PYTEST=\"-k name\" picks some)"
	@echo "make test-nested Tallyvisor in QEMU with KVM, on an emulated processor (docs/nested.md)"
	@echo "make fuzz        fuzzers, FUZZ_TIME=20 seconds each"
	@echo "make mmu-oracle  the shadow MMU against the architecture, OPS=10000000 SEED=1"
	@echo "make check       which room includes which; formatting; generated pages"
	@echo "make docs        docs/exits.md, from the sources"
	@echo "make clean"
