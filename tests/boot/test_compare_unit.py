# SPDX-License-Identifier: MIT
"""What `make compare` and PAGING=compare are made of, without an emulator."""

import io
import json
import subprocess
import sys

import pytest

from bench import compare, jobs, machines, results, table
from conftest import ROOT
from tallyvisor import cli, comparison, outcome, paging, program
from tallyvisor.errors import UsageError
from tallyvisor.session import Result

LINES = """\
compare: run 1 ept ended poweroff code 0, run 2 shadow ended poweroff code 0
 nr reason             exits ept    shadow difference  ratio   cycles ept       shadow    difference  ratio
  0 EXCEPTION_NMI              0     40845     +40845      -            0     81234567     +81234567      -
  - ticks                      -         -          -      -    620605334    701234567     +80629233   1.13
  - to-cr3                     0      2020      +2020      -            -            -             -      -
shadow compare: faults 40845 fills 30000
compare: done
"""


def on_the_line(text):
    return "".join("tallyvisor: " + line for line in text.splitlines(keepends=True))


def test_the_table_is_found():
    log = "guest\n" + on_the_line(LINES) + "tallyvisor: machine off\n"
    assert comparison.find(log) == LINES.splitlines()
    # The last whole one counts; a guest's line within it makes it none.
    forged = on_the_line(LINES.replace("40845", "1"))
    assert comparison.find(forged + log) == LINES.splitlines()
    assert comparison.find(log.replace("tallyvisor:   - ticks", "  - ticks")) is None
    assert comparison.find(log.replace("compare: done", "compare: don")) is None
    assert comparison.find("") is None


def test_why_there_is_none():
    log = ("tallyvisor: paging=compare: this processor lacks what\nguest: paging=compare: forged\n"
           "tallyvisor: paging=compare: other words\ntallyvisor: machine off\n")
    assert comparison.shown(log) == ["paging=compare: this processor lacks what"]
    assert comparison.shown(log + on_the_line(LINES)) == LINES.splitlines()
    # The hypervisor announces what it will do: that is no reason why it did not.
    announced = "tallyvisor: paging=compare: the guest runs under ept, and when it has ended, anew\n"
    for text in ("tallyvisor: machine off\n", announced):
        with pytest.raises(comparison.Missing, match="printed no comparison"):
            comparison.shown(text)


def test_its_rows():
    assert comparison.rows(LINES.splitlines()) == {
        "EXCEPTION_NMI": comparison.Row(0, (0, 40845), (0, 81234567)),
        "ticks": comparison.Row(None, None, (620605334, 701234567)),
        "to-cr3": comparison.Row(None, (0, 2020), None)}


PRINTER = r"""
#include <stdio.h>
#include "exit_compare.h"
static void put(void *ctx, const char *line) { (void)ctx; fputs(line, stdout); }
int main(void)
{
	static struct exit_run a = { .run = 1, .mode = "ept", .outcome = "poweroff" };
	static struct exit_run b = { .run = 2, .mode = "shadow", .outcome = "poweroff" };
	const struct text_out out = { .prefix = "tallyvisor: ", .puts = put };
	for (u32 nr = 0; nr < NR_EXIT_REASONS; nr++) {
		a.end.stats.count[nr] = 1ull << nr % 64;
		a.end.stats.cycles[nr] = ~0ull >> nr % 64;
		b.end.stats.count[nr] = nr;
	}
	a.end.stats.exceptions[14] = ~0ull;
	b.end.stats.cr_accesses[CR_ACCESS_CLTS] = 9;
	b.has_counters = true;
	exit_compare_print(&a, &b, &out);
	return 0;
}
"""


