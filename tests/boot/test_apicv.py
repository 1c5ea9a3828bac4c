# SPDX-License-Identifier: MIT
"""The local APIC with all that the processor offers for it, and without: tests/payload/apic checks
what software sees and, by the exit counters, who did the work."""

import re

import pytest
from conftest import BUILD, ROOT

ELF = BUILD / "payload" / "apic.elf"
MAIN = (ROOT / "tests/payload/apic/main.c").read_text()

FEATURES = ["tpr-shadow", "apic-access", "apic-register", "vid", "virtual-x2apic",
            "preemption-timer"]
# What is switched off, and what goes with it: the first three need the TPR shadow, and Bochs's
# virtual-interrupt delivery the VMX-preemption timer (docs/hacking.md).
SETS = {
    "": [],
    "vid": ["vid"],
    "apic-register,vid": ["apic-register", "vid"],
    "apic-access": ["apic-access"],
    "tpr-shadow": ["tpr-shadow", "apic-register", "vid", "virtual-x2apic"],
    "preemption-timer": ["preemption-timer", "vid"],
}


def cases():
    """The names of all cases, as main.c lists them, in its order."""
    both = re.findall(r'^\t\{"([a-z0-9-]+)", test_', MAIN, re.MULTILINE)
    enable, *single = re.findall(r'case_run\("([a-z0-9-]+)", test_', MAIN)
    assert both and single
    return ([f"xapic-{name}" for name in both] + [enable] +
            [f"x2apic-{name}" for name in both] + single)


def lines(serial, word):
    return re.findall(rf"^{word} (.*)$", serial, re.MULTILINE)


MOV_SS = "the shadow of MOV SS outlasts an exit for the TPR threshold"


def departures(used):
    """Where Bochs 2.7 departs from the SDM (docs/hacking.md), by case."""
    if "tpr-shadow" in used and "vid" not in used:
        return [f"{mode}-shadows: {MOV_SS}" for mode in ("xapic", "x2apic")]
    return []


@pytest.mark.bochs
@pytest.mark.parametrize("off", SETS, ids=lambda off: off or "all")
def test_the_payload_passes(run, off):
    used = [name for name in FEATURES if name not in SETS[off]]
    got = run(paging="ept", engine="bochs", timeout=300, mem=64, kernel=ELF,
              cmdline=" ".join([*used, "bochs"]),
              options="poll_ms=0" + (f" features-={off}" if off else ""))
    assert lines(got.serial, "FAIL") == []
    assert lines(got.serial, "PASS") == cases()
    assert lines(got.serial, "DEPARTS") == departures(used)
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)
    assert set(got.last_run["features"]) & set(FEATURES) == set(used)
