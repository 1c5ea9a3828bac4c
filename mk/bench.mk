# SPDX-License-Identifier: MIT
# `make bench`: fixed workloads on the bare emulated machine and under Tallyvisor, compared
# (docs/bench.md). KERNEL=small|stock|FILE, CMDLINE=, CPU=, OPTIONS=, MODES="ept".

BENCH_SRCS := $(wildcard tools/bench/guest/*.c)

$(BUILD)/bench/guest/bench: $(BENCH_SRCS) $(wildcard tools/bench/guest/*.h) $(GUEST_LIBS) \
		include/exit_stats.h include/exit_reasons.def
	@mkdir -p $(@D)
	$(Q)echo "  CC    $@"; gcc -std=gnu17 -O2 -Wall -Wextra -Werror -Iinclude -I. -static \
		-o $@ $(BENCH_SRCS) $(GUEST_LIBS)

# Variable of make : option of the tool; handed over as run.mk does.
BENCH_TABLE := MODES:modes KERNEL:kernel CMDLINE:cmdline CPU:cpu OPTIONS:options OUT:out
BENCH_GIVEN := $(foreach row,$(BENCH_TABLE),\
	$(if $(value $(firstword $(subst :, ,$(row)))),$(row)))
$(foreach row,$(BENCH_GIVEN),$(eval export TYPED_$(firstword $(subst :, ,$(row))) := \
	$$(value $(firstword $(subst :, ,$(row))))))
BENCH_OPTIONS := $(foreach row,$(BENCH_GIVEN),\
	--$(lastword $(subst :, ,$(row)))="$$TYPED_$(firstword $(subst :, ,$(row)))")

# `make compare`: the same workloads in every paging mode in one boot, with bare beside it
# (docs/compare.md). KERNEL=, CMDLINE=, CPU=, OPTIONS=, OUT= as for `make bench`.
COMPARE_OPTIONS := $(foreach row,$(filter-out MODES:%,$(BENCH_GIVEN)),\
	--$(lastword $(subst :, ,$(row)))="$$TYPED_$(firstword $(subst :, ,$(row)))")

.PHONY: compare
compare:
	@tools/tallyvisor-deps build run
	@$(MAKE) --no-print-directory all $(BUILD)/bench/guest/bench
	@PYTHONPATH=tools python3 -B -m bench.compare --build "$(BUILD)" $(COMPARE_OPTIONS)

.PHONY: bench
bench:
	@tools/tallyvisor-deps build run
	@$(MAKE) --no-print-directory all $(BUILD)/bench/guest/bench
	@PYTHONPATH=tools python3 -B -m bench --build "$(BUILD)" $(BENCH_OPTIONS)
