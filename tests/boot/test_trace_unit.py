# SPDX-License-Identifier: MIT
"""A trace's way from struct trace_record to a picture, without an emulator: lib/exit_trace.c as a
shared library writes what tools/tallyvisor reads."""

import csv
import ctypes
import io
import json
import random
import re
import subprocess

import pytest
from conftest import ROOT, TOOLS

from tallyvisor import sieve, trace, trace_cli, trace_export
from tallyvisor.errors import UsageError

NR_REASONS = 86


class RecordC(ctypes.Structure):
    _fields_ = [("time", ctypes.c_uint64), ("rip", ctypes.c_uint64), ("qual", ctypes.c_uint64),
                ("cr3", ctypes.c_uint64), ("reason", ctypes.c_uint32), ("cycles", ctypes.c_uint32)]


PUTS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)


class TextOut(ctypes.Structure):
    _fields_ = [("prefix", ctypes.c_char_p), ("puts", PUTS), ("ctx", ctypes.c_void_p)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    target = tmp_path_factory.mktemp("lib") / "trace.so"
    subprocess.run(["gcc", "-std=gnu17", "-shared", "-fPIC", "-O1", "-Iinclude", "-I.", "-o", target,
                    "lib/exit_trace.c", "lib/fmt.c"], cwd=ROOT, check=True)
    return ctypes.CDLL(str(target))


@pytest.fixture
def written(library):
    """written(records, first): the lines that the hypervisor would write."""
    def call(records, first=0):
        lines = []
        out = TextOut(b"tallyvisor: ", PUTS(lambda _, line: lines.append(line)), None)
        writer = ctypes.create_string_buffer(16384)
        library.trace_begin(writer, ctypes.c_uint64(first), ctypes.byref(out))
        for one in records:
            library.trace_put(writer, ctypes.byref(one))
        library.trace_flush(writer)
        return lines
    return call


def framed(lines, first, count, paging="ept", moves=False, totals=None, is_open=0, run=1, why="key"):
    kind = "of-moves" if moves else "of-exits"
    text = [f"run {run}: paging {paging}, cr3 {kind}, tsc 100000000 Hz, cpu A Processor @ 1 GHz",
            f"begin {first} records {count} {why}"]
    tail = [f"end {first + count} open {is_open} cr3 5000"]
    if totals is not None:
        tail += [f"totals {run}:" + "".join(f" {name} {n}" for name, n in totals.items()),
                 f"over {run}: records {sum(totals.values())}"]

    def encode(words):
        return [f"tallyvisor: trace {one}\r\n".encode() for one in words]
    return encode(text) + [line.replace(b"\n", b"\r\n") for line in lines] + encode(tail)


def exits(count, seed=1, wild=False):
    chance = random.Random(seed)
    time, made = 0, []
    for _ in range(count):
        cycles = chance.randrange(1 << 32 if wild else 5000)
        time += cycles + chance.randrange(1 << (40 if wild else 12))
        made.append(RecordC(time, chance.getrandbits(64) if wild else 0xFFFFFFFF81000000 +
                            chance.randrange(50) * 7, chance.getrandbits(64) if wild else chance.choice([0, 3, 0x3FD0008]),
                            chance.choice([0x1000, 0x2000]), chance.choice(
                                [10, 28, 30, 48, 12, 0x80000021 if wild else 1]), cycles))
    return made


@pytest.mark.parametrize("wild", [False, True])
def test_what_was_written_is_read(written, wild):
    made = exits(5000, wild=wild)
    got, = trace.read(framed(written(made, 70000), 70000, 5000))
    assert got.problems == [] and (got.run, got.paging, got.tsc_hz) == (1, "ept", 100000000)
    assert got.cpu == "A Processor @ 1 GHz" and got.occasion == "key"
    assert [one.number for one in got.records] == list(range(70000, 75000))
    for one, want in zip(got.records, made):
        assert (one.end, one.rip, one.qualification, one.cr3, one.reason, one.cycles) == (
            want.time, want.rip, want.qual, want.cr3, want.reason, want.cycles)


def test_it_is_small(written):
    lines = written(exits(4096))
    assert sum(map(len, lines)) < 4096 * 20 and max(map(len, lines)) < 180


def test_a_damaged_line_costs_its_block(written):
    made = exits(300)
    first, second = written(made[:200]), written(made[200:], 200)
    spoilt = bytearray(first[len(first) // 2])
    spoilt[40] ^= 1
    lines = framed(first[:len(first) // 2] + [bytes(spoilt)] + first[len(first) // 2 + 1:], 0, 200)
    lines += framed(second, 200, 100)[1:]
    got, = trace.read(lines)
    assert len(got.problems) == 1 and got.problems[0].startswith("torn: exits ")
    assert [one.number for one in got.records[-100:]] == list(range(200, 300))
    for one in got.records:
        assert one.rip == made[one.number].rip and one.end == made[one.number].time


@pytest.mark.parametrize("leave_out", [0, 3, -1])
def test_a_missing_line_is_noticed(written, leave_out):
    lines = written(exits(300))
    del lines[leave_out]
    got, = trace.read(framed(lines, 0, 300))
    assert len(got.problems) == 1


def test_a_missing_block_is_noticed(written):
    made = exits(300)
    lines = framed(written(made[:100]), 0, 100) + framed(written(made[200:], 200), 200, 100)[1:]
    got, = trace.read(lines)
    assert got.problems == ["exits 100 to 199 are missing"]


def test_totals(written):
    made = [RecordC(1000 * i, 1, 0, 0, 10 if i % 3 else 12, 5) for i in range(1, 31)]
    good, = trace.read(framed(written(made), 0, 30, totals={"CPUID": 20, "HLT": 10}, why="trace"))
    bad, = trace.read(framed(written(made), 0, 30, totals={"CPUID": 19, "HLT": 11}, why="trace"))
    assert good.problems == [] and good.counts() == {"CPUID": 20, "HLT": 10}
    assert len(bad.problems) == 1 and "counted 30 exits" in bad.problems[0]


def test_an_exit_that_ends_the_run_is_not_counted(written):
    """One with a reason that the SDM does not define: nobody has a counter for it."""
    made = [RecordC(1000 * i, 1, 0, 0, 10 if i < 3 else 99, 5) for i in range(1, 4)]
    got, = trace.read(framed(written(made), 0, 3, totals={"CPUID": 2}, is_open=1))
    assert got.problems == [] and len(got.records) == 3


def test_a_panic_writes_again_what_it_interrupts(written):
    made = exits(300)
    lines = framed(written(made[:100]), 0, 100) + framed(written(made[100:], 100), 100, 200)[1:-2]
    lines += framed(written(made[100:], 100), 100, 200, why="panic")[1:]
    got, = trace.read(lines)
    assert got.problems == [] and [one.number for one in got.records] == list(range(300))


@pytest.mark.parametrize("before", [b"tsc ", b"run ", b"begin ", b"CPUID ", b"end "])
@pytest.mark.parametrize("number", [b"0", b"9" * 5000], ids=["zero", "digits"])
def test_numbers_that_cannot_be(written, before, number):
    """Zero hertz, and more digits than Python makes an int of: nothing of it is a traceback."""
    made = [RecordC(1000 * i, 1, 0, 0, 10, 5) for i in range(1, 6)]
    clean = b"".join(framed(written(made), 0, 5, totals={"CPUID": 5}))
    spoilt = re.sub(before + rb"\d+", before + number, clean)
    assert spoilt != clean or (before, number) == (b"begin ", b"0")
    for one in trace.read((clean + spoilt).splitlines()):
        trace_export.write_json([one], trace_export.Symbols(), io.StringIO())


def test_rubbish_is_no_reason_to_stop(written):
    chance = random.Random(3)
    clean = b"".join(framed(written(exits(200)), 0, 200, totals={"CPUID": 1}))
    for _ in range(300):
        data = bytearray(clean)
        for _ in range(chance.randrange(1, 30)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        for one in trace.read(bytes(data).split(b"\n")):
            assert one.problems  # the totals are wrong in the first place
            list(trace_export.summary(one, trace_export.Symbols()))


def test_a_log_that_was_cut_off_says_so(written):
    """Wherever it is: the exits that are missing are not those of a line that is not whole."""
    made = exits(300)
    names = {10: "CPUID", 28: "CR_ACCESS", 30: "IO_INSTRUCTION", 48: "EPT_VIOLATION", 12: "HLT",
             1: "EXTERNAL_INTERRUPT"}
    totals = {name: sum(one.reason == nr for one in made) for nr, name in names.items()}
    lines = framed(written(made), 0, 300, totals=totals, why="trace")
    whole, = trace.read(lines)
    assert whole.problems == []
    for end in range(2, len(lines)):
        got, = trace.read(lines[:end])
        text, = got.problems
        assert len(got.records) == 300 or f"exits {len(got.records)} to 299 are missing" in text
    # The next run does not hide it.
    first, second = trace.read(lines[:5] + lines)
    assert len(first.problems) == 1 and second.problems == []


FORGED = [b"run 1: paging ept, cr3 of-exits, tsc 0 Hz, cpu X",
          b"run 1: paging ept, cr3 of-exits, tsc 1" + b"0" * 400 + b" Hz, cpu X",
          b"run " + b"1" * 5000 + b": paging ept, cr3 of-exits, tsc 1 Hz, cpu X",
          b"run 1: paging \xc3\xa9pt, cr3 of-exits, tsc 1 Hz, cpu X",
          b"run 1: paging ept, cr3 of-exits, tsc 1 Hz, cpu \x1b]0;x\x07",
          b"totals 1: CPUID " + b"9" * 5000, b"over 1: records " + b"9" * 5000,
          b"begin 0 records " + b"9" * 5000 + b" trace", b"begin 0 records 1 \x1b[2J",
          b"end 1 open 0 cr3 " + b"f" * 5000, b"9" * 5000 + b" AAAA 1234"]


@pytest.mark.parametrize("number", range(len(FORGED)))
def test_what_no_hypervisor_writes_is_no_trace(written, number, tmp_path):
    """The guest prints on the same line. Its lines are torn ones, and nothing else of theirs, such
    as an escape sequence, is shown."""
    line = b"tallyvisor: trace " + FORGED[number] + b"\r\n"
    lines = framed(written(exits(5)), 0, 5)
    (tmp_path / "serial.log").write_bytes(b"".join(lines[:1] + [line] + lines[1:] + [line]))
    got = subprocess.run([TOOLS / "tallyvisor-trace", tmp_path, "--summary", "--json=-", "--csv",
                          tmp_path / "t.csv"], capture_output=True)
    assert got.returncode == trace_cli.EXIT_TORN and b"Traceback" not in got.stderr
    assert got.stderr.count(b"a line that is torn: ") == 2 and b"\x1b" not in got.stdout + got.stderr
    assert b"5 exits that the recorder held" in got.stdout
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 6


def test_a_log_of_rubbish_has_a_short_answer(written):
    lines = framed(written(exits(5)), 0, 5) + [b"tallyvisor: trace rubbish\n"] * 10000
    got, = trace.read(lines + lines[:1] * 10000)
    assert len(got.said()) == trace.PROBLEMS_MAX + 1 and got.said()[-1].startswith("and 9980 more")


def test_the_guests_cr3_on_page_tables_of_the_hypervisors(written):
    """Only a MOV to CR3 has a value, the one that it replaced."""
    made = [RecordC(100 * i, 1, 3 if i in (3, 6) else 0, {3: 0xA000, 6: 0xB000}.get(i, 0),
                    28 if i in (3, 6) else 10, 5) for i in range(1, 9)]
    lines = framed(written(made[:4]), 0, 4, "shadow", moves=True)
    lines[-1] = lines[-1].replace(b"cr3 5000", b"cr3 b000")
    lines += framed(written(made[4:], 4), 4, 4)[1:]
    got, = trace.read(lines)
    assert [one.cr3 for one in got.records] == [0xA000] * 3 + [0xB000] * 3 + [0x5000] * 2


def test_an_exit_that_was_not_over(written):
    got, = trace.read(framed(written(exits(10)), 0, 10, is_open=1, why="crash"))
    assert [one.open for one in got.records] == [False] * 9 + [True] and got.occasion == "crash"


@pytest.mark.parametrize("reason, qualification, text", [
    (28, 0x3, "MOV to CR3"), (28, 0x18, "MOV from CR8"), (28, 0x20, "CLTS"), (28, 0x30, "LMSW"),
    (30, 0x03FD0008, "in 0x3fd 1 byte"), (30, 0xCF80003, "out 0xcf8 4 bytes"),
    (30, 0x1F00039, "rep in 0x1f0 2 bytes"), (48, 0x181, "read-unmapped"),
    (48, 0x18A, "write-forbidden"), (48, 0x81, "walk-read-unmapped"), (12, 500, "slept 500 ticks"),
    (9, 0x40000028, "IRET to 0x28"), (44, 0x1080, "write register 0x80"), (10, 0, ""),
    (29, 0x17, "MOV from DR7"),
])
def test_qualifications(reason, qualification, text):
    one = trace.Record(0, 0, 0, reason, 0, qualification, 0)
    assert trace.qualification_text(one) == text


def check_trace_event_format(document):
    """What "Trace Event Format" (the Chromium project) demands of these kinds of events."""
    assert isinstance(document["traceEvents"], list) and document["displayTimeUnit"] in ("ms", "ns")
    before, ends = 0, {}
    for event in document["traceEvents"]:
        assert {"name", "ph", "pid", "ts"} <= set(event) and isinstance(event["name"], str)
        assert event["ts"] >= before, "ts ascend"
        before = event["ts"]
        if event["ph"] == "X":
            assert event["dur"] >= 0 and event["tid"] in (1, 2)
            track = event["pid"], event["tid"]
            assert event["ts"] >= ends.get(track, 0) - 1e-3 - event["ts"] * 1e-15, "overlap"
            ends[track] = event["ts"] + event["dur"]
        elif event["ph"] == "C":
            assert all(isinstance(value, int) and value >= 0 for value in event["args"].values())
        else:
            assert event["ph"] == "M" and event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)


@pytest.mark.parametrize("wild", [False, True])
def test_json(written, wild):
    made = exits(2000, wild=wild)
    traces = trace.read(framed(written(made), 0, 2000) +
                        framed(written(exits(100, 7)), 0, 100, "shadow", run=2))
    out = io.StringIO()
    trace_export.write_json(traces, trace_export.Symbols(), out)
    document = json.loads(out.getvalue())
    check_trace_event_format(document)
    found = [one for one in document["traceEvents"] if one["ph"] == "X" and one["cat"] == "exit"]
    assert len(found) == 2100 and {one["pid"] for one in found} == {1, 2}
    # A counter says how many began in each millisecond: all of them.
    level, at, counted = {}, {}, 0
    for event in document["traceEvents"]:
        if event["ph"] == "C" and event["pid"] == 2:
            key = event["name"]
            counted += level.get(key, 0) * round((event["ts"] - at.get(key, 0)) / 1000)
            level[key], at[key] = event["args"]["exits"], event["ts"]
    last = max(one["ts"] for one in document["traceEvents"] if one["ph"] == "C" and one["pid"] == 2)
    counted += sum(n * (round((last - at[key]) / 1000) + 1) for key, n in level.items())
    assert counted == 100


def test_time_asleep_is_nobodys(written):
    """The guest ran 1000 ticks, HLT exited, the processor slept 4000, and 500 were its cycles."""
    made = [RecordC(1500, 1, 0, 0, 10, 500), RecordC(7000, 2, 4000, 0, 12, 500)]
    events = trace_export.chrome_events(trace.read(framed(written(made), 0, 2)),
                                        trace_export.Symbols())
    spans = [(one["name"], one["ts"], one["dur"]) for one in events if one["ph"] == "X"]
    assert spans == [("CPUID", 10, 5), ("guest", 15, 10), ("idle", 25, 40), ("HLT", 65, 5)]


def test_symbols(tmp_path):
    map_file = tmp_path / "System.map"
    map_file.write_text("0000000000000000 D fixed_percpu_data\nffffffff81000000 T _text\n"
                        "ffffffff81000040 t secondary\nffffffff81000040 T alias\n"
                        "ffffffff82000000 D data\n")
    symbols = trace_export.Symbols.load(str(map_file))
    assert symbols.name(0xFFFFFFFF81000000) == "_text"
    assert symbols.name(0xFFFFFFFF81000013) == "_text+0x13"
    assert symbols.name(0xFFFFFFFF81000041).startswith(("secondary", "alias"))
    assert symbols.name(0x400000) == "" and symbols.name(0xFFFFFFFFC0000000) == ""
    map_file.write_text("not a map\n")
    with pytest.raises(UsageError):
        trace_export.Symbols.load(str(map_file))


def test_the_tool(written, tmp_path):
    made = [RecordC(1000 * i, 0x1234, 0, 0x7000, 10, 100) for i in range(1, 6)]
    (tmp_path / "serial.log").write_bytes(b"firmware\r\n" + b"".join(
        framed(written(made), 0, 5, totals={"CPUID": 5}, why="trace")))

    def tool(*words):
        return subprocess.run([TOOLS / "tallyvisor-trace", *words], capture_output=True, text=True)
    shown = tool(tmp_path, "--json", tmp_path / "t.json", "--csv", tmp_path / "t.csv", "--summary")
    assert shown.returncode == 0 and "5 exits of the run" in shown.stdout
    assert "CPUID                           5          500     100  0x1234 5" in shown.stdout
    check_trace_event_format(json.loads((tmp_path / "t.json").read_text()))
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert (rows[0]["us"], rows[0]["name"], rows[0]["cr3"]) == ("9.000", "CPUID", "0x7000")
    assert tool(tmp_path, "--run=2").returncode == 2
    (tmp_path / "serial.log").write_bytes(b"".join(framed(written(made)[:0], 0, 5)))
    torn = tool(tmp_path)
    assert torn.returncode == trace_cli.EXIT_TORN and "exits 0 to 4 are missing" in torn.stderr
    (tmp_path / "serial.log").write_bytes(b"nothing\n")
    none = tool(tmp_path)
    assert none.returncode == 2 and "trace=1" in none.stderr


def test_what_cannot_be_written(written, tmp_path):
    made = [RecordC(1000 * i, 0x1234, 0, 0x7000, 10, 100) for i in range(1, 6000)]
    (tmp_path / "serial.log").write_bytes(b"".join(framed(written(made), 0, 5999)))
    tool = [TOOLS / "tallyvisor-trace", tmp_path]

    def said(*words, **more):
        got = subprocess.run([*tool, *words], stderr=subprocess.PIPE, text=True, **more)
        return got.returncode, got.stderr
    assert said("--json=/dev/full") == (2, "tallyvisor-trace: /dev/full: No space left on device: "
                                        "make room, or write to another place\n")
    with open("/dev/full", "w") as full:
        status, text = said(stdout=full)
    assert status == 2 and text.startswith("tallyvisor-trace: standard output: No space left")
    status, text = said(f"--csv={tmp_path}/none/t.csv")
    assert status == 2 and "none/t.csv: No such file or directory" in text
    # Whoever reads it has had enough: that is no mistake of anybody's.
    with subprocess.Popen([*tool, "--csv=-"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as one:
        assert one.stdout.readline().startswith(b"run,paging,")
        one.stdout.close()
        assert one.stderr.read() == b"" and one.wait() == 128 + 13


BLOCK = b"tallyvisor: trace begin 0 records 1 trace\r\ntallyvisor: trace 0 AAAA 1234\r\n"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("impatient", [False, True])
def test_the_sieve(chunk, impatient):
    data = (b"hello wor\r\r\n" + BLOCK + b"ld\r\n" + BLOCK + b"tallyvisor: run 1\r\ntally\r\n" + BLOCK +
            b"x\r\r\r\ny\r\r\ntallyvisor: tra\r\n\r\r\n" + BLOCK)
    want = (b"hello world\r\ntallyvisor: run 1\r\ntally\r\nx\r\r\r\ny\r\r\ntallyvisor: tra\r\n")
    one, rest, taken, shown = sieve.Sieve(), b"", b"", b""
    for at in range(0, len(data), chunk):
        text, lines = one.feed(data[at:at + chunk])
        rest, taken, shown = rest + text, taken + lines, shown + text[one.skip:]
        if impatient:
            shown += one.early()
    text = one.finish()
    rest, shown = rest + text, shown + text[one.skip:]
    assert rest == want and taken == 4 * BLOCK
    # An impatient eye sees beginnings of lines that were taken out, and all of the rest.
    assert impatient or shown == want


def test_the_sieve_shows_a_prompt():
    one = sieve.Sieve()
    assert one.feed(b"# t") == (b"# t", b"")
    assert one.feed(b"\r\nt") == (b"\r\n", b"") and one.early() == b"t" and one.early() == b""
    text, _ = one.feed(b"est\r\n")
    assert text == b"test\r\n" and text[one.skip:] == b"est\r\n"


@pytest.mark.parametrize("chunk", [100, 100000])
def test_the_sieve_does_not_wait_for_ever(chunk):
    """A guest begins a line of a trace and does not end it."""
    one, rest, shown = sieve.Sieve(), b"", b""
    data = BLOCK + trace.PREFIX + b"x" * 5000
    for at in range(0, len(data), chunk):
        text, lines = one.feed(data[at:at + chunk])
        rest, shown = rest + text, shown + text[one.skip:] + one.early()
    assert rest == data[len(BLOCK):] and rest in shown