def test_printer_and_parser_agree(tmp_path):
    (tmp_path / "printer.c").write_text(PRINTER)
    sources = [ROOT / "lib" / f"{name}.c" for name in
               ("exit_compare", "exit_stats", "counts_text", "exit_reasons", "fmt")]
    subprocess.run(["gcc", "-std=gnu17", f"-I{ROOT}", f"-I{ROOT}/include", "-o",
                    tmp_path / "printer", tmp_path / "printer.c", *sources], check=True)
    printed = subprocess.run([tmp_path / "printer"], capture_output=True, text=True, check=True)
    lines = comparison.find(printed.stdout)
    assert len(lines) == len(printed.stdout.splitlines())
    rows = comparison.rows(lines)
    assert rows["#PF"].exits == (2**64 - 1, 0) and rows["clts"].exits == (0, 9)
    assert rows["CPUID"] == comparison.Row(10, (1024, 10), ((2**64 - 1) >> 10, 0))
    assert sum(row.nr is not None for row in rows.values()) > 70
    # Both of these lost 2^64 - 1 cycles; 64 has 63 more exits, 0 one less.
    assert [row.nr for row in rows.values()][:2] == [64, 0]


BARE = """\
bench: begin 2 bare khz 100000 zero 1
bench: phase boot ticks 100000000
bench: phase pipe ticks 10000000
bench: cpuid least 2 mean 3
bench: end
"""


def mode_log(number, word, ticks):
    return (f"tallyvisor: run {number}: paging {word}, vcpus 1, memory 512 MiB\n"
            "bench: begin 2 tallyvisor khz 100000 zero 1\n"
            f"bench: phase boot ticks {ticks} idle 0 exits 2 cycles 30 10=2/30\n"
            "bench: phase pipe ticks 20000000 idle 0 exits 3 cycles 30 10=3/30\n"
            "bench: cpuid least 100 mean 101\nbench: end\n")


LOG = "firmware\n" + mode_log(1, "ept", 101000000) + mode_log(2, "shadow", 150000000)


def test_a_log_falls_into_runs():
    parts = results.split(LOG)
    assert [mode for mode, _ in parts] == ["ept", "shadow"]
    assert "firmware" not in parts[0][1] and "".join(text for _, text in parts) == LOG[9:]
    assert [results.parse(text).phases["boot"].ticks for _, text in parts] == [101000000, 150000000]
    assert results.split("nothing") == []


def test_all_in_one_table():
    modes = {mode: results.parse(text) for mode, text in results.split(LOG)}
    lines = table.side_by_side(results.parse(BARE), modes)
    assert [line.split() for line in lines[3:]] == [
        ["phase", "bare", "ept", "ratio", "exits", "shadow", "ratio", "exits"],
        ["boot", "to", "user", "space", "100.00", "101.00", "1.010", "2", "150.00", "1.500", "2"],
        ["pipe", "ping-pong", "x1000", "10.00", "20.00", "2.000", "3", "20.00", "2.000", "3"],
        ["all", "of", "these", "110.00", "121.00", "1.100", "5", "170.00", "1.545", "5"]]
    assert max(map(len, lines)) < 100


def test_a_jobs_lines():
    job = jobs.Job("compare", [])
    assert job.feed("tallyvisor-run: starting Bo") == [] and job.title() == "compare, firmware"
    assert job.feed("chs\nxyz\n\n") == ["compare, firmware: tallyvisor-run: starting Bochs"]
    assert job.last == "xyz"
    assert job.feed(mode_log(2, "shadow", 7)) == [
        "compare: run 2 begins, paging shadow",
        "compare, shadow: bench: phase boot ticks 7",
        "compare, shadow: bench: phase pipe ticks 20000000"]
    assert job.feed("tallyvisor-run: guest ended by halted: nothing can wake it\n"
                    "tallyvisor-run: under ept the guest ended by halted, exit code 0\n") == []
    assert jobs.status([job], 7.4)[0].startswith("     7 s  compare, shadow: tallyvisor-run: under")
    job.status = 0
    assert jobs.status([job], 7.4) == []


def test_a_bare_kernel_is_no_firmware():
    job = jobs.Job("bare", [])
    job.feed(BARE)
    assert job.title() == "bare, Linux"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminals_last_lines_are_written_over(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    screen = jobs.Screen(out)
    screen.show(["one " * 9, "two"])
    screen.say("event")
    screen.show(["three"])
    assert out.getvalue() == (("one " * 9)[:19] + "\ntwo\n" "\x1b[2A\x1b[J" "event\n" "three\n")


def test_elsewhere_a_long_silence_is_broken(monkeypatch):
    out, now = io.StringIO(), 0
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now)
    screen = jobs.Screen(out)
    now = jobs.PATIENCE_SECONDS - 1
    screen.show(["too early"])
    now = jobs.PATIENCE_SECONDS
    screen.show(["in time"])
    now += 1
    screen.show(["too early"])
    assert out.getvalue() == "in time\n"


