# SPDX-License-Identifier: MIT
"""The exit zoo (tests/payload/zoo, docs/zoo.md): every basic exit reason on every model with VMX, in both
paging modes. ZOO_UPDATE=1 writes down what is expected instead (`make zoo-expected`)."""

import os
import re
import subprocess

import pytest
from conftest import BUILD, ROOT

from tallyvisor import exit_reasons
from zoo import page, results

ELF = BUILD / "payload" / "zoo.elf"
UPDATE = bool(os.environ.get("ZOO_UPDATE"))

# The paging modes: Penryn has no EPT.
MODELS = {
    "core2_penryn_t9600": ["shadow"],
    "corei5_lynnfield_750": ["ept", "shadow"],
    "corei7_haswell_4770": ["ept", "shadow"],
    "corei7_skylake_x": ["ept", "shadow"],
    "corei7_icelake_u": ["ept", "shadow"],
    "tigerlake": ["ept", "shadow"],
}

# Where Bochs 2.7 departs from the SDM (docs/hacking.md).
XSETBV, INVPCID = "55 XSETBV: XSETBV in ring 3 exits", "58 INVPCID: INVPCID in ring 3 exits"
DEPARTURES = {
    "core2_penryn_t9600": ["50 INVEPT: it exits on a processor without it",
                           "53 INVVPID: it exits on a processor without it", XSETBV],
    "corei5_lynnfield_750": [],
    "corei7_haswell_4770": [XSETBV, INVPCID],
    "corei7_skylake_x": [XSETBV, INVPCID],
    "corei7_icelake_u": [XSETBV, INVPCID],
    "tigerlake": [XSETBV, INVPCID],
}


def boot(run, model, modes, options=""):
    return run(paging="compare" if len(modes) > 1 else modes[0], engine="bochs", cpu=model,
               timeout=300, mem=64, kernel=ELF, options=f"zoo=1 poll_ms=0 {options}".strip())


@pytest.mark.bochs
@pytest.mark.parametrize("model", MODELS)
def test_every_reason_on_every_model(run, model):
    got = boot(run, model, MODELS[model])
    tables = results.parse(got.serial)
    assert [one.mode for one in tables] == MODELS[model]
    for one in tables:
        assert one.failures == []
        assert set(one.outcomes) == set(exit_reasons.names())
        assert one.sum[0] + one.sum[2] == len(exit_reasons.names()) and one.sum[1] == 0
        assert one.departures == DEPARTURES[model]
        assert max(len(line) for line in one.lines.values()) <= 80
    if UPDATE:
        results.remember(model, tables)
    for one in tables:
        want = results.expected()[model][one.mode]
        assert {str(nr): outcome for nr, outcome in one.outcomes.items()} == want
    assert [(one["outcome"], one["exit_code"]) for one in got.stats["runs"]] == [
        ("debug-exit", 0)] * len(tables)


@pytest.mark.bochs
def test_it_says_what_it_needs(run):
    """One boot: without zoo=1. Neither table nor PASS."""
    got = run(paging="ept", engine="bochs", timeout=300, mem=64, kernel=ELF, options="poll_ms=0")
    assert got.exit_code == 1 and got.last_run["exit_code"] == 0xfe
    assert "write zoo=1 on its line" in got.serial and "PASS" not in got.serial


def test_all_that_can_be_raised_is_raised_somewhere():
    """What no model here raises, in no mode, is this list and no longer."""
    whole = results.expected()
    assert list(whole) == list(MODELS)
    seen = {int(nr) for modes in whole.values() for outcomes in modes.values()
            for nr, outcome in outcomes.items() if outcome == results.PASS}
    never = {name for nr, name in exit_reasons.names().items() if nr not in seen}
    assert never == {
        "INIT_SIGNAL", "SIPI", "IO_SMI", "OTHER_SMI", "RSM", "ENTRY_FAIL_MACHINE_CHECK", "ENCLS",
        "PCONFIG", "UMWAIT", "TPAUSE", "LOADIWKEY", "ENCLV", "ENQCMD_PASID", "ENQCMDS_PASID",
        "BUS_LOCK", "NOTIFY", "SEAMCALL", "TDCALL", "RDMSRLIST", "WRMSRLIST", "URDMSR", "UWRMSR",
        "RDMSR_IMM", "WRMSRNS_IMM"}


def test_the_page_has_the_tables():
    assert page.PAGE.read_text() == page.write(), "run make zoo-expected, or python3 -m zoo.page"


def test_every_reason_has_a_case_with_a_comment():
    """The linker misses a case, too; docs/exits.md tells by the comment how a reason is raised."""
    text = "\n".join(path.read_text() for path in (ROOT / "tests/payload/zoo").glob("*.c"))
    made = re.findall(r"\*/\n(?:void zoo_(\w+)\(void\)\n|"
                      r"(?:PLAIN_CASE|(?:NO|NEWER)_INSTRUCTION|BY_ITSELF)\((\w+),)", text)
    assert sorted(filter(None, sum(made, ()))) == sorted(exit_reasons.names().values())


TEXT = """\
zoo: every basic exit reason, with paging=ept, on Some Processor
PASS  10 CPUID                    rings 0 and 3
DEPARTS  12 HLT: this and that
n/a   17 RSM                      only in SMM
FAIL  18 VMCALL: VMCALL, ring 0: 0 exits 18 VMCALL, not 1
zoo: 1 PASS, 1 FAIL, 1 n/a (ept, Some Processor)
"""


def test_lines_are_understood():
    one, = results.parse("something else\n" + TEXT)
    assert (one.mode, one.processor, one.sum) == ("ept", "Some Processor", (1, 1, 1))
    assert one.outcomes == {10: "PASS", 17: "n/a only in SMM"}
    assert one.failures == ["FAIL  18 VMCALL: VMCALL, ring 0: 0 exits 18 VMCALL, not 1"]
    assert one.departures == ["12 HLT: this and that"]


@pytest.mark.parametrize("words, message", [
    (["--paging=bare"], "without Tallyvisor nothing exits"),
    (["--options=dirty=1 zoo=0"], "OPTIONS=zoo=0: the zoo needs zoo=1"),
    (["--options=leaves=2022"], "OPTIONS=leaves=2022: "),
    (["--engine=bochs", "--cpu=nonsense"], "CPU=nonsense: Bochs knows "),
])
def test_usage(words, message, tmp_path):
    """One line, of what was wrong: nothing of a log that is not there, or is an older run's."""
    done = subprocess.run(["python3", "-B", "-m", "zoo", "--build", BUILD, "--out", tmp_path, *words],
                          cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
                          capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1
