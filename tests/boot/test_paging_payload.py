# SPDX-License-Identifier: MIT
"""Paging as software sees it: tests/payload/paging walks through the bits of page-table entries and
control registers in every paging mode, and checks what comes of each access."""

import re

import pytest
from conftest import BUILD, ROOT

pytestmark = pytest.mark.bochs

ELF = BUILD / "payload" / "paging.elf"
CASES = re.findall(r'^\t\{"([a-z0-9-]+)", test_',
                   (ROOT / "tests/payload/paging/main.c").read_text(), re.MULTILINE)


def lines(serial, word):
    return re.findall(rf"^{word} (.*)$", serial, re.MULTILINE)


# What a CPU model has not got: the cases that say so instead of checking. (Bochs 2.7's newest models
# have protection keys, but applies them to pages of the supervisor's: Tallyvisor hides them there.)
ABSENT = {
    "corei7_haswell_4770": {"pkeys", "folded-smap"},
    "corei7_skylake_x": {"pkeys"},
    "core2_penryn_t9600": {"pkeys", "folded-smap", "split-1g", "pcid", "pcid-faults", "invpcid"},
}


# Where something departs from the SDM, and both want SMAP: Bochs 2.7 (docs/hacking.md), and shadow page
# tables (as the payload says at the case).
AC = "RFLAGS.AC allows implicit accesses in spite of SMAP"
FOLDED = "folded-smap: a page written with CR0.WP=0 is without SMAP"


def departures(cpu, paging):
    if cpu != "corei7_skylake_x":
        return []
    return ([f"double-fault: {AC}"] + ([FOLDED] if paging == "shadow" else []) +
            [f"descriptors: {AC}"])


def judge(got, cpu):
    """All cases passed, and each of them compared something, but for those that said why not."""
    absent = ABSENT[cpu]
    assert lines(got.serial, "FAIL") == []
    assert lines(got.serial, "DEPARTS") == departures(cpu, got.last_run["paging"])
    assert lines(got.serial, "PASS") == CASES
    counts = dict(re.findall(r"^([a-z0-9-]+): (\d+) checks$", got.serial, re.MULTILINE))
    without = re.findall(r"^([a-z0-9-]+): this processor has no", got.serial, re.MULTILINE)
    assert set(without) == set(absent) and "was not tried" not in got.serial
    assert {name for name in CASES if int(counts.get(name, 0)) == 0} == set(absent)
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)


@pytest.mark.parametrize("cpu", ["corei7_haswell_4770", "corei7_skylake_x"])
def test_under_ept(run, cpu):
    judge(run(paging="ept", engine="bochs", cpu=cpu, timeout=300, mem=64, kernel=ELF), cpu)


@pytest.mark.parametrize("cpu,options", [
    ("corei7_skylake_x", ""),  # SMAP
    ("core2_penryn_t9600", ""),  # no way but this one
    ("corei7_haswell_4770", "shadow_pool=1M"),  # fewer shadow pages than the guest has tables
])
def test_on_shadow_page_tables(run, cpu, options):
    got = run(paging="shadow", engine="bochs", cpu=cpu, timeout=300, mem=64, kernel=ELF,
              options=options)
    judge(got, cpu)
    # Case `endless` makes more page tables than even the pool of 4 MiB has shadow pages.
    assert got.last_run["paging_counters"]["reclaims"] > 1000
