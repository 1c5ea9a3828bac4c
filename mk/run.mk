# SPDX-License-Identifier: MIT
# `make run`: everything from what apt lacks to the guest's console. Each variable becomes an
# option of tools/tallyvisor-run; docs/running.md says what they mean.

GUEST_PROGRAMS := $(patsubst tools/guest/%.c,$(BUILD)/guest/%,$(wildcard tools/guest/*.c))

# Static, because the guest has no libraries; with the core's own table printer.
GUEST_LIBS := lib/exit_stats.c lib/counts_text.c lib/exit_reasons.c lib/fmt.c
EXITSTAT_LIBS := lib/exit_detail.c lib/detail_text.c $(wildcard tools/guest/lib/*.c)
GUEST_DEPS := $(GUEST_LIBS) $(EXITSTAT_LIBS) $(wildcard tools/guest/lib/*.h) include/exit_stats.h \
	include/exit_detail.h include/exit_reasons.def include/shadow_counters.def
$(BUILD)/guest/exitstat $(BUILD)/guest-i386/exitstat: GUEST_MORE := $(EXITSTAT_LIBS)
$(BUILD)/guest/%: tools/guest/%.c $(GUEST_DEPS)
	@mkdir -p $(@D)
	$(Q)echo "  CC    $<"; gcc -std=gnu17 -O2 -Wall -Wextra -Werror -Iinclude -I. -static \
		-o $@ $< $(GUEST_LIBS) $(GUEST_MORE)

.PHONY: guest-programs
guest-programs: $(GUEST_PROGRAMS)

# The same for KERNEL=686 and 686-pae: against the C library of Debian's i386 packages, which are
# unpacked and not installed.
GUEST_PROGRAMS_I386 := $(GUEST_PROGRAMS:$(BUILD)/guest/%=$(BUILD)/guest-i386/%)
I386 := $(BUILD)/cache/i386/sysroot
$(I386):
	$(Q)PYTHONPATH=tools python3 -B -m tallyvisor.i386 "$(BUILD)/cache"

$(BUILD)/guest-i386/%: tools/guest/%.c $(GUEST_DEPS) | $(I386)
	@mkdir -p $(@D)
	$(Q)echo "  CC    $@"; gcc -m32 --sysroot=$(I386) -B$(I386)/gcc -L$(I386)/gcc -std=gnu17 -O2 \
		-Wall -Wextra -Werror -Iinclude -I. -static -o $@ $< $(GUEST_LIBS) $(GUEST_MORE)

.PHONY: guest-programs-i386
guest-programs-i386: $(GUEST_PROGRAMS_I386)

# Variable of make : option of the tool.
RUN_TABLE := PAGING:paging ENGINE:engine CPU:cpu MEM:mem KERNEL:kernel INITRD:initrd \
	CMDLINE:cmdline GUEST_RUN:guest-run OPTIONS:options OUT:out TIMEOUT:timeout
RUN_GIVEN := $(foreach row,$(RUN_TABLE),$(if $(value $(firstword $(subst :, ,$(row)))),$(row)))
# The text goes through the environment exactly as it was typed: a `$` in it means nothing to make
# or to the shell.
$(foreach row,$(RUN_GIVEN),$(eval export TYPED_$(firstword $(subst :, ,$(row))) := \
	$$(value $(firstword $(subst :, ,$(row))))))
RUN_OPTIONS := $(foreach row,$(RUN_GIVEN),\
	--$(lastword $(subst :, ,$(row)))="$$TYPED_$(firstword $(subst :, ,$(row)))")

# A run of which every exit is written, and a picture of it: also where it did not end well, which is
# when one wants to see it.
TRACE_OUT = $(or $(OUT),out)
.PHONY: trace
trace: export TYPED_OPTIONS := trace=1 $(value OPTIONS)
trace:
	@test "$$TYPED_PAGING" != bare || { echo "trace: PAGING=bare: without Tallyvisor nothing exits:" \
		"ept, shadow or compare" >&2; exit 2; }
	@tools/tallyvisor-deps build
	@$(MAKE) --no-print-directory all guest-programs \
		$(if $(filter 686 686-pae,$(KERNEL)),guest-programs-i386)
	@status=0; tools/tallyvisor-run --build "$(BUILD)" $(filter-out --options=%,$(RUN_OPTIONS)) \
		--options="$$TYPED_OPTIONS" || status=$$?; \
	if [ $$status -ne 0 ] && { [ $$status -eq 2 ] || [ ! -s "$(TRACE_OUT)/trace.log" ]; }; then \
		exit $$status; fi; \
	tools/tallyvisor-trace "$(TRACE_OUT)" --summary --json "$(TRACE_OUT)/trace.json" || \
		{ torn=$$?; [ $$torn -eq 1 ] || exit $$torn; [ $$status -ne 0 ] || status=1; }; \
	echo "$(TRACE_OUT)/trace.json: open it at https://ui.perfetto.dev, or in chrome://tracing"; \
	exit $$status

.PHONY: run
run:
	@tools/tallyvisor-deps build
	@$(MAKE) --no-print-directory all guest-programs $(BUILD)/payload/zoo.elf \
		$(if $(filter 686 686-pae,$(KERNEL)),guest-programs-i386)
	@tools/tallyvisor-run --build "$(BUILD)" $(RUN_OPTIONS)
