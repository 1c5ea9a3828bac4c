# SPDX-License-Identifier: MIT
"""PAGING=compare: one boot, the guest in every paging mode. Nothing of its first run may be in the
second; the table at the end says what was different."""

import re

import pytest
from conftest import BUILD
from test_models import small_kernel
from test_reset import lives

from tallyvisor import comparison

pytestmark = pytest.mark.bochs

COMPARE = dict(paging="compare", engine="bochs", timeout=400)
STATE, TICKS = BUILD / "payload" / "state.elf", BUILD / "payload" / "ticks.elf"
# Leaf 0x40000001, ECX: 2 is shadow paging. There the guest comes to another end.
ASK = ("exitstat; ls -lR /bin /sys/class | wc -l; exitstat -- sh -c 'for i in 1 2 3; do true; done'; "
       "rdcpuid 0x40000001 | grep -q ecx=0x00000002 && reboot -f")


def segment(serial, number):
    """What a run said, from its beginning to its end, without its number."""
    begin, end = (re.search(pattern, serial, re.MULTILINE) for pattern in
                  (rf"^tallyvisor: run {number}: paging", rf"^tallyvisor: run {number} ended: .*\n"))
    return re.sub(rf"^tallyvisor: run {number}\b", "tallyvisor: run N",
                  serial[begin.start():end.end()], flags=re.MULTILINE)


def pairs(runs, key):
    """{name: (in the first run, in the second)} of one of the objects in stats.json."""
    first, second = (run[key] for run in runs)
    return {name: (first.get(name, 0), second.get(name, 0)) for name in first.keys() | second.keys()}


def check_table(found, runs):
    """The table has the numbers of stats.json, which come from the runs' own tables."""
    first, second = runs
    counted = [{row["name"]: (row["count"], row["cycles"]) for row in run["reasons"]} for run in runs]
    for name in counted[0].keys() | counted[1].keys():
        (count_a, cycles_a), (count_b, cycles_b) = (one.get(name, (0, 0)) for one in counted)
        row = found.pop(name)
        assert (row.exits, row.cycles) == ((count_a, count_b), (cycles_a, cycles_b)), name
    for name, key in (("idle", "idle_cycles"), ("ticks", "ticks")):
        assert found.pop(name).cycles == (first[key], second[key])
    every = found.pop("all")
    assert every.exits == (first["exits_total"], second["exits_total"])
    assert every.cycles == (first["cycles_total"], second["cycles_total"])
    assert found.pop("guest").cycles == tuple(
        run["ticks"] - run["idle_cycles"] - run["cycles_total"] for run in runs)
    details = {**pairs(runs, "exceptions"), **pairs(runs, "cr_accesses")}
    assert {name: row.exits for name, row in found.items()} == details
    assert details["#PF"][1] > 100 and details["to-cr3"][1] > 10


def test_both_modes_and_that_a_second_run_is_as_a_first_one(run, tmp_path):
    kernel = small_kernel()
    options = dict(COMPARE, mem=128, guest_run=ASK, options="reproducible=1",
                   **({"kernel": kernel} if kernel else {}))
    both = run(**options)
    assert both.exit_code == 1  # two ends
    runs = both.stats["runs"]
    assert [(one["paging"], one["outcome"]) for one in runs] == [("ept", "poweroff"),
                                                                ("shadow", "reset")]
    lines = comparison.find(both.serial)
    assert lines[0] == ("compare: run 1 ept ended poweroff code 0, "
                        "run 2 shadow ended reset code 0")
    assert "did not come to the same end in both modes" in both.serial
    found = comparison.rows(lines)
    differences = [abs(row.cycles[1] - row.cycles[0]) for row in found.values()
                   if row.nr is not None]
    assert differences == sorted(differences, reverse=True)
    check_table(found, runs)
    assert runs[0]["paging_counters"] is None
    counters = runs[1]["paging_counters"]
    assert counters["fills"] > 100 and counters["faults"] == runs[1]["exceptions"]["#PF"]
    assert f"shadow compare: faults {counters['faults']} " in "\n".join(lines)

    # The same mode alone, in a machine that was just switched on.
    alone = run(**{**options, "paging": "shadow"})
    first, second = segment(alone.serial, 1), segment(both.serial, 2)
    for number, (one, other) in enumerate(zip(first.splitlines(), second.splitlines()), start=1):
        assert one == other, f"line {number}"
    assert first == second and "exits end: done" in first
    assert alone.last_run == runs[1]


def test_what_a_run_leaves_behind_is_not_in_the_next(terminal, tmp_path):
    """tests/payload/state.asm through lives in both modes; what ends a life, and what ends all."""
    (tmp_path / "module").write_text("a module, as its file has it\n")
    user = terminal(**COMPARE, kernel=STATE, mem=64, initrd=tmp_path / "module",
                    options="reproducible=1 on_reset=restart")
    for letter in ("t", "e", b"\x1dr", b"\x1dx"):
        user.read_until("^ready$", 180)
        user.type(letter)
    got = user.finish(120)
    assert [(one["paging"], one["outcome"]) for one in got.stats["runs"]] == [
        ("ept", "triple-fault"), ("ept", "debug-exit"),
        ("shadow", "operator-reset"), ("shadow", "operator")]
    said = lives(got.serial)
    assert len(said) == 4 and "FAIL" not in got.serial
    assert len(re.findall("^ok: ", said[0], re.MULTILINE)) > 60
    for number, life in enumerate(said[1:], start=2):
        assert life == said[0], f"life {number}"
    assert "paging=compare: ended by the operator, nothing is compared" in got.serial
    assert comparison.find(got.serial) is None


def test_a_processor_without_ept_runs_what_it_can(run):
    got = run(**COMPARE, cpu="core2_penryn_t9600", kernel=TICKS, mem=64, options="at_end=stay")
    assert "tallyvisor: the machine stays on" in got.serial and "machine off" not in got.serial
    assert got.serial.count("paging=compare: this processor lacks what paging=ept requires") == 2
    assert [one["paging"] for one in got.stats["runs"]] == ["shadow"]
    assert got.exit_code == 0 and comparison.find(got.serial) is None
