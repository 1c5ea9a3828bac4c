# SPDX-License-Identifier: MIT
"""Optional features switched off from the boot line: the guest works without, and sees it. And what
the newer ones give: XSAVES, page-modification logging."""

import json
import re

import pytest
from conftest import BUILD, ROOT

TABLE = (ROOT / "include/vmx_features.def").read_text()
NAMES = re.findall(r'^FEATURE\(\w+, "([a-z0-9-]+)"', TABLE, re.MULTILINE)
REQUIRED = re.findall(r'^FEATURE_REQUIRED\("([a-z0-9-]+)"', TABLE, re.MULTILINE)

BOCHS = dict(paging="ept", engine="bochs", timeout=400, mem=128)
# What the guest's kernel says of its processor, and whether it had a complaint of its own.
LOOK = ["grep -m1 ^flags /proc/cpuinfo", "echo complaints; dmesg | grep -ci 'call trace\\|bug:'"]


def flags(serial):
    return set(re.search(r"^flags\t+: (.*)$", serial, re.MULTILINE)[1].split())


def counts(got):
    return {r["name"]: r["count"] for r in got.last_run["reasons"]}


def test_the_manual_has_them_all():
    text = (ROOT / "docs/options.md").read_text().split("## Features")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE) == NAMES
    for name in REQUIRED:
        assert f"`{name}`" in text


@pytest.mark.qemu
def test_a_required_feature_is_refused_with_the_reason(run):
    got = run(paging="ept", engine="qemu", timeout=120, options="features-=vpid,vnmi")
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert "features-=vnmi is not possible: NMIs could not be held back" in got.verdict


@pytest.mark.bochs
def test_without_all_that_can_be_spared(run):
    """As a processor of the first VMX generation, but for EPT and unrestricted guest: the stock
    kernel switches paging off on its way."""
    kept = ["ept", "unrestricted-guest"]
    off = [name for name in NAMES if name not in kept]
    got = run(**BOCHS, options=f"features-={','.join(off)}",
              guest_run="; ".join([*LOOK, "exitstat -- sleep 1"]))
    assert got.exit_code == 0 and got.last_run["features"] == kept
    assert re.search(r"^complaints\n0$", got.serial, re.MULTILINE)
    assert not flags(got.serial) & {"rdtscp", "rdpid", "invpcid", "xsaves", "pat"}
    assert {"pcid", "xsaveopt", "fsgsbase"} <= flags(got.serial)  # neighbours of those
    # Memory in small pages, and timers by the host's local APIC.
    assert re.search(r"^tallyvisor: ept: 0 x 1 GiB, 0 x 2 MiB, 32768 x 4 KiB", got.serial, re.MULTILINE)
    assert counts(got)["EXTERNAL_INTERRUPT"] > 100 and "PREEMPTION_TIMER" not in counts(got)
    assert got.last_run["idle_cycles"] > 50_000_000  # it slept, and was woken
    for name in off:
        assert re.search(rf"^tallyvisor: without {name} \((switched off|not in this processor)\): ",
                         got.serial, re.MULTILINE)


@pytest.mark.bochs
def test_pages_cannot_be_counted_without_dirty_flags(run):
    got = run(**BOCHS, options="dirty=1 features-=ept-ad")
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert "dirty=1 is not possible" in got.verdict and "features-= takes them away" in got.verdict


PAGES = re.compile(r"^pages command: written (\d+) ever (\d+)$", re.MULTILINE)


@pytest.mark.bochs
@pytest.mark.parametrize("off", ["", "pml,xsaves"])
def test_written_pages_and_xsaves(run, off):
    """The same numbers with a log of written pages and without one."""
    got = run(**BOCHS, cpu="corei7_skylake_x", options=f"dirty=1 features-={off or 'vid'}",
              guest_run="; ".join([*LOOK, "exitstat -- true",
                                   "exitstat -- dd if=/dev/zero of=/big bs=1M count=8",
                                   "exitstat --json", "rdcpuid 0xd 1"]))
    assert got.exit_code == 0
    assert re.search(r"^complaints\n0$", got.serial, re.MULTILINE)
    used = set(got.last_run["features"])
    assert ("pml" in used, "xsaves" in used, "xsaves" in flags(got.serial)) == (not off,) * 3
    # IA32_XSS has no component to enable; XSAVES stands in bit 3 of EAX.
    eax, ecx, edx = re.search(r"^eax=(\w+) ebx=\w+ ecx=(\w+) edx=(\w+)$", got.serial,
                              re.MULTILINE).groups()
    assert bool(int(eax, 16) & 8) == (not off) and int(ecx, 16) == int(edx, 16) == 0

    (little, before), (much, after) = [tuple(map(int, found)) for found in PAGES.findall(got.serial)]
    assert 0 < little < 1024 and 2048 <= much < 2048 + 1024  # 8 MiB and some, not 32768
    assert before <= after <= before + much
    assert after <= got.last_run["pages_written"] < 32768  # its memory was used before
    read, _ = json.JSONDecoder().raw_decode(got.serial[got.serial.index("\n{") + 1:])
    assert after <= read["pages_ever"] <= got.last_run["pages_written"]
    if off:
        assert "PML_FULL" not in counts(got)
    else:
        # One for each 512 pages, less what the snapshots took out before it was full.
        assert after // 512 - 4 <= counts(got)["PML_FULL"] <= 2 * after // 512


@pytest.mark.bochs
def test_a_timer_of_a_tick_leaves_time_for_the_guest(run):
    """Even where every EOI is emulated, which is the longest that an interrupt takes."""
    got = run(paging="ept", engine="bochs", mem=64, timeout=60,
              kernel=BUILD / "payload" / "ticks.elf", options="features-=apic-access,preemption-timer")
    assert got.exit_code == 0 and "ok: the local APIC's timer\nok: the 8254\n" in got.serial
