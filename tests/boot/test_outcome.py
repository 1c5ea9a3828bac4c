# SPDX-License-Identifier: MIT
"""The reading of the serial line: tools/tallyvisor/outcome.py."""

import subprocess

import pytest

from conftest import ROOT
from tallyvisor.outcome import (FIRMWARE_FAULT, HYPERVISOR_PANIC, PANIC, POWEROFF, REFUSED, RESET,
                                Watch)
from tallyvisor.stats import run_entry

START = "tallyvisor: run 1: paging ept, vcpus 1, memory 512 MiB\n"


def table(title="end", cpuid=3, cycles=900, total=None):
    return (f"tallyvisor: exits {title}: seq 1 ticks 5000 idle 40 total {total or cpuid + 1} "
            f"cycles {cycles + 100}\n"
            "tallyvisor:  nr reason                            count             cycles\n"
            f"tallyvisor:  10 CPUID                    {cpuid:14} {cycles:18} {300:12}   90.0%\n"
            f"tallyvisor:  12 HLT                      {1:14} {100:18} {100:12}   10.0%\n"
            f"tallyvisor: exits {title}: done\n")


def ended(outcome="poweroff", code=0, run=1):
    return f"tallyvisor: run {run} ended: {outcome}, exit code {code}\n"


OFF = "tallyvisor: machine off\n"


def watch(text, hypervisor=True, chunk=None):
    new = Watch(hypervisor)
    data = text.encode() if isinstance(text, str) else text
    for at in range(0, len(data), chunk or len(data)):
        new.feed(data[at:at + (chunk or len(data))])
    return new


@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_a_whole_run(chunk):
    text = ("Tallyvisor 0.1.0: a hypervisor\n" + START + "guest: command exited with status 3\n"
            + table() + ended() + OFF)
    got = watch(text.replace("\n", "\r\n"), chunk=chunk)
    assert got.version == "0.1.0"
    assert got.ending.outcome == POWEROFF
    assert got.guest_status == 3
    run = got.runs[1]
    assert (run.paging, run.vcpus, run.memory_mib) == ("ept", 1, 512)
    assert (run.outcome, run.exit_code) == ("poweroff", 0)
    assert (run.block.ticks, run.block.idle_cycles) == (5000, 40)
    assert (run.block.exits_total, run.block.cycles_total) == (4, 1000)
    assert run.block.reasons == [{"nr": 10, "name": "CPUID", "count": 3, "cycles": 900},
                                 {"nr": 12, "name": "HLT", "count": 1, "cycles": 100}]


def test_the_features_of_a_run():
    assert watch(START).runs[1].features is None
    told = START + "tallyvisor: run 1 features: rdtscp ept-1g\n"
    assert watch(told).runs[1].features == ["rdtscp", "ept-1g"]
    assert watch(START + "tallyvisor: run 1 features:\n").runs[1].features == []
    # The hypervisor speaks first; a guest that prints the same words does not change it.
    forged = told + "tallyvisor: run 1 features: vid\ntallyvisor: run 7 features: vid\n"
    assert watch(forged + table() + ended() + OFF).runs[1].features == ["rdtscp", "ept-1g"]
    assert watch("tallyvisor: run 0 features: vid\n").runs == {}


def test_the_exits_switched():
    switched = "tallyvisor: run 1 exits switched: +rdtsc -hlt +exceptions=ud\n"
    features = "tallyvisor: run 1 features: vid\n"
    assert watch(START + features).runs[1].exits_switched is None
    told = watch(START + switched + features).runs[1].exits_switched
    assert told == ["+rdtsc", "-hlt", "+exceptions=ud"]
    # Behind the features it is the guest who speaks.
    forged = "tallyvisor: run 1 exits switched: +pause\n"
    assert watch(START + features + forged).runs[1].exits_switched is None
    assert watch(START + switched + features + forged).runs[1].exits_switched == told


