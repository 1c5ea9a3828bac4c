# SPDX-License-Identifier: MIT
"""The CPU models of Bochs besides the default: a Linux guest on each, and what Lynnfield, which has no
"unrestricted guest", makes of a guest that switches paging off."""

import re
import warnings

import pytest
from conftest import BUILD
from test_ept import OURS, rows, tables

from bench import smallkernel

pytestmark = pytest.mark.bochs

EPT = dict(paging="ept", engine="bochs", timeout=300)
MULTIBOOT, MODES = BUILD / "payload" / "multiboot.elf", BUILD / "payload" / "modes.elf"
MODES_CHECKS = 31

# Flags of /proc/cpuinfo that the guest must see, and that it must not: what the model lacks, what
# Tallyvisor hides, and what the two newest models have in a way that breaks Linux (docs/hacking.md).
MODELS = {
    "corei5_lynnfield_750": ("sse4_2 nx x2apic tsc_deadline_timer hypervisor", "xsave avx pcid smep"),
    "corei7_skylake_x": ("avx512f avx512vl smap invpcid xsaves", "mpx pku fsrm vmx"),
    "corei7_icelake_u": ("avx512_vbmi2 sha_ni gfni xsaves", "pku ospke fsrm sgx vmx"),
    "tigerlake": ("avx512_vp2intersect rdpid xsaves", "pku ospke fsrm waitpkg vmx"),
}


def small_kernel():
    """The small kernel of `make bench`, which boots in half the time of the stock one, if it was
    built; None: the stock one."""
    kept = sorted((BUILD / "cache").glob(
        smallkernel.cache_name("*", smallkernel.FRAGMENT.read_text()) + "/bzImage"))
    if not kept:
        warnings.warn("the small kernel is not built: the CPU models boot the stock one instead, "
                      "which takes longer; `make bench` builds it")
    return kept[-1] if kept else None


@pytest.mark.parametrize("model", MODELS)
def test_linux_boots_to_the_power_off(run, model):
    wanted, unwanted = (set(words.split()) for words in MODELS[model])
    kernel = small_kernel()
    got = run(**EPT, cpu=model, mem=256, **({"kernel": kernel} if kernel else {}),
              guest_run="exitstat --verify; grep -m1 ^flags /proc/cpuinfo; dmesg")
    assert got.exit_code == 0 and "guest powered off; its command exited with status 0" in got.verdict
    assert got.stats["cpu"] == model and got.last_run["outcome"] == "poweroff"

    # The guest's table and the hypervisor's are one; and so are the last one and stats.json.
    theirs, = tables(got.serial, "snapshot", OURS)
    guests, = tables(got.serial, "snapshot", "")
    assert guests == theirs and rows(theirs)[10][0] == "CPUID"
    end = rows(tables(got.serial, "end", OURS)[0])
    assert {r["nr"]: (r["name"], r["count"], r["cycles"]) for r in got.last_run["reasons"]} == end
    assert got.last_run["exits_total"] == sum(count for _, count, _ in end.values())

    flags = set(re.search(r"^flags\t+: (.*)$", got.serial, re.MULTILINE)[1].split())
    assert wanted <= flags and not unwanted & flags
    # Ice Lake and Tiger Lake state the rates of the real processors; Bochs runs at its own.
    assert re.search(r"; TSC (99|100)\.\d{3} MHz;", got.serial)
    assert "Call Trace" not in got.serial and "XSAVE consistency problem" not in got.serial
    assert ("unrestricted-guest" in got.last_run["features"]) == (model != "corei5_lynnfield_750")


def checks(serial):
    return [line for line in serial.splitlines() if line.startswith(("ok: ", "FAIL: "))]


@pytest.mark.parametrize("model,options,remedy", [
    ("corei7_skylake_x", "", None),
    # SMEP and SMAP, which the identity map has to do without, and EPT's accessed and dirty flags
    ("corei7_skylake_x", "features-=unrestricted-guest", "features-= switched off: leave that out"),
    ("corei5_lynnfield_750", "", "this processor does not have: use a newer one"),
])
def test_modes_of_the_processor(run, model, options, remedy):
    """tests/payload/modes.asm: no paging, three kinds of it, each left again; real mode at last."""
    got = run(**EPT, cpu=model, mem=64, kernel=MODES, options=options)
    assert len(checks(got.serial)) == MODES_CHECKS and "FAIL" not in got.serial
    if remedy is None:
        assert got.exit_code == 0 and got.last_run["outcome"] == "debug-exit"
        return
    assert got.exit_code == 1 and got.last_run["outcome"] == "unsupported"
    assert re.search(r"^tallyvisor: the guest cannot go on: it switched protected mode off "
                     r"\(CR0\.PE=0\), and real mode needs \"unrestricted guest\", which " + remedy,
                     got.serial, re.MULTILINE)
    assert {r["name"] for r in got.last_run["reasons"]} >= {"CR_ACCESS", "IO_INSTRUCTION"}


def test_a_multiboot_kernel_without_unrestricted_guest(run, tmp_path):
    (tmp_path / "environment").write_text("NAME=value\n")
    got = run(**EPT, cpu="corei5_lynnfield_750", kernel=MULTIBOOT, mem=64,
              initrd=tmp_path / "environment")
    # It gets as far as its own descriptor tables; then it wants to see real mode.
    assert checks(got.serial)[-1] == "ok: descriptor tables of my own"
    assert len(checks(got.serial)) == 13 and "FAIL" not in got.serial
    assert got.last_run["outcome"] == "unsupported" and "CR0.PE=0" in got.verdict
