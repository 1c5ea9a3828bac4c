# SPDX-License-Identifier: MIT
"""watchdog= in boots: guests that make no progress, or no sound, and what is said of them; and the
flight recorder, which every crash shows."""

import re

import pytest
from conftest import BUILD

from tallyvisor import trace

pytestmark = pytest.mark.bochs

ELF = BUILD / "payload" / "watchdog.elf"
RECORDER = 4096


def recorder(got, number):
    """The recorder as run `number` left it."""
    one, = [one for one in trace.read((got.out / "serial.log").read_bytes().split(b"\n"))
            if one.run == number]
    assert one.problems == [] and one.occasion == "crash"
    return one


def test_no_progress(run):
    got = run(paging="compare", engine="bochs", timeout=300, mem=64, kernel=ELF,
              options="watchdog=1 poll_ms=0")
    # What waits is left alone, as long as it should be.
    assert re.findall("^(?:PASS|FAIL) .*$", got.serial, re.MULTILINE) == [
        f"PASS {name}" for name in ("interrupts", "halted", "heartbeat", "counting")]
    assert [(one["paging"], one["outcome"]) for one in got.stats["runs"]] == [
        ("ept", "watchdog"), ("shadow", "watchdog")]
    assert got.exit_code == 1
    assert re.search(r"guest ended by watchdog: no progress for 1\.\d seconds: ", got.messages)

    stuck = re.findall(r"^tallyvisor: watchdog: no progress for 1\.\d seconds: .*, at ([0-9a-f]{16}), "
                       r"(\d+) times by now, with exit reason (\d+) \((\w+)\)$",
                       got.serial, re.MULTILINE)
    assert [(reason, name) for _, _, reason, name in stuck] == [
        ("10", "CPUID"), ("0", "EXCEPTION_NMI")]
    causes = re.findall("^tallyvisor: watchdog: usually this is: (.*)$", got.serial, re.MULTILINE)
    assert "nothing interrupts the loop" in causes[0] and "a device's memory" in causes[1]
    # The instruction, and who did it for how long.
    codes = re.findall("^tallyvisor:   code at rip: ((?:[0-9a-f]{2} ?)+)$", got.serial, re.MULTILINE)
    assert len(codes) == 2 and codes[0].startswith("eb ")  # behind CPUID: jmp
    for number, (rip, times, reason, _) in enumerate(stuck, 1):
        one = recorder(got, number)
        assert int(times) >= RECORDER and len(one.records) == RECORDER
        looks = [record for record in one.records if record.basic in (1, 52)]
        assert len(looks) <= 2
        assert {(record.rip, record.basic) for record in one.records if record not in looks} == {
            (int(rip, 16), int(reason))}
    stats = got.stats["runs"][1]
    assert recorder(got, 2).records[-1].number == stats["exits_total"] - 1


def test_no_heartbeat(run):
    """A guest without exits, whose interrupts are off."""
    got = run(paging="ept", engine="bochs", timeout=200, mem=64, kernel=ELF,
              cmdline="at-once silence", options="watchdog=1 poll_ms=0")
    assert got.last_run["outcome"] == "watchdog" and got.exit_code == 1
    said = re.findall("^tallyvisor: watchdog: (.*)$", got.serial, re.MULTILINE)
    assert re.fullmatch(r"no heartbeat for 1\.\d seconds, where the guest promised one every 1\.0: "
                        r"1 came, the last in second 0\.0 of its time", said[0])
    rip, = re.findall("^tallyvisor:   rip ([0-9a-f]{16}) ", got.serial, re.MULTILINE)
    assert f"found it at {rip}" in said[1]
    assert "interrupts off" in said[-1]
    assert "tallyvisor:   code at rip: eb fe" in got.serial
    # Fewer exits than the recorder holds: all of the run is there.
    one = recorder(got, 1)
    assert [record.number for record in one.records] == list(range(got.last_run["exits_total"]))