def test_the_pages_written():
    pages = "tallyvisor: pages end: written 5 ever 70\n"
    assert watch(START + table() + ended() + OFF).runs[1].pages_written is None
    assert watch(START + table() + pages + ended() + OFF).runs[1].pages_written == 70
    # The last word counts, and a new run begins without.
    forged = "tallyvisor: pages end: written 1 ever 2\n"
    assert watch(START + forged + table() + pages + ended() + OFF).runs[1].pages_written == 70
    assert watch(forged + START + table() + ended() + OFF).runs[1].pages_written is None


def entry(text):
    return run_entry(watch(text).runs[1])


def test_what_stands_below_the_table():
    rows = ("tallyvisor:   0 EXCEPTION_NMI      5   500   100   50.0%\n"
            "tallyvisor:  28 CR_ACCESS          3   500   166   50.0%\n")
    whole = ("tallyvisor: exits end: seq 0 ticks 9 idle 0 total 8 cycles 1000\n" + rows
             + "tallyvisor: exits end: done\n")
    below = ("tallyvisor: exceptions end: #DB 1 #PF 3\ntallyvisor: exceptions end: 15 1\n"
             "tallyvisor: cr end: to-cr3 2 clts 1\n"
             "tallyvisor: shadow end: faults 7 fills 0\ntallyvisor: shadow end: loads 2\n")
    start = START.replace("ept", "shadow")
    got = entry(start + whole + below + ended() + OFF)
    assert got["exceptions"] == {"#DB": 1, "#PF": 3, "15": 1}
    assert got["cr_accesses"] == {"to-cr3": 2, "clts": 1}
    assert got["paging_counters"] == {"faults": 7, "fills": 0, "loads": 2}
    # Another mode's counters, and sums that are not those of the table.
    assert entry(START + whole + below + ended() + OFF)["paging_counters"] is None
    got = entry(start + whole + below.replace("#PF 3", "#PF 4") + ended() + OFF)
    assert got["exceptions"] == {} and got["cr_accesses"] == {"to-cr3": 2, "clts": 1}
    # The guest's lookalikes come before the last table.
    forged = whole + "tallyvisor: shadow end: faults 1 forged 2\n"
    got = entry(start + forged + whole + below + ended() + OFF)
    assert got["paging_counters"] == {"faults": 7, "fills": 0, "loads": 2}
    got = entry(START + below + table() + ended() + OFF)
    assert (got["exceptions"], got["cr_accesses"], got["paging_counters"]) == ({}, {}, None)


def test_what_the_exits_were_for():
    rows = ("tallyvisor:  10 CPUID              5   500   100   50.0%\n"
            "tallyvisor:  12 HLT                1   500   500   50.0%\n")
    whole = ("tallyvisor: exits end: seq 0 ticks 9 idle 0 total 6 cycles 1000\n" + rows
             + "tallyvisor: exits end: done\n")
    below = ("tallyvisor: CPUID-cycles end: least 80 most 180 64 3 128 2\n"
             "tallyvisor: CPUID end: 0x1 3 0x4 1\ntallyvisor: CPUID end: others 1\n"
             "tallyvisor: HLT-cycles end: least 500 most 500 256 1\n")

    def reasons(text):
        return {row["name"]: row for row in entry(START + whole + text + ended() + OFF)["reasons"]}

    got = reasons(below)
    assert got["CPUID"] == {"nr": 10, "name": "CPUID", "count": 5, "cycles": 500, "least": 80,
                            "most": 180, "histogram": {"64": 3, "128": 2},
                            "details": {"0x1": 3, "0x4": 1, "others": 1}}
    assert got["HLT"]["histogram"] == {"256": 1} and "details" not in got["HLT"]
    # What does not add up is not taken over; nor what was cut off.
    got = reasons(below.replace("0x4 1", "0x4 2"))["CPUID"]
    assert "details" not in got and got["least"] == 80
    got = reasons(below.replace("128 2", "128 3"))["CPUID"]
    assert not {"least", "most", "histogram"} & set(got) and got["details"]["0x1"] == 3
    assert "histogram" not in reasons(below.replace("least 80 ", ""))["CPUID"]
    assert reasons("")["CPUID"] == {"nr": 10, "name": "CPUID", "count": 5, "cycles": 500}


