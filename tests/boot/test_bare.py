# SPDX-License-Identifier: MIT
"""PAGING=bare on both engines: the stock kernel through GRUB, without the hypervisor."""

import re
import signal
import termios
import time

import pytest

QEMU = dict(paging="bare", engine="qemu", timeout=240)
BOCHS = dict(paging="bare", engine="bochs", timeout=400)


def check_powered_off(got, status):
    assert got.exit_code == 0
    assert "guest powered off" in got.verdict and f"status {status} " in got.verdict
    assert got.last_run == {"paging": "bare", "vcpus": 1, "memory_mib": got.last_run["memory_mib"],
                            "features": None, "exits_switched": None, "outcome": "poweroff", "exit_code": 0, "exits_total": 0,
                            "cycles_total": 0, "idle_cycles": None, "ticks": None,
                            "pages_written": None, "reasons": [], "exceptions": {},
                            "cr_accesses": {}, "paging_counters": None}
    assert got.stats["schema"] == 1 and got.stats["hypervisor"] is None
    assert not (got.out / "work").exists()


@pytest.mark.qemu
def test_qemu_boots_to_power_off(run):
    command = (r"""echo "got: $((6*7)) 'x' \$y"; """
               "grep MemTotal /proc/meminfo; cat /proc/cmdline; exit 3")
    got = run(**QEMU, mem=256, guest_run=command, cmdline='tv.word="a b" $z;')
    check_powered_off(got, 3)
    assert "\ngot: 42 'x' $y\n" in got.serial and "got: 42 'x' $y\n" in got.shown
    assert "\x1b" not in got.shown and "\r" not in got.shown
    memory = int(re.search(r"MemTotal: +(\d+) kB", got.serial)[1])
    assert 150_000 < memory < 262_144
    assert '"tv.word=a b" $z; mem=256M' in got.serial
    assert got.last_run["memory_mib"] == 256
    assert got.stats["engine"] == "qemu" and got.stats["cpu"] == "max"


@pytest.mark.qemu
@pytest.mark.parametrize("command,exit_code,outcome,words", [
    ("echo b > /proc/sysrq-trigger; sleep 9", 6, "lost", "without a word"),
    ("reboot -f", 1, "reset", "asked for a reset"),
    ("echo c > /proc/sysrq-trigger", 1, "panic", "kernel panicked: sysrq triggered crash"),
])
def test_qemu_other_endings(run, command, exit_code, outcome, words):
    got = run(**QEMU, guest_run=command)
    assert (got.exit_code, got.last_run["outcome"]) == (exit_code, outcome)
    assert words in got.verdict


@pytest.mark.qemu
def test_qemu_time_out(run):
    got = run(**{**QEMU, "timeout": 15}, guest_run="echo waiting; sleep 1000")
    assert (got.exit_code, got.last_run["outcome"]) == (3, "timeout")
    assert "timed out" in got.verdict
    assert got.last_run["exit_code"] is None


@pytest.mark.qemu
def test_qemu_menu_shell_and_escape(terminal):
    """At a terminal: the menu shows and can be driven, the shell answers, Ctrl-] q ends it all."""
    user = terminal(**QEMU)
    before = user.modes()
    user.read_until("Tallyvisor: Linux under EPT", 60)
    user.read_until("Linux on the bare machine", 10)
    user.read_until("guest# ", 120)
    assert not user.modes()[3] & (termios.ICANON | termios.ECHO)
    user.type("echo answer-$((40+2))\r")
    user.read_until("^answer-42$", 20)
    user.type("echo slee''ping; sleep 1000\r")
    user.read_until("^sleeping$", 20)
    time.sleep(1)
    user.type("\x03")  # job control: it reaches the guest's sleep
    user.type("echo back-$((1+1))\r")
    user.read_until("^back-2$", 20)
    user.type(b"\x1dq")
    got = user.finish(20)
    assert got.exit_code == 130 and "stopped by Ctrl-] q" in got.verdict
    assert user.modes() == before


@pytest.mark.qemu
def test_qemu_signal_restores_the_terminal(terminal):
    user = terminal(**QEMU)
    before = user.modes()
    user.read_until("BdsDxe", 60)
    user.signal(signal.SIGTERM)
    got = user.finish(20)
    assert got.exit_code == 130 and "stopped by SIGTERM" in got.verdict
    assert user.modes() == before


@pytest.mark.bochs
def test_bochs_boots_to_power_off(run):
    got = run(**BOCHS, guest_run="grep -w vmx /proc/cpuinfo > /tmp/x && echo vmx is here")
    check_powered_off(got, 0)
    assert "\nvmx is here\n" in got.serial
    assert got.stats["engine"] == "bochs" and got.stats["cpu"] == "corei7_haswell_4770"
    assert (got.out / "bochs.log").stat().st_size < 11 << 20


@pytest.mark.bochs
def test_bochs_shell_and_exit(terminal):
    user = terminal(**BOCHS)
    user.read_until("guest# ", 300)
    user.type("echo answer-$((40+2))\r")
    user.read_until("^answer-42$", 30)
    user.type("exit\r")
    got = user.finish(60)
    assert got.exit_code == 0 and "guest powered off" in got.verdict