def shell(name, script):
    return jobs.Job(name, ["sh", "-c", script])


def test_machines_run_side_by_side(tmp_path):
    """Each waits for the other."""
    fifo = tmp_path / "fifo"
    both = [shell("a", f"mkfifo {fifo}; echo bench: phase x ticks 1 >{fifo}; exit 3"),
            shell("b", f"while ! cat {fifo} 2>/dev/null; do :; done")]
    out = io.StringIO()
    jobs.run(both, jobs.Screen(out))
    assert [job.status for job in both] == [3, 0]
    assert "b, firmware: bench: phase x ticks 1\n" in out.getvalue()


def test_no_machine_is_left_behind(tmp_path, monkeypatch):
    class Broken(jobs.Screen):
        def say(self, text):
            raise KeyboardInterrupt

    ended = tmp_path / "ended"
    script = f"trap 'echo > {ended}; exit' TERM; echo 'bench: phase x'; while :; do sleep 0.1; done"
    with pytest.raises(KeyboardInterrupt):
        jobs.run([shell("a", script)], Broken(io.StringIO()))
    assert ended.exists()


def stats_json(out, *outcomes):
    out.mkdir(exist_ok=True)
    runs = [{"paging": mode, "outcome": word} for mode, word in outcomes]
    (out / "stats.json").write_text(json.dumps({"runs": runs}))


def job_that_ended(status, last):
    return jobs.Job("compare", [], last=f"tallyvisor-run: {last}", status=status)


def test_every_run_must_have_ended_well(tmp_path):
    out = tmp_path / "x"
    with pytest.raises(UsageError, match="^machine compare: no room$"):
        machines.entries(out, job_that_ended(0, "no room"))
    with pytest.raises(UsageError, match="^machine compare: the machine could not be started$"):
        machines.entries(out, jobs.Job("compare", [], status=1))
    stats_json(out, ("ept", "halted"), ("shadow", "poweroff"))
    assert len(machines.entries(out, job_that_ended(1, "guest powered off"))) == 2
    with pytest.raises(UsageError, match="^machine compare: no room$"):  # stats.json is of an earlier run
        machines.entries(out, job_that_ended(program.EXIT_USAGE, "no room"))
    stats_json(out, ("ept", "panic"), ("shadow", "poweroff"))
    with pytest.raises(UsageError, match=r"^machine compare: under ept: the guest ended by panic; see \S+/serial.log$"):
        machines.entries(out, job_that_ended(1, "guest powered off"))
    stats_json(out, ("ept", "halted"), ("shadow", "panic"))
    with pytest.raises(UsageError, match=r"^machine compare: under shadow: guest kernel panicked: x; see"):
        machines.entries(out, job_that_ended(1, "guest kernel panicked: x"))


def test_what_is_judged_at_a_machines_end_ends_the_others(tmp_path):
    """Without waiting for them."""
    def judge(job):
        raise UsageError(f"{job.name} is lost")

    with pytest.raises(UsageError, match="a is lost"):
        jobs.run([shell("a", "exit 4"), shell("b", f"trap 'echo >{tmp_path}/ended; exit' TERM; "
                                              "while :; do sleep 0.1; done")],
                 jobs.Screen(io.StringIO()), judge)


@pytest.fixture
def make_compare(tmp_path, monkeypatch):
    """make_compare(text): with a runner that leaves what machines would, `text` at the end."""
    return lambda text: compare_with(tmp_path, monkeypatch, text)


