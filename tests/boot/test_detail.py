# SPDX-License-Identifier: MIT
"""Finer than a count by reason: what exits took and what they were for, in stats.json, on the console
and in the guest."""

import json
import re

import pytest
from conftest import BUILD, ROOT

pytestmark = pytest.mark.bochs

ELF = BUILD / "payload" / "tally.elf"
CASES = re.findall(r'case_run\("([a-z-]+)", test_', (ROOT / "tests/payload/tally/main.c").read_text())

# What each of these reasons' exits are told apart by.
TALLIED = {"EXCEPTION_NMI", "EXTERNAL_INTERRUPT", "CPUID", "CR_ACCESS", "IO_INSTRUCTION", "RDMSR",
           "WRMSR", "APIC_ACCESS", "VIRTUALIZED_EOI", "EPT_VIOLATION", "APIC_WRITE"}


def check_sums(reasons):
    """Every reason is whole, and its parts fit together."""
    for row in reasons:
        buckets = {int(low): count for low, count in row["histogram"].items()}
        assert sum(buckets.values()) == row["count"], row
        assert ("details" in row) == (row["name"] in TALLIED), row
        assert sum(row.get("details", {None: row["count"]}).values()) == row["count"], row
        # The shortest and the longest lie in the outermost buckets, and the sum in between.
        assert min(buckets) <= row["least"] < 2 * max(min(buckets), 1), row
        assert max(buckets) <= row["most"] < 2 * max(max(buckets), 1), row
        lowest = sum(low * count for low, count in buckets.items())
        assert lowest <= row["cycles"] < 2 * lowest + 2 * buckets.get(0, 0), row


def console_pairs(serial, word):
    """{name: number} of the lines "WORD snapshot:" of the hypervisor's."""
    lines = re.findall(rf"^tallyvisor: {word} snapshot:((?: \S+ \d+)+)$", serial, re.MULTILINE)
    words = " ".join(lines).split()
    return dict(zip(words[::2], map(int, words[1::2])))


@pytest.mark.parametrize("paging", ["ept", "shadow"])
def test_the_guest_the_console_and_the_file_agree(run, paging):
    # The watchdog has nothing to say of a guest that sleeps between two heartbeats, and then works.
    got = run(paging=paging, engine="bochs", timeout=400, mem=256, options="watchdog=1",
              guest_run="exitstat --heartbeat 4; sleep 2.5; exitstat --heartbeat 0;"
                        "exitstat --detail --json --verify; exitstat --detail -- sh -c "
                        "'for n in $(seq 40); do rdcpuid 0x4fffffff; done'; exitstat --detail")
    assert got.exit_code == 0
    reasons = got.last_run["reasons"]
    check_sums(reasons)
    named = {row["name"]: row for row in reasons}
    # A port, an MSR and a leaf that Linux cannot do without.
    assert named["IO_INSTRUCTION"]["details"]["out-0x3f8"] > 100
    assert named["WRMSR"]["details"]["0x6e0"] > 10
    assert named["CPUID"]["details"]["0x1"] > 1
    # ... and where it looks for other hypervisors, in 255 places, is one thing.
    assert named["CPUID"]["details"]["0x40000100"] >= 255
    assert "others" not in named["CPUID"]["details"]
    assert named["CPUID"]["details"]["0x40000006"] == 2
    assert named["CR_ACCESS"]["details"] == got.last_run["cr_accesses"]
    if paging == "shadow":
        faults = {name.removeprefix("#PF-"): count
                  for name, count in named["EXCEPTION_NMI"]["details"].items() if "#PF-" in name}
        counters = got.last_run["paging_counters"]
        assert faults.pop("fill") == counters["fills"] > 100
        assert sum(faults.values()) == counters["faults"] - counters["fills"]
        assert all(counters[name] == count for name, count in faults.items())
    else:
        assert {"read-unmapped", "write-unmapped"} <= set(named["EPT_VIOLATION"]["details"])

    # One snapshot, read by the guest and printed by the hypervisor.
    theirs = json.loads(re.search(r'^(\{"schema".*)$', got.serial, re.MULTILINE)[1])["reasons"]
    check_sums(theirs)
    for row in theirs:
        spread = console_pairs(got.serial, row["name"] + "-cycles")
        assert (spread.pop("least"), spread.pop("most")) == (row["least"], row["most"])
        assert spread == row["histogram"]
        assert console_pairs(got.serial, row["name"]) == row.get("details", {})

    # For people. In a difference there is no shortest exit, and what was counted is the command's.
    command, whole = re.findall(r"^ nr reason +count +least +mean +most  cycles by powers of 2\n"
                                r"((?:^ .*\n)+)", got.serial, re.MULTILINE)
    cpuids, = re.findall(r"^ 10 CPUID +(\d+) +- +\d+ +- ", command, re.MULTILINE)
    assert " 0x4fffffff 40" in command and int(cpuids) > 40
    assert re.search(r"^ 10 CPUID +\d+ +\d+ +\d+ +\d+   2\^\d+\|[#0-9. ]+\|2\^\d+$", whole, re.MULTILINE)
    assert "IA32_TSC_DEADLINE" in whole and "out-0x3f8" in whole


def test_more_than_the_tables_hold(run):
    """And that a second run finds nothing of the first."""
    got = run(paging="compare", engine="bochs", timeout=300, mem=64, kernel=ELF,
              options="poll_ms=0")
    assert re.findall("^FAIL .*$", got.serial, re.MULTILINE) == []
    assert re.findall("^PASS (.*)$", got.serial, re.MULTILINE) == 2 * CASES
    assert [(one["paging"], one["outcome"], one["exit_code"]) for one in got.stats["runs"]] == [
        ("ept", "debug-exit", 0), ("shadow", "debug-exit", 0)]
    for one in got.stats["runs"]:
        check_sums(one["reasons"])
        named = {row["name"]: row["details"] for row in one["reasons"] if "details" in row}
        for name in ("IO_INSTRUCTION", "RDMSR", "CPUID"):
            assert named[name]["others"] > 100 and len(named[name]) > 100
