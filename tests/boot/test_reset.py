# SPDX-License-Identifier: MIT
"""A guest's second life: tests/payload/state.asm says what a processor and a PC hold at its first
instruction, leaves a pattern in all of it, and is reset by every door there is. What it says must be
the same in each life."""

import re

import pytest
from conftest import BUILD

pytestmark = pytest.mark.bochs

PAYLOAD = BUILD / "payload" / "state.elf"
# Letter for the payload (see there), and the outcome of the run that it ends.
DOORS = [("c", "reset"), ("k", "reset"), ("p", "reset"), ("i", "reset"), ("t", "triple-fault")]
SUMS = ["module", "tables", "information", "pic", "pit", "cmos", "uart", "pm", "lapic", "ioapic"]


def lives(serial):
    """What the payload said in each of its lives, without the hypervisor's lines."""
    text = re.sub(r"^tallyvisor: .*\n", "", serial, flags=re.MULTILINE)
    return re.findall(r"^state payload\n(.*?)^ready\n", text, re.MULTILINE | re.DOTALL)


def live(terminal, tmp_path, letters, **options):
    """One life for each letter; `r` is the operator's key."""
    (tmp_path / "module").write_text("a module, as its file has it\n")
    user = terminal(**{"paging": "ept", **options}, engine="bochs", kernel=PAYLOAD, mem=64,
                    timeout=400, initrd=tmp_path / "module")
    for letter in letters:
        user.read_until("^ready$", 180)
        user.type(b"\x1dr" if letter == "r" else letter)
    return user.finish(120)


def check(got, letters, outcomes):
    assert got.exit_code == 0 and "guest wrote 0 to the debug-exit port" in got.verdict
    assert [run["outcome"] for run in got.stats["runs"]] == outcomes
    said = lives(got.serial)
    assert len(said) == len(letters) and "FAIL" not in got.serial
    assert len(re.findall("^ok: ", said[0], re.MULTILINE)) > 60
    for number, life in enumerate(said[1:], start=2):
        assert life == said[0], f"life {number}"
    sums, dirt = (dict(re.findall(rf"^{word} (\w+) (\w+)$", said[0], re.MULTILINE))
                  for word in ("sum", "dirt"))
    assert set(SUMS) <= set(sums) and set(SUMS[3:]) == set(dirt)
    for name in dirt:  # else the patterns prove nothing
        assert dirt[name] != sums[name], name
    # Each run counted for itself.
    cpuids = [[row["count"] for row in run["reasons"] if row["name"] == "CPUID"]
              for run in got.stats["runs"]]
    assert cpuids == [cpuids[0]] * len(letters) and cpuids[0][0] < 10
    return said[0]


def test_every_life_begins_as_the_first(terminal, tmp_path):
    letters = "r" + "".join(letter for letter, _ in DOORS) + "e"
    got = live(terminal, tmp_path, letters, options="on_reset=restart reproducible=1")
    life = check(got, letters,
                 ["operator-reset"] + [outcome for _, outcome in DOORS] + ["debug-exit"])
    assert "ok: IA32_TSC_AUX\n" in life and "ok: IA32_TSC_ADJUST\n" in life
    assert "ok: XCR0 is 1\n" in life and "ok: IA32_PAT\n" in life
    assert "RDRAND is hidden, and is #UD\n" in life
    assert got.serial.count("reset by the operator") == 1


def test_the_newer_processors_state(terminal, tmp_path):
    """AVX-512, RDSEED and whatever else a Skylake-X has; without on_reset= the first reset ends it."""
    got = live(terminal, tmp_path, "re", cpu="corei7_skylake_x", options="reproducible=1")
    life = check(got, "re", ["operator-reset", "debug-exit"])
    assert "RDRAND is hidden, and is #UD\nRDSEED is hidden, and is #UD\n" in life
