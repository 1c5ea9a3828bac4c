# SPDX-License-Identifier: MIT
"""PAGING=ept in Bochs: the stock kernel under the hypervisor, from the first exit to every way out.

Emulated time is virtual, so that nothing here depends on the speed of the machine it runs on.
"""

import json
import re
import subprocess

import pytest
from conftest import BUILD

from tallyvisor import trace

pytestmark = pytest.mark.bochs

EPT = dict(paging="ept", engine="bochs", timeout=400)
# tallyvisor: lines of the hypervisor; the rest is the guest's.
OURS = "tallyvisor: "


def tables(serial, title, prefix):
    """The text of each table of exits with that title, without the prefix of its lines."""
    pattern = re.compile(rf"^{re.escape(prefix)}(exits {title}: seq .*?^){re.escape(prefix)}"
                         rf"exits {title}: done$", re.MULTILINE | re.DOTALL)
    return [found.replace(prefix, "") if prefix else found for found in pattern.findall(serial)]


def rows(table):
    """{reason number: (name, count, cycles)} of a table."""
    found = re.findall(r"^ *(\d+) (\w+) +(\d+) +(\d+) ", table, re.MULTILINE)
    return {int(nr): (name, int(count), int(cycles)) for nr, name, count, cycles in found}


def test_batch_run_and_what_the_guest_reads(run):
    """One boot for all that a guest can ask."""
    got = run(**EPT, mem=256, guest_run="; ".join([
        "exitstat --verify",
        "rdcpuid 0x40000000", "rdcpuid 0x40000001",
        "echo first; rdcpuid 0x4ffffffd 10; echo second; rdcpuid 0x4ffffffd 10",
        "echo undefined; for n in 35 38 42 71 82 83 86 65536; do rdcpuid 0x4ffffffd $n; done",
        "echo impossible; rdcpuid 0x4ffffffd 14; rdcpuid 0x4ffffffc 14",
        "echo total; rdcpuid 0x4fffffff; rdcpuid 0x4ffffffe",
        "echo features; grep -wc vmx /proc/cpuinfo; grep -wc hypervisor /proc/cpuinfo",
        "echo beyond; devmem 0x10000000; devmem 0x2a000000; devmem 0x3e200000",
        "exitstat -- ls /",
        "sleep 1; cat /proc/interrupts",
        "dmesg | grep -ci 'error\\|bug\\|oops\\|call trace'",
    ]))
    assert got.exit_code == 0 and "guest powered off" in got.verdict

    # exitstat and the hypervisor print one and the same snapshot, to the last digit.
    theirs, = tables(got.serial, "snapshot", OURS)
    guests, = tables(got.serial, "snapshot", "")
    assert guests == theirs
    assert rows(theirs)[10][0] == "CPUID"
    # ... and so are the lines below it.
    below, = re.findall(r"^cr snapshot:( .*)$", got.serial, re.MULTILINE)
    assert re.findall(rf"^{OURS}cr snapshot:(.*)$", got.serial, re.MULTILINE) == [below]
    accesses = dict(re.findall(r" (\S+) (\d+)", below))
    assert {"to-cr0", "to-cr4"} <= set(accesses)
    assert sum(map(int, accesses.values())) == rows(theirs)[28][1]

    # The last table: sums, and stats.json says the same.
    end, = tables(got.serial, "end", OURS)
    counted = rows(end)
    head = re.match(r"exits end: seq \d+ ticks (\d+) idle (\d+) total (\d+) cycles (\d+)", end)
    ticks, idle, total, cycles = map(int, head.groups())
    assert total == sum(count for _, count, _ in counted.values())
    assert cycles == sum(spent for _, _, spent in counted.values())
    assert cycles < ticks and 50_000_000 < idle < ticks  # it slept for a second
    last = got.last_run
    assert (last["paging"], last["vcpus"], last["outcome"]) == ("ept", 1, "poweroff")
    assert (last["exits_total"], last["cycles_total"], last["ticks"], last["idle_cycles"]) == \
        (total, cycles, ticks, idle)
    assert {r["nr"]: (r["name"], r["count"], r["cycles"]) for r in last["reasons"]} == counted
    assert sum(last["cr_accesses"].values()) == counted[28][1] > 0
    assert sum(last["exceptions"].values()) == counted.get(0, ("", 0))[1]
    assert last["paging_counters"] is None
    assert got.stats["hypervisor"] and got.stats["cpu"] == "corei7_haswell_4770"
    # What a Linux guest under EPT cannot but do, and what it must not.
    assert {"CPUID", "HLT", "IO_INSTRUCTION", "WRMSR", "CR_ACCESS"} <= \
        {name for name, _, _ in counted.values()}
    assert not {"TRIPLE_FAULT", "EPT_MISCONFIG", "INVLPG"} & \
        {name for name, _, _ in counted.values()}

    # CPUID 0x40000000: 6 leaves more, and the name.
    line = re.search(r"eax=0x40000006 ebx=(\w+) ecx=(\w+) edx=(\w+)", got.serial)
    name = b"".join(int(reg, 16).to_bytes(4, "little") for reg in line.groups())
    assert name == b"TallyvisorHV"
    assert "ebx=0x000007e5 ecx=0x00000001 edx=0x00000056" in got.serial  # 2021, EPT, 86

    def after(word, nr):
        return re.search(rf"^{word}\n((?:eax=.*\n){{{nr}}})", got.serial, re.MULTILINE)[1].split("\n")

    def eax(text):
        return int(re.match(r"eax=(\w+)", text)[1], 16)

    first, second = eax(after("first", 1)[0]), eax(after("second", 1)[0])
    assert 0 < first < second
    for text in after("undefined", 8)[:8]:
        assert text == "eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0xffffffff"
    for text in after("impossible", 2)[:2]:
        assert text == "eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000"
    totals, cycles_read = after("total", 2)[:2]
    assert second < eax(totals) < total and eax(cycles_read) == 0
    assert re.search(r"^features\n0\n1$", got.serial, re.MULTILINE)

    # Beyond guest memory there is nothing: not the hypervisor's memory, either.
    assert re.search(r"^beyond\n(0xFFFFFFFF\n){3}", got.serial, re.MULTILINE)
    assert "all lead into guest memory" in got.serial
    assert "VM exits while 'ls /' ran:" in got.serial
    assert re.search(r"^ *4: +[1-9]\d* +IO-APIC +4-edge +ttyS0$", got.serial, re.MULTILINE)
    assert "Unknown" not in got.serial and "Call Trace" not in got.serial