def compare_with(tmp_path, monkeypatch, text):
    runner = tmp_path / "tools" / "tallyvisor-run"
    runner.parent.mkdir()
    runner.write_text(f"""#!{sys.executable}
import json, pathlib, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out, mode = pathlib.Path(words["--out"]), words["--paging"]
log = {{"bare": {BARE!r}, "compare": {LOG + text!r}}}[mode]
(out / "serial.log").write_text(log.replace("\\n", "\\r\\n"))
modes = ["bare"] if mode == "bare" else ["ept", "shadow"]
(out / "stats.json").write_text(json.dumps(
    {{"runs": [{{"paging": one, "outcome": "halted"}} for one in modes]}}))
print("bench: phase boot ticks 5")
sys.exit(1)
""")
    runner.chmod(0o755)
    program = tmp_path / "bench" / "guest" / "bench"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"program")
    (tmp_path / "kernel").write_bytes(bytes(0x1FE) + b"\x55\xaa\0\0HdrS" + bytes(0x400))
    monkeypatch.setattr(machines, "ROOT", tmp_path)
    monkeypatch.setattr(machines, "find_kernel", lambda *_: tmp_path / "kernel")
    return compare.compare(compare.parser().parse_args(["--build", str(tmp_path)]))


def test_make_compare_from_the_machines_to_the_tables(make_compare, tmp_path, capsys):
    assert make_compare(on_the_line(LINES)) == 0
    said = capsys.readouterr()
    assert "boot to user space         100.00    101.00  1.010       2    150.00  1.500" in said.out
    assert LINES in said.out and "All figures: " in said.out
    assert "bare, firmware: bench: phase boot ticks 5\n" in said.err
    written = json.loads((tmp_path / "compare" / "compare.json").read_text())
    assert list(written["runs"]) == ["bare", "ept", "shadow"]
    assert written["runs"]["shadow"]["phases"]["boot"]["ticks"] == 150000000
    assert written["runs"]["ept"]["whole_run"]["paging"] == "ept"


def test_make_compare_without_a_comparison(make_compare, capsys):
    with pytest.raises(UsageError, match="the hypervisor printed no comparison; see "):
        make_compare("tallyvisor: machine off\n")


def test_make_compare_on_a_processor_without_ept(make_compare, capsys):
    line = "paging=compare: this processor lacks what paging=ept requires"
    assert make_compare(f"tallyvisor: {line}\n") == 0
    assert f"\n{line}\n" in capsys.readouterr().out


def ended(mode, word, code=0):
    return outcome.Run(mode, 1, 64, outcome=word, exit_code=code)


def test_a_comparison_is_good_where_every_mode_ended_well():
    mode = paging.find("compare")
    good = [ended("ept", "poweroff"), ended("shadow", "poweroff")]
    assert cli.spoilt(mode, good) is None
    assert cli.spoilt(mode, [ended("ept", "reset")] + good) is None  # it began anew
    assert cli.spoilt(mode, [ended("shadow", "debug-exit")]) is None
    first = ended("ept", "debug-exit", 3)
    assert cli.spoilt(mode, [first, good[1]]) is first
    assert cli.spoilt(paging.find("ept"), [first]) is None
    watch = outcome.Watch(True)
    off = Result("poweroff", "", 1)
    assert cli.exit_status(off, watch, None) == 0
    assert cli.exit_status(off, watch, first) == 1
    assert cli.exit_status(Result("timeout", "", 1), watch, first) == 3


def test_a_refused_comparison_is_not_spoilt_besides():
    assert cli.spoilt(paging.find("compare"), [ended("compare", "refused", None)]) is None


def test_make_run_without_a_comparison(tmp_path):
    mode, log = paging.find("compare"), tmp_path / "serial.log"
    log.write_text("tallyvisor: run 1: paging ept, vcpus 1, memory 512 MiB\n")
    assert cli.uncompared(mode, log) == "the hypervisor printed no comparison"
    assert cli.uncompared(paging.find("ept"), log) == ""
    log.write_bytes(on_the_line(LINES).replace("\n", "\r\n").encode())
    assert cli.uncompared(mode, log) == ""


def test_the_modes_are_those_of_the_table():
    mode = paging.find("compare")
    assert mode.compared == tuple(one.word for one in paging.single())
    assert mode.hypervisor and mode not in paging.single()