def test_nothing_is_over_before_the_machine_is_off():
    assert watch(START + table() + ended()).ending is None


def test_text_after_machine_off_takes_it_back():
    text = START + table() + ended() + OFF
    assert watch(text + "guest# ls\n").ending is None
    text += "guest# ls\n" + table(cpuid=8) + ended() + OFF
    assert watch(text).runs[1].block.exits_total == 9


def test_blank_lines_and_escapes_after_machine_off_are_nothing():
    text = START + table() + ended() + OFF
    assert watch(text + "\r\n\x1b[0m\n").ending.outcome == POWEROFF


def test_a_machine_that_cannot_switch_itself_off_says_so_and_has_ended():
    text = (START + table() + ended() + OFF
            + "tallyvisor: this machine did not switch itself off: it is safe to do so now\n")
    assert watch(text).ending.outcome == POWEROFF


def test_a_machine_that_stays_on_has_ended():
    text = (START + table() + ended()
            + "tallyvisor: the machine stays on, as at_end=stay wants: it is safe to switch it off "
            "now\n")
    assert watch(text).ending.outcome == POWEROFF


def test_machine_off_without_a_run_that_ended_is_a_lookalike():
    assert watch(OFF).ending is None
    assert watch(START + OFF).ending is None


@pytest.mark.parametrize("outcome,code", [("reset", 0), ("triple-fault", 0), ("debug-exit", 7)])
def test_the_hypervisors_word_is_the_outcome(outcome, code):
    got = watch(START + table() + ended(outcome, code) + OFF)
    assert got.ending.outcome == outcome
    assert (got.runs[1].outcome, got.runs[1].exit_code) == (outcome, code)


def test_the_last_table_counts():
    text = START + table(cpuid=1000) + table() + ended() + OFF
    assert watch(text).runs[1].block.exits_total == 4


@pytest.mark.parametrize("title", ["snapshot", "key", "crash"])
def test_other_tables_are_not_the_end(title):
    assert watch(START + table(title) + ended() + OFF).runs[1].block is None


def test_a_table_that_does_not_add_up_is_dropped():
    assert watch(START + table(total=99) + ended() + OFF).runs[1].block is None


def test_a_forged_table_that_does_not_add_up_hides_the_one_before():
    assert watch(START + table() + table(total=99) + ended() + OFF).runs[1].block is None


def test_a_table_with_a_foreign_line_in_it_is_dropped():
    lines = table().splitlines(keepends=True)
    text = START + "".join(lines[:3]) + "guest text\n" + "".join(lines[3:]) + ended() + OFF
    assert watch(text).runs[1].block is None


def test_a_table_that_was_cut_short_is_no_table():
    lines = table().splitlines(keepends=True)
    assert watch(START + "".join(lines[:3]) + ended() + OFF).runs[1].block is None


def test_a_table_belongs_to_one_run_only():
    second = START.replace("run 1", "run 2")
    got = watch(START + table() + ended() + second + ended(run=2) + OFF)
    assert got.runs[1].block is not None
    assert got.runs[2].block is None


def test_two_runs():
    second = START.replace("run 1", "run 2")
    got = watch(START + table() + ended() + second + table(cpuid=8) + ended("reset", run=2) + OFF)
    assert [run.block.exits_total for run in got.runs.values()] == [4, 9]
    assert got.ending.outcome == RESET


def test_runs_forged_by_the_guest_are_dropped_when_the_real_one_ends():
    fake = START.replace("run 1", "run 9") + ended(run=9)
    got = watch(START + fake + table() + ended("reset") + OFF)
    assert list(got.runs) == [1]
    assert got.ending.outcome == RESET


def test_refusal():
    got = watch("tallyvisor: refused: this CPU has no VMX\nerror: unknown error\nPress any key\n")
    assert got.ending.outcome == REFUSED
    assert got.ending.text == "this CPU has no VMX"


def test_a_guest_cannot_refuse():
    got = watch(START + "tallyvisor: refused: no\n" + table() + ended() + OFF)
    assert got.ending.outcome == POWEROFF
    assert watch(START + "tallyvisor: refused: no\n").ending is None


