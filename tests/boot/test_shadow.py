# SPDX-License-Identifier: MIT
"""PAGING=shadow in Bochs: guests on page tables of the hypervisor's own, on processors with EPT and on
one that has none."""

import re
import subprocess

import pytest
from conftest import BUILD, ROOT
from test_ept import OURS, rows, tables
from test_features import NAMES, flags
from test_models import MODELS, MODES, MODES_CHECKS, checks, small_kernel
from test_reset import check as check_lives
from test_reset import live

pytestmark = pytest.mark.bochs

SHADOW = dict(paging="shadow", engine="bochs", timeout=400)
HASWELL, PENRYN = "corei7_haswell_4770", "core2_penryn_t9600"
TLB = BUILD / "payload" / "tlb.elf"
PRESSURE = ROOT / "tests/boot/guest/pressure.c"
# What EPT would have brought, and what the oldest model has not got.
EPT_FEATURES = {"ept", "unrestricted-guest", "ept-2m", "ept-1g", "ept-ad", "pml"}
NOT_IN_PENRYN = {"vpid", "preemption-timer", "load-efer", "load-pat", "rdtscp", "invpcid"}
POOL = re.compile(r"^tallyvisor: shadow: a pool of (\d+) MiB for (\d+) tables$", re.MULTILINE)
ALL_WELL = re.compile(r"^pressure: (\d+) processes with (\d+) page tables each: all as it should be$",
                      re.MULTILINE)
ISOLATION = re.compile(r"^tallyvisor: shadow: (\d+) x 1 GiB, (\d+) x 2 MiB, (\d+) x 4 KiB pages in "
                       r"\d+ tables; all lead into guest memory$", re.MULTILINE)


def small():
    kernel = small_kernel()
    return {"kernel": kernel} if kernel else {}


@pytest.fixture
def with_program(tmp_path):
    """with_program(source) compiles a program for the guest; what it returns is the runner's --build."""
    def call(source):
        build = tmp_path / "build"
        (build / "guest").mkdir(parents=True)
        for name in ("tallyvisor.efi", "cache", "guest/exitstat"):
            (build / name).symlink_to((BUILD / name).resolve())
        subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o",
                        build / "guest" / source.stem, source], check=True)
        return build
    return call


def check_counters(run):
    """What has to add up does: exits by reason and within a reason, and what came of page faults."""
    reasons = {row["name"]: row["count"] for row in run["reasons"]}
    assert run["exits_total"] == sum(reasons.values())
    assert sum(run["exceptions"].values()) == reasons["EXCEPTION_NMI"]
    assert sum(run["cr_accesses"].values()) == reasons["CR_ACCESS"]
    counters = run["paging_counters"]
    assert counters["faults"] == run["exceptions"]["#PF"] == sum(
        counters[name] for name in ("fills", "reflected", "mmio", "write-protect", "emulated", "spurious"))
    assert counters["invlpg"] >= counters["invlpg-mapped"]
    assert counters["loads"] > counters["roots-cached"] > 0
    assert counters["tables"] >= counters["zaps"] >= counters["reclaims"]
    return counters


def check_linux(got):
    """It ran to its power-off, and its table and the hypervisor's are one."""
    assert got.exit_code == 0 and got.last_run["outcome"] == "poweroff"
    assert got.last_run["paging"] == "shadow" and not EPT_FEATURES & set(got.last_run["features"])
    theirs, = tables(got.serial, "snapshot", OURS)
    guests, = tables(got.serial, "snapshot", "")
    assert guests == theirs
    end = rows(tables(got.serial, "end", OURS)[0])
    assert {r["nr"]: (r["name"], r["count"], r["cycles"]) for r in got.last_run["reasons"]} == end
    check_counters(got.last_run)
    names = {name for name, _, _ in end.values()}
    assert {"EXCEPTION_NMI", "INVLPG", "CR_ACCESS"} <= names
    assert not {"EPT_VIOLATION", "EPT_MISCONFIG", "TRIPLE_FAULT"} & names
    # What was mapped when it ended.
    assert int(ISOLATION.search(got.serial)[3]) > 1000
    assert "Call Trace" not in got.serial and "BUG:" not in got.serial
    return end