def test_long_output_and_the_other_numbering(run):
    """Serial interrupts by the hundred beside the timer's: none may be lost."""
    got = run(**EPT, options="leaves=2022 verbose=1",
              guest_run="dmesg; dmesg; echo leaf; rdcpuid 0x4ffffffe 10; rdcpuid 0x4ffffffc; "
                        "rdcpuid 0x40000001")
    assert got.exit_code == 0
    assert got.serial.count("Run /init as init process") == 2
    leaves = re.search(r"^leaf\neax=(\w+) .*\neax=(\w+) .*\n.*ebx=0x000007e6", got.serial,
                       re.MULTILINE)
    assert 0 < int(leaves[1], 16) < int(leaves[2], 16)
    assert re.search(r"^tallyvisor: memory [0-9a-f]+-[0-9a-f]+ hypervisor$", got.serial,
                     re.MULTILINE)
    assert re.search(r"^tallyvisor: VMX controls: pin [0-9a-f]{8}, ", got.serial, re.MULTILINE)


def recorder(got, occasion):
    """What the flight recorder held, whole."""
    held, = trace.read((got.out / "serial.log").read_bytes().split(b"\n"))
    assert held.problems == [] and held.occasion == occasion
    return held


def test_typed_commands_and_keys(terminal):
    user = terminal(**EPT)
    user.read_until("guest# ", 300)
    user.type("echo answer-$((40+2))\r")
    user.read_until("^answer-42$", 60)
    user.type(b"\x1d?")
    user.read_until("keys after Ctrl-]", 60)
    user.type(b"\x1ds")
    user.read_until("tallyvisor: exits key: done", 60)
    user.type(b"\x1dd")
    user.read_until("vcpu 0:", 60)
    user.type(b"\x1dt")
    user.read_until("the last 32 exits", 60)
    user.type(b"\x1dT")  # nothing to see
    user.type("echo still-$((40+3))\r")
    user.read_until("^still-43$", 60)
    user.type("echo gone > /tmp/file\r")
    user.read_until("guest# ", 60)
    user.type(b"\x1dr")  # and all of it once more, from the same kernel and initramfs
    user.read_until("^tallyvisor: run 2: paging ept", 60)
    user.read_until("guest# ", 300)
    user.type("cat /tmp/file; echo again-$((40+4))\r")
    user.read_until("can't open '/tmp/file'", 60)
    user.read_until("^again-44$", 60)
    user.type("poweroff\r")
    got = user.finish(120)
    assert got.exit_code == 0 and "guest powered off" in got.verdict
    assert [run["outcome"] for run in got.stats["runs"]] == ["operator-reset", "poweroff"]
    assert rows(tables(got.serial, "key", OURS)[0])[10]
    held = recorder(got, "key")
    assert len(held.records) == 4096 and "trace begin" not in got.shown


