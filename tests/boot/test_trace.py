# SPDX-License-Identifier: MIT
"""trace=1 in a boot: every exit is written, and nothing of what the guest says is lost by it."""

import json

import pytest
from conftest import BUILD

from tallyvisor import sieve, trace, trace_export
from test_trace_unit import check_trace_event_format

pytestmark = pytest.mark.bochs

ELF = BUILD / "payload" / "trace.elf"
RECORDER = 4096
LINE = ("the quick brown fox jumps over the lazy dog, whatever is written in between, and this line "
        "remains one line")


def test_every_exit_in_both_modes(run, tmp_path):
    got = run(paging="compare", engine="bochs", timeout=200, mem=64, kernel=ELF,
              options="trace=1 poll_ms=0")
    assert got.exit_code == 0
    raw = (got.out / "serial.log").read_bytes()
    traces = trace.read(raw.split(b"\n"))
    assert [(one.run, one.paging, one.occasion) for one in traces] == [
        (1, "ept", "trace"), (2, "shadow", "trace")]
    for one, stats in zip(traces, got.stats["runs"]):
        counted = {row["name"]: row["count"] for row in stats["reasons"]}
        assert one.problems == [] and one.counts() == counted
        assert [record.number for record in one.records] == list(range(stats["exits_total"]))
        assert len(one.records) > 2 * RECORDER
        # What was counted is what was written, cycles and time, too.
        for row in stats["reasons"]:
            mine = [record.cycles for record in one.records if record.name == row["name"]]
            assert (sum(mine), min(mine), max(mine)) == (row["cycles"], row["least"], row["most"])
        assert one.records[-1].end <= stats["ticks"]
        ends = [record.end for record in one.records]
        assert all(before < record.begin for before, record in zip(ends, one.records[1:]))
        # The guest's clock stood still while a block was written: a line of it takes 10 ms.
        assert stats["ticks"] < one.tsc_hz * 0.1
    # The page tables are the guest's in both, also where the processor's are not.
    entered = [{record.cr3 for record in one.records[-RECORDER:]} for one in traces]
    assert entered[0] == entered[1] and len(entered[0]) == 1
    writes = [record for record in traces[1].records
              if trace.qualification_text(record) == "MOV to CR3" and record.cr3]
    assert len(writes) == 3

    # The guest's line was cut by a block, and nobody sees it.
    assert got.shown.count(LINE + "\n") == 2 and got.shown.count("PASS many-exits") == 2
    assert LINE.encode() not in raw and raw.count(sieve.CUT + trace.PREFIX) >= 2
    assert "tallyvisor: trace " not in got.shown
    lines = b"".join(line + b"\n" for line in raw.split(b"\n") if line.startswith(trace.PREFIX))
    assert (got.out / "trace.log").read_bytes() == lines
    assert f"tallyvisor-trace {got.out}" in got.messages

    with (tmp_path / "trace.json").open("w") as out:
        trace_export.write_json(traces, trace_export.Symbols(), out)
    check_trace_event_format(json.loads((tmp_path / "trace.json").read_text()))
