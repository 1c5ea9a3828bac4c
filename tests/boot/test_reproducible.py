# SPDX-License-Identifier: MIT
"""reproducible=1: two runs, each from an image of its own, print the same bytes on the serial line,
from the firmware's first to the last of the statistics, and so does a guest that asks for
randomness."""

import re

import pytest

pytestmark = pytest.mark.bochs

ASK = "; ".join([
    "cat /proc/cmdline", "echo rdrand $(grep -wc 'rdrand\\|rdseed' /proc/cpuinfo)",
    "date -u +'date %F %H:%M'", "grep ' _text$' /proc/kallsyms", "cat /proc/self/maps",
    "echo random $(head -c 16 /dev/urandom | od -An -tx1) $(cat /proc/sys/kernel/random/boot_id)",
    "exitstat"])


def test_two_runs_are_alike_to_the_byte(run):
    def once():
        got = run(paging="ept", engine="bochs", timeout=300, mem=128, guest_run=ASK,
                  options="reproducible=1", cmdline="loglevel=4 -- word")
        return got, (got.out / "serial.log").read_bytes(), (got.out / "stats.json").read_bytes()

    (got, first, stats), (_, second, other_stats) = once(), once()
    assert got.exit_code == 0
    # What it fixes, as the guest sees it.
    assert re.search(r"^nokaslr norandmaps console=.* -- word$", got.serial, re.MULTILINE)
    assert re.search(r"^rdrand 0$", got.serial, re.MULTILINE)
    assert re.search(r"^date 2026-01-01 00:00$", got.serial, re.MULTILINE)
    assert re.search(r"^ffffffff81000000 T _text$", got.serial, re.MULTILINE)
    assert re.search(r"^7ffffffde000-7ffffffff000 rw-p .*\[stack\]$", got.serial, re.MULTILINE)
    assert re.search(r"^random( [0-9a-f]{2}){16} [0-9a-f-]{36}$", got.serial, re.MULTILINE)
    assert "tallyvisor: exits end: done" in got.serial
    for number, (one, other) in enumerate(zip(first.splitlines(), second.splitlines()), start=1):
        assert one == other, f"line {number}"
    assert first == second and stats == other_stats