def test_the_operator_ends_it(terminal):
    user = terminal(**EPT)
    user.read_until("guest# ", 300)
    user.type(b"\x1dx")
    got = user.finish(120)
    assert got.exit_code == 1 and got.last_run["outcome"] == "operator"
    assert got.last_run["exits_total"] > 1000


@pytest.mark.parametrize("command,cmdline,outcome", [
    ("reboot -f", "", "reset"),
    ("reboot -f", "reboot=t", "triple-fault"),
    ("echo c > /proc/sysrq-trigger", "", "panic"),
])
def test_other_endings(run, command, cmdline, outcome):
    got = run(**EPT, guest_run=command, cmdline=cmdline)
    assert got.exit_code == 1
    assert got.last_run["outcome"] == outcome
    assert got.last_run["exits_total"] > 1000  # the statistics came all the same
    if outcome == "triple-fault":
        assert re.search(r"^tallyvisor:   TRIPLE_FAULT +qual ", got.serial, re.MULTILINE)
        assert "vcpu 0:" in got.serial
        held = recorder(got, "crash")
        assert len(held.records) == 4096
        assert held.records[-1].name == "TRIPLE_FAULT" and held.records[-1].open


def test_time_out(run):
    got = run(**{**EPT, "timeout": 90}, guest_run="while :; do :; done")
    assert got.exit_code == 3 and got.last_run["outcome"] == "timeout"


@pytest.mark.parametrize("kind,cause,symbol", [
    ("panic", "crash=panic was asked for", "crash_on_purpose"),
    ("fault", "exception #PF", "crash_on_purpose"),
    ("stack", "exception #DF", "exhaust_stack"),
])
def test_panic_screen(run, kind, cause, symbol):
    got = run(**EPT, options=f"crash={kind}")
    assert got.exit_code == 5 and got.last_run["outcome"] == "hypervisor-panic"
    assert cause in got.verdict
    assert re.search(rf"^tallyvisor:   #\d+ ffffffff8[0-9a-f]+ {symbol}\+0x", got.serial,
                     re.MULTILINE)
    assert "core_main+0x" in got.serial or kind == "stack"
    assert re.search(r"the last 16 exits, oldest first:\n(tallyvisor:   [A-Z_]+ +qual .*\n){16}",
                     got.serial)
    held = recorder(got, "panic")
    assert [one.number for one in held.records] == list(range(len(held.records)))
    assert len(held.records) > 1000 and held.records[-1].open
    if kind == "stack":
        assert "guard page" in got.serial
    if kind == "fault":
        assert "cr2 000000000dead000" in got.serial


def test_large_memory(run):
    """About as much as OVMF offers on Bochs; some of it in 1 GiB pages, in two pieces of host memory."""
    got = run(**EPT, mem=2048, guest_run="free -m; exitstat --json")
    assert got.exit_code == 0 and got.last_run["memory_mib"] == 2048
    megabytes = int(re.search(r"^Mem: +(\d+)", got.serial, re.MULTILINE)[1])
    assert 1850 < megabytes < 2048
    assert re.search(r"^tallyvisor: ept: 1 x 1 GiB, ", got.serial, re.MULTILINE)
    read, _ = json.JSONDecoder().raw_decode(got.serial[got.serial.index("\n{") + 1:])
    assert read


def test_a_user_process_cannot_change_xcr0(run, tmp_path):
    """XSETBV in ring 3 is #GP; Bochs 2.7 exits without having checked the privilege level."""
    build = tmp_path / "build"
    (build / "guest").mkdir(parents=True)
    for name in ("tallyvisor.efi", "cache"):
        (build / name).symlink_to((BUILD / name).resolve())
    source = tmp_path / "xs.c"
    source.write_text('int main(void)\n{\n\t__asm__ volatile("xsetbv" ::"a"(3), "d"(0), "c"(0));\n'
                      "\treturn 0;\n}\n")
    subprocess.run(["gcc", "-static", "-o", build / "guest/xs", source], check=True)
    got = run(**EPT, build=build, guest_run="xs; echo status $?")
    assert got.exit_code == 0
    assert re.search(r"^status 139$", got.serial, re.MULTILINE)  # SIGSEGV
