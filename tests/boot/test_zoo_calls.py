# SPDX-License-Identifier: MIT
"""zoo=1: tests/payload/zoocalls orders every event by VMCALL, in every paging mode of a processor, and
makes every mistake that a caller can make."""

import re

import pytest
from conftest import BUILD, ROOT

PAYLOAD = BUILD / "payload" / "zoocalls.elf"
CASES = re.findall(r'case_run\("([a-z0-9-]+)"',
                   (ROOT / "tests/payload/zoocalls/main.c").read_text())
EVENTS = re.findall(r'^ZOO_EVENT\(\w+, "([a-z-]+)"',
                    (ROOT / "include/zoo_events.def").read_text(), re.MULTILINE)
ANY = ["nmi", "interrupt", "guest-state", "msr-loading"]


@pytest.mark.bochs
@pytest.mark.parametrize("cpu,paging,more", [
    ("core2_penryn_t9600", "shadow", ["smxe"]),
    ("corei7_haswell_4770", "compare", ["timer", "ept-misconfig", "vmfunc"]),
    ("tigerlake", "compare", ["timer", "mtf", "ept-misconfig", "pml-full", "xss", "vmfunc", "spp"]),
], ids=["penryn", "haswell", "tigerlake"])
def test_a_guest_orders_exits(run, cpu, paging, more):
    got = run(paging=paging, engine="bochs", cpu=cpu, timeout=200, mem=64,
              options="poll_ms=0 zoo=1", kernel=PAYLOAD, cmdline=" ".join(ANY + more))
    modes = 2 if paging == "compare" else 1
    assert re.findall(r"^FAIL .*$", got.serial, re.MULTILINE) == []
    assert re.findall(r"^PASS (.*)$", got.serial, re.MULTILINE) == CASES * modes
    assert len(CASES) == 15
    assert got.serial.count("zoo=1: any program of the guest's may order exits") == modes
    assert got.serial.count("ended: debug-exit, exit code 0\n") == modes
    # The machine's own NMIs were ordered, and are none of those that nobody asked for.
    assert "that nobody here asked for" not in got.serial


def test_the_manual_has_all_events():
    text = (ROOT / "docs/zoo-calls.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \| [0-9]", text, re.MULTILINE) == EVENTS