def test_hypervisor_panic_outlasts_its_dump():
    got = watch(START + "tallyvisor: PANIC: VMREAD failed\ntallyvisor: rax 0\n")
    assert got.ending.outcome == HYPERVISOR_PANIC
    assert got.ending.text == "VMREAD failed"


def test_a_guest_that_prints_a_panic_and_goes_on_ended_otherwise():
    got = watch(START + "tallyvisor: PANIC: ha\n" + table() + ended() + OFF)
    assert got.ending.outcome == POWEROFF


@pytest.mark.parametrize("prefix", ["", "[    1.234567] ", "[    1.2] ---[ end "])
def test_guest_panic_then_reset(prefix):
    text = f"{prefix}Kernel panic - not syncing: no init\nCPU: 0 PID: 1\n"
    got = watch(START + text + table() + ended("reset") + OFF)
    assert got.ending.outcome == PANIC
    assert got.ending.text == "no init"
    assert got.runs[1].outcome == PANIC


def test_guest_that_stops_for_good_in_its_panic():
    text = "Kernel panic - not syncing: A\nCPU: 0\n---[ end Kernel panic - not syncing: A ]---\n"
    got = watch(START + text)
    assert (got.ending.outcome, got.ending.text) == (PANIC, "A")


def test_guest_that_prints_a_panic_and_powers_off_has_powered_off():
    text = "Kernel panic - not syncing: joke\n"
    assert watch(START + text + table() + ended() + OFF).ending.outcome == POWEROFF


@pytest.mark.parametrize("line,outcome", [
    ("[   13.5] reboot: System halted", POWEROFF), ("[    1.7] reboot: Power down", POWEROFF),
    ("reboot: Restarting system", RESET), ("reboot: machine restart", RESET)])
def test_bare_endings(line, outcome):
    assert watch(line + "\n", hypervisor=False).ending.outcome == outcome
    assert watch(line + "\nBdsDxe: again\n", hypervisor=False).ending is None
    # Under the hypervisor Linux's word alone ends nothing.
    assert watch(START + line + "\n").ending is None


def test_fault_under_the_firmware():
    text = "!!!! X64 Exception Type - 0D(#GP - General Protection)  CPU Apic ID - 0 !!!!\nRIP\n"
    for hypervisor in (False, True):
        got = watch(text, hypervisor)
        assert got.ending.outcome == FIRMWARE_FAULT and "#GP" in got.ending.text
    assert watch(START + text).ending is None


def test_bare_panic_outlasts_what_follows():
    got = watch("Kernel panic - not syncing: A\nBdsDxe: starting\n", hypervisor=False)
    assert got.ending.outcome == PANIC


def test_bare_machine_never_hears_the_hypervisor():
    got = watch(START + table() + ended() + OFF, hypervisor=False)
    assert got.ending is None and got.runs == {}


def test_a_last_line_without_its_end():
    got = watch("[    1.7] reboot: Power down", hypervisor=False)
    assert got.ending is None
    assert got.ending_if_silent().outcome == POWEROFF
    got.feed(b"!?\n")  # it was not the end of the line after all
    assert got.last_line.endswith("Power down!?")
    again = watch("[    1.7] reboot: Power down", hypervisor=False)
    again.finish()
    assert again.ending.outcome == POWEROFF


def test_a_prompt_after_the_end_takes_it_back():
    got = watch(START + table() + ended() + OFF + "guest# ")
    assert got.ending_if_silent() is None


def test_rubbish_is_survived():
    got = watch(bytes(range(256)) * 50 + b"\n" + (START + table() + ended() + OFF).encode())
    assert got.ending.outcome == POWEROFF


@pytest.mark.parametrize("line", [
    "tallyvisor: run {}: paging ept, vcpus 1, memory 1 MiB", "tallyvisor: run 1 ended: reset, exit code {}",
    "guest: command exited with status {}", "tallyvisor: cr end: mov-to-cr0 {}"])
