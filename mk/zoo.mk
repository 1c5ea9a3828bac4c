# SPDX-License-Identifier: MIT
# `make zoo`: every basic exit reason, raised one at a time (docs/zoo.md). PAGING=ept|shadow|compare, CPU=,
# ENGINE=, OPTIONS=, OUT= as run.mk hands them over.

ZOO_OPTIONS := $(foreach row,$(filter PAGING:% ENGINE:% CPU:% OPTIONS:% OUT:%,$(RUN_GIVEN)),\
	--$(lastword $(subst :, ,$(row)))="$$TYPED_$(firstword $(subst :, ,$(row)))")

# What is said for the others would have no effect.
ZOO_OTHERS := $(foreach row,$(filter-out PAGING:% ENGINE:% CPU:% OPTIONS:% OUT:%,$(RUN_GIVEN)),\
	$(firstword $(subst :, ,$(row)))=)

.PHONY: zoo
zoo:
	@test -z "$(strip $(ZOO_OTHERS))" || { echo "zoo: $(strip $(ZOO_OTHERS)) is not for the zoo," \
		"which brings its own guest: leave it out" >&2; exit 2; }
	@tools/tallyvisor-deps build run
	@$(MAKE) --no-print-directory all $(BUILD)/payload/zoo.elf
	@PYTHONPATH=tools python3 -B -m zoo --build "$(BUILD)" $(ZOO_OPTIONS)

# What the tests expect of the zoo (tests/boot/zoo_expected.json), and docs/testing.md's tables, as the
# emulated processors show it now: to be read with care before it is committed.
.PHONY: zoo-expected
zoo-expected: all $(BUILD)/payload/zoo.elf
	ZOO_UPDATE=1 BUILD=$(abspath $(BUILD)) /usr/bin/python3 -B -m pytest -q -p no:cacheprovider \
		tests/boot/test_zoo.py -k every_model
	PYTHONPATH=tools python3 -B -m zoo.page
	python3 -B tools/exits_page.py
