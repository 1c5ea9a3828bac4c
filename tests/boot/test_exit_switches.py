# SPDX-License-Identifier: MIT
"""Optional exit causes switched from the boot line: tests/payload/exits instruction by instruction, and
Linux under whatever combination of them."""

import os
import random
import re

import pytest
from conftest import BUILD, ROOT

NAMES = re.findall(r'^EXIT_SWITCH\(\w+, "([a-z0-9=-]+)"',
                   (ROOT / "include/exit_switches.def").read_text(), re.MULTILINE)
CASES = re.findall(r'case_run\("([a-z0-9-]+)"',
                   (ROOT / "tests/payload/exits/main.c").read_text())
EXCEPTIONS = "de bp of br ud nm df ts np ss gp pf mf xm".split()

# What is on by itself; page faults as long as a guest has neither SMEP nor EFER.NXE set.
USUAL = {"ept": ["wbinvd"], "shadow": ["wbinvd", "invlpg", "cr3-load", "cr3-store", "pf"]}
# What the default model has, and what of it may be off.
POSSIBLE = ["rdtsc", "pause", "invlpg", "cr3-load", "cr3-store", "cr8", "mov-dr",
            "descriptor-table", "rdrand", "msr=all"]
SPARED = ["hlt", "wbinvd"]


def test_the_manual_has_them_all():
    text = (ROOT / "docs/options.md").read_text().split("## Exits")[1].split("\n## ")[0]
    first = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    assert re.findall("`([a-z0-9=-]+)`", " ".join(first)) == [*NAMES, "exceptions="]


@pytest.mark.qemu
def test_what_is_never_possible_is_refused(run):
    got = run(paging="ept", engine="qemu", timeout=120, options="exit+=pause exit-=io=all")
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert "exit-=io=all is not possible: the guest's ports are devices" in got.verdict


@pytest.mark.bochs
@pytest.mark.parametrize("options,why", [
    ("exit+=mtf", "exit+=mtf is not possible: this CPU lacks it"),
    ("exit-=invlpg", "exit-=invlpg is not possible with paging=shadow: its page tables follow"),
])
def test_what_this_machine_cannot_do_is_refused(run, options, why):
    got = run(paging="shadow", engine="bochs", timeout=120, mem=64, options=options,
              kernel=BUILD / "payload" / "exits.elf")
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert why in got.verdict


@pytest.mark.bochs
@pytest.mark.parametrize("paging", ["ept", "shadow"])
@pytest.mark.parametrize("cpu,on", [
    ("corei7_haswell_4770", []),
    ("corei7_skylake_x", [*POSSIBLE, "rdseed"]),
], ids=["usual", "all"])
def test_an_instruction_does_what_it_does(run, paging, cpu, on):
    options = "poll_ms=0"
    if on:
        options += f" exit+={','.join(on)},exceptions={','.join(EXCEPTIONS)}"
    words = [*USUAL[paging], *on, *(EXCEPTIONS if on else [])]
    got = run(paging=paging, engine="bochs", cpu=cpu, timeout=120, mem=64, options=options,
              kernel=BUILD / "payload" / "exits.elf", cmdline=" ".join(dict.fromkeys(words)))
    assert re.findall(r"^FAIL .*$", got.serial, re.MULTILINE) == []
    assert re.findall(r"^PASS (.*)$", got.serial, re.MULTILINE) == CASES and len(CASES) == 21
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)
    assert sorted(got.last_run["exits_switched"]) == sorted(
        [f"+{name}" for name in on] + [f"+exceptions={name}" for name in EXCEPTIONS if on])


WORK = ["echo begin", "seq 1 3000 | md5sum", "cat /bin/busybox | md5sum",
        "dd if=/dev/zero bs=64k count=32 2>/dev/null | md5sum", "sleep 1",
        "for i in 1 2 3 4 5 6 7 8; do (echo $((i * i * 7919))); done",
        "grep -m1 ^flags /proc/cpuinfo", "echo complaints; dmesg | grep -ci 'call trace\\|bug:'",
        "echo end"]


def result_of(run, paging, options):
    got = run(paging=paging, engine="bochs", cpu="corei7_haswell_4770", timeout=400, mem=128,
              options=options, guest_run="; ".join(WORK))
    assert got.exit_code == 0
    work = re.search(r"^begin\n(.*)^end$", got.serial, re.MULTILINE | re.DOTALL)[1]
    assert re.search(r"^complaints\n0$", work, re.MULTILINE)
    return work, {r["name"]: r["count"] for r in got.last_run["reasons"]}


def draw(rng):
    on = [name for name in POSSIBLE if rng.random() < 0.5]
    vectors = [name for name in EXCEPTIONS if rng.random() < 0.5]
    off = [name for name in SPARED if rng.random() < 0.5]
    named = [*on, f"exceptions={','.join(vectors)}"] if vectors else on
    options = [f"exit{sign}={','.join(names)}" for sign, names in (("+", named), ("-", off)) if names]
    return on, off, " ".join(options)


@pytest.mark.bochs
@pytest.mark.parametrize("paging", ["ept", "shadow"])
def test_linux_works_on_in_any_combination(run, paging):
    """EXIT_SEED=n draws again what a run before has drawn."""
    seed = int(os.environ.get("EXIT_SEED", random.SystemRandom().randrange(1 << 32)))
    on, off, options = draw(random.Random(f"{seed} {paging}"))
    print(f"EXIT_SEED={seed}: {options}")
    plain, _ = result_of(run, paging, "")
    switched, counts = result_of(run, paging, options)
    assert switched == plain
    for name, reason in (("rdtsc", "RDTSC"), ("invlpg", "INVLPG"), ("mov-dr", "DR_ACCESS"),
                         ("descriptor-table", "GDTR_IDTR_ACCESS")):
        assert (reason in counts) == (name in on or name in USUAL[paging]), name
    assert ("HLT" in counts) == ("hlt" not in off)