def test_the_stock_kernel(run):
    got = run(**SHADOW, mem=256, guest_run="; ".join([
        "exitstat --verify", "rdcpuid 0x40000001", "grep -m1 ^flags /proc/cpuinfo",
        "echo beyond; devmem 0x10000000; devmem 0x2a000000", "exitstat -- ls /", "sleep 1"]))
    check_linux(got)
    assert {"vpid", "invpcid", "load-pat", "load-efer"} <= set(got.last_run["features"])
    assert {"pat", "pcid", "invpcid", "nx", "pdpe1gb", "smep"} <= flags(got.serial)
    assert "ebx=0x000007e5 ecx=0x00000002 edx=0x00000056" in got.serial  # 2021, shadow, 86
    assert re.search(r"^beyond\n(0xFFFFFFFF\n){2}", got.serial, re.MULTILINE)
    assert "VM exits while 'ls /' ran:" in got.serial
    assert got.last_run["idle_cycles"] > 50_000_000  # it slept, and was woken
    assert "tallyvisor: shadow: a pool of 16 MiB for" in got.serial


@pytest.mark.parametrize("model", MODELS)
def test_other_processors_with_ept(run, with_program, model):
    """SMAP from Skylake-X on, XSAVES, and what Tallyvisor hides from Linux there."""
    wanted, unwanted = (set(words.split()) for words in MODELS[model])
    got = run(**SHADOW, **small(), cpu=model, mem=128, build=with_program(PRESSURE),
              guest_run="; ".join([
                  "pressure", "exitstat --verify", "grep -m1 ^flags /proc/cpuinfo",
                  "echo complaints; dmesg | grep -ci 'call trace\\|bug:\\|xsave consistency'"]))
    check_linux(got)
    used, seen = set(got.last_run["features"]), flags(got.serial)
    assert got.stats["cpu"] == model and wanted | {"pat"} <= seen and not unwanted & seen
    assert NOT_IN_PENRYN - {"invpcid"} <= used
    assert ALL_WELL.search(got.serial)
    assert re.search(r"^complaints\n0$", got.serial, re.MULTILINE)
    assert re.search(r"; TSC (99|100)\.\d{3} MHz;", got.serial)


@pytest.mark.parametrize("cpu,options", [
    (PENRYN, ""),
    # The same, and less, on a processor that is too new for most of the emulator's habits.
    (HASWELL, f"shadow_pool=6 features-={','.join(NAMES)}"),
])
def test_a_processor_without_ept(run, cpu, options):
    got = run(**SHADOW, **small(), cpu=cpu, mem=128, options=options,
              guest_run="exitstat --verify; grep -m1 ^flags /proc/cpuinfo")
    check_linux(got)
    used = set(got.last_run["features"])
    assert not used & NOT_IN_PENRYN and (cpu == PENRYN) == bool(used)
    # The PAT is the shadow page tables', whether the processor can switch it or not.
    assert {"pat", "nx"} <= flags(got.serial) and not {"rdtscp", "invpcid"} & flags(got.serial)
    for name in NOT_IN_PENRYN | EPT_FEATURES:
        why = "switched off" if options else "not in this processor"
        assert f"tallyvisor: without {name} ({why}): " in got.serial
    assert f"shadow: a pool of {6 if options else 8} MiB" in got.serial


@pytest.mark.parametrize("cpu", [HASWELL, PENRYN])
def test_modes_of_the_processor(run, cpu):
    """No paging, three kinds of it, each left again; real mode is not possible."""
    got = run(**SHADOW, cpu=cpu, mem=64, kernel=MODES)
    assert len(checks(got.serial)) == MODES_CHECKS and "FAIL" not in got.serial
    assert got.exit_code == 1 and got.last_run["outcome"] == "unsupported"
    why = ("needs EPT: write paging=ept" if cpu == HASWELL
           else "this processor does not have: use a newer one")
    assert why in got.verdict


def test_every_life_begins_as_the_first(terminal, tmp_path):
    """The pool, the PAT, the live MSRs: nothing of one run is left in the next."""
    got = live(terminal, tmp_path, "rke", paging="shadow", options="on_reset=restart reproducible=1")
    life = check_lives(got, "rke", ["operator-reset", "reset", "debug-exit"])
    assert "ok: IA32_PAT\n" in life