def test_numbers_that_are_too_long_are_none(line):
    """Python makes no int of more than 4,300 digits."""
    got = watch(START + table(cpuid=3) + line.format("9" * 5000) + "\n" + ended() + OFF)
    assert got.ending.outcome == "poweroff"


def test_a_line_without_end_takes_no_memory():
    got = Watch(True)
    for _ in range(40):
        got.feed(b"x" * 100000)
        assert len(got._partial) <= 65536
    got.feed(b"\n" + (START + ended() + OFF).encode())
    assert got.ending.outcome == POWEROFF


PRINTER = r"""
#include <stdio.h>
#include "exit_detail.h"
static void put(void *ctx, const char *line) { (void)ctx; fputs(line, stdout); }
int main(void)
{
	static struct exit_snapshot snap = { .seq = 7, .ticks = ~0ull };
	const struct text_out out = { .prefix = "tallyvisor: ", .puts = put };
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr += 2) {
		snap.stats.count[nr] = nr == 10 ? 1ull << 60 : nr + 1;
		snap.stats.cycles[nr] = nr == 10 ? 1ull << 62 : 1000 * nr;
	}
	snap.stats.idle_cycles = 123;
	snap.stats.exceptions[14] = snap.stats.count[0];
	snap.stats.cr_accesses[CR_ACCESS_FROM + 3] = snap.stats.count[28];
	exit_stats_print(&snap, "end", &out);
	static struct exit_detail detail;
	exit_detail_init(&detail);
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		int kind = exit_detail_kind(nr);
		detail.least[nr] = nr;
		detail.most[nr] = ~0ull - nr;
		detail.cycles[nr][nr % 64] = snap.stats.count[nr];
		for (u32 i = 0; kind >= 0 && i < snap.stats.count[nr] && i < 100; i++)
			++*tally_count(&detail.tally[kind], i);
		if (kind >= 0 && snap.stats.count[nr] > 100)
			detail.tally[kind].count[0] = snap.stats.count[nr] - 100;
	}
	exit_detail_print(&detail, &snap.stats, "end", &out);
	return 0;
}
"""


def test_the_table_as_the_hypervisor_formats_it(tmp_path):
    """Printer and parser agree, for counts of every width."""
    (tmp_path / "printer.c").write_text(PRINTER)
    sources = [ROOT / "lib" / name for name in ("exit_stats.c", "counts_text.c", "exit_reasons.c",
                                              "fmt.c", "exit_detail.c", "detail_text.c")]
    subprocess.run(["gcc", "-std=gnu17", f"-I{ROOT}", f"-I{ROOT}/include", "-o",
                    tmp_path / "printer", tmp_path / "printer.c", *sources], check=True)
    printed = subprocess.run([tmp_path / "printer"], capture_output=True, check=True).stdout
    got = watch(START + printed.decode() + ended() + OFF)
    block = got.runs[1].block
    assert run_entry(got.runs[1])["exceptions"] == {"#PF": 1}
    assert run_entry(got.runs[1])["cr_accesses"] == {"from-cr3": 29}
    assert block is not None and block.ticks == 2**64 - 1 and block.idle_cycles == 123
    for row in run_entry(got.runs[1])["reasons"]:
        if row["name"] == "?":  # the SDM defines none
            continue
        bucket = 2 ** (row["nr"] % 64) if row["nr"] % 64 else 0
        assert (row["least"], row["most"]) == (row["nr"], 2**64 - 1 - row["nr"])
        assert row["histogram"] == {str(bucket): row["count"]}
    cpuids, = (row["details"] for row in run_entry(got.runs[1])["reasons"] if row["nr"] == 10)
    assert cpuids == {f"{leaf:#x}": 1 for leaf in range(100)} | {"others": (1 << 60) - 100}
    by_number = {row["nr"]: row for row in block.reasons}
    assert by_number[10] == {"nr": 10, "name": "CPUID", "count": 1 << 60, "cycles": 1 << 62}
    assert by_number[48] == {"nr": 48, "name": "EPT_VIOLATION", "count": 49, "cycles": 48000}
    assert len(block.reasons) == sum(1 for line in printed.splitlines() if b"%" in line)