def test_a_processor_without_ept_is_told_of_it(run):
    got = run(paging="ept", engine="bochs", timeout=200, cpu=PENRYN)
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert "what paging=ept requires (enable EPT): write paging=shadow, " in got.verdict


def test_without_ept_by_choice(run):
    got = run(paging="ept", engine="bochs", timeout=200, options="features-=ept")
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert ("what paging=ept requires (enable EPT, for features-= takes it away): "
            "write paging=shadow, ") in got.verdict


@pytest.mark.parametrize("paging,cpu,off,words", [
    ("shadow", HASWELL, "", "shadow silent pcid invpcid"),
    # The local APIC by page faults; nothing cached across an exit.
    ("shadow", HASWELL, "invpcid,apic-access,vpid", "shadow silent pcid"),
    ("shadow", PENRYN, "", "shadow silent"),
    ("ept", HASWELL, "", "pcid invpcid"),  # what the processor does by itself is the same
])
def test_invalidation(run, paging, cpu, off, words):
    got = run(**{**SHADOW, "paging": paging}, cpu=cpu, mem=64, kernel=TLB, cmdline=words,
              options="poll_ms=0" + (f" features-={off}" if off else ""))
    assert re.findall(r"^FAIL .*$", got.serial, re.MULTILINE) == []
    cases = re.findall(r'case_run\("([a-z0-9-]+)"', (ROOT / "tests/payload/tlb/main.c").read_text())
    assert re.findall(r"^PASS (.*)$", got.serial, re.MULTILINE) == cases and len(cases) == 13
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)


@pytest.mark.parametrize("word,what", [
    ("lost-table", "a paging structure of its lies outside memory, at 0x200000010"),
    ("fetch", "it executes at guest-physical 0xe0000000, where no memory is"),
    ("delivery", "an event was delivered through 0xe0000ff8, where no memory is"),
])
def test_where_no_memory_is(run, word, what):
    """What ends a guest under EPT ends it here, in the same words."""
    got = run(**SHADOW, mem=64, kernel=TLB, cmdline=word)
    assert got.exit_code == 1 and got.last_run["outcome"] == "unsupported"
    assert f"tallyvisor: the guest cannot go on: {what}\n" in got.serial
    assert "it runs on shadow page tables: its own cr3 is 4" in got.serial


def test_a_user_process_cannot_invalidate(run, tmp_path, with_program):
    """INVPCID in ring 3 is #GP; Bochs 2.7 exits without having checked the privilege level."""
    source = tmp_path / "inv.c"
    source.write_text('int main(void)\n{\n\tlong long d[2] = {0, 0};\n\t__asm__ volatile('
                      '"invpcid (%0), %1" ::"r"(d), "r"(2l) : "memory");\n\treturn 0;\n}\n')
    got = run(**SHADOW, **small(), build=with_program(source), mem=128,
              guest_run="inv; echo status $?")
    assert got.exit_code == 0
    assert re.search(r"^status 139$", got.serial, re.MULTILINE)  # SIGSEGV


def test_linux_with_the_smallest_pool(run, with_program):
    """Ten times as many page tables in use as there are shadow pages: they make room for each other, and
    the guest cannot tell."""
    got = run(**SHADOW, **small(), mem=128, options="shadow_pool=1",
              build=with_program(PRESSURE),
              guest_run="; ".join(["pressure", "i=0; while [ $i -lt 40 ]; do /bin/true || echo bad; "
                                   "i=$((i+1)); done; echo loops $i", "exitstat --verify"]))
    check_linux(got)
    processes, tables_each = map(int, ALL_WELL.search(got.serial).groups())
    assert re.search(r"^loops 40$", got.serial, re.MULTILINE) and "bad" not in got.shown
    mib, pool = map(int, POOL.search(got.serial).groups())
    assert mib == 1 and 63 <= pool < processes * tables_each / 10
    counters = check_counters(got.last_run)
    # Each time round, each process needs all its tables, of which the pool holds a part.
    assert counters["reclaims"] > 5 * processes * tables_each
    # What was made and not taken down is there: no more than there can be, and the pool is full.
    assert pool / 2 < counters["tables"] - counters["zaps"] <= pool
