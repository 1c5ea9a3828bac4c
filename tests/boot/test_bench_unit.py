# SPDX-License-Identifier: MIT
"""The bench's pure parts: its lines, its tables, the small kernel's configuration."""

import json
import zlib

import pytest

import conftest
from bench import initrd, results, smallkernel, table
from tallyvisor import paging

BARE = """\
GRUB says something
bench: phase early ticks 1
bench: begin 2 bare khz 100000 zero 1059633992\r
bench: phase boot ticks 129668220\r
bench: phase compute ticks 50000000\r
[    1.0] a kernel message\r
bench: cpuid least 2 mean 3\r
bench: end\r
bench: phase late ticks 1
"""
EPT = """\
bench: begin 2 tallyvisor khz 100000 zero 102818609
bench: phase boot ticks 130072958 idle 7 exits 4 cycles 1000 10=3/600 48=1/400
bench: phase compute ticks 51500000 idle 0 exits 2 cycles 500000 52=2/500000
bench: cpuid least 372 mean 375
bench: end
"""
WHOLE = {"exits_total": 17149, "cycles_total": 8676732,
         "reasons": [{"nr": 10, "name": "CPUID", "count": 13266, "cycles": 3543256}]}
KVM = json.loads((conftest.TOOLS / "bench" / "kvm.json").read_text())


def test_parse_bare():
    got = results.parse(BARE)
    assert (got.hypervisor, got.tsc_khz, got.zero) == (False, 100000, 1059633992)
    assert list(got.phases) == ["boot", "compute"]  # nothing from before the beginning or the end
    assert got.phases["boot"] == results.Phase(129668220)
    assert (got.cpuid_least, got.cpuid_mean) == (2, 3)


def test_parse_hypervisor():
    got = results.parse(EPT)
    assert got.hypervisor
    assert got.phases["boot"] == results.Phase(
        130072958, 7, 4, 1000,
        {"CPUID": results.Reason(3, 600), "EPT_VIOLATION": results.Reason(1, 400)})


@pytest.mark.parametrize("text,words", [
    ("", "did not begin"),
    (BARE.replace("bench: end", "bench: en"), "did not end; done: boot, compute"),
    (BARE.replace("bench: begin 2", "bench: begin 3"), "format 3"),
    ("bench: failed: mmap: Cannot allocate memory\n" + BARE, "mmap: Cannot allocate"),
    (EPT.replace("exits 4", "exits 5"), "damaged"),
    (EPT.replace("cycles 1000", "cycles 1001"), "damaged"),
    (EPT.replace(" 10=3/600", " 10=3/600 [ 1.0] x"), "damaged"),
])
def test_parse_refuses(text, words):
    with pytest.raises(results.Incomplete, match=words):
        results.parse(text)


def test_document_is_json_with_everything():
    got = json.loads(json.dumps(results.document(results.parse(EPT), WHOLE)))
    assert got["phases"]["boot"] == {
        "ticks": 130072958, "idle_cycles": 7, "exits": 4, "cycles": 1000,
        "reasons": {"CPUID": {"count": 3, "cycles": 600},
                    "EPT_VIOLATION": {"count": 1, "cycles": 400}}}
    assert got["cpuid"] == {"least": 372, "mean": 375} and got["whole_run"] == WHOLE
    assert got["hypervisor"] is True and got["zero"] == 102818609


def test_rows_with_and_without_kvm():
    bare, ept = results.parse(BARE), results.parse(EPT)
    header, boot, compute = table.rows(bare, ept, "ept", KVM)
    assert header.split() == ["phase", "bare", "ept", "ratio", "exits", "in", "exits",
                              "KVM", "ratio", "exits"]
    assert boot.split() == ["boot", "to", "user", "space", "129.67", "130.07", "1.003", "4",
                            "0.00%", "217.0", "1.148", "6766"]
    assert compute.split() == ["compute", "50.00", "51.50", "1.030", "2", "1.00%",
                               "51.2", "1.022", "235"]
    plain = table.rows(bare, ept, "ept", None)
    assert "KVM" not in plain[0] and plain[0].split()[-1] == "exits"
    assert plain[2].split()[-1] == "1.00%"


def test_by_reason_puts_the_dearest_first():
    phase = results.parse(EPT).phases["boot"]
    assert table.by_reason(phase) == "CPUID 3 x 200, EPT_VIOLATION 1 x 400"
    phase.reasons["EPT_VIOLATION"] = results.Reason(1, 601)
    assert table.by_reason(phase) == "EPT_VIOLATION 1 x 601, CPUID 3 x 200"


def test_slow_phases_are_explained():
    bare, ept = results.parse(BARE), results.parse(EPT)
    (line,) = table.slow(bare, ept)  # boot is within the tolerance
    assert line == ("compute: 1.50 more than bare; 0.50 in exits, 1.00 besides (500000 an exit): "
                    "PREEMPTION_TIMER 2 x 250000")
    ept.phases["compute"].ticks = 51_000_000  # two per cent are allowed
    assert table.slow(bare, ept) == []


def test_report_says_it_all():
    text = "\n".join(table.report(results.parse(BARE), results.parse(EPT), "ept", WHOLE, KVM))
    assert "Whole run: 17149 exits (KVM 30102), 8.68 million ticks in them: CPUID 13266" in text
    assert "372 ticks at least, 375 on average (bare 2)" in text
    assert "Phases more than 2 % above bare:\n  compute: 1.50 more" in text


def test_kvm_has_every_row():
    assert set(KVM["phases"]) == set(table.TITLES) and KVM["source"].startswith("Linux 6.1 KVM")
    assert set(KVM["exits"]) >= {mode.word for mode in paging.single()}
    for row in KVM["phases"].values():
        assert row["bare"] > 0 and set(row) - {"bare"} == set(KVM["exits"])


def test_rows_are_the_programs_phases():
    source = (conftest.TOOLS / "bench" / "guest" / "phases.c").read_text()
    for name in set(table.TITLES) - {"boot"}:
        assert f'\t{{"{name}", ' in source


def test_fragment_and_what_kconfig_made_of_it():
    wanted = smallkernel.parse_fragment("# a comment\nCONFIG_A=y\n# CONFIG_B is not set\n"
                                        'CONFIG_S="x y"\n\n# CONFIG_C is not set\n')
    assert wanted == {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_S": '"x y"', "CONFIG_C": "n"}
    made = smallkernel.parse_fragment('CONFIG_A=m\n# CONFIG_B is not set\nCONFIG_S="x y"\n')
    assert smallkernel.refused(wanted, made) == ["CONFIG_A"]
    del made["CONFIG_A"]
    made["CONFIG_C"] = "y"
    assert smallkernel.refused(wanted, made) == ["CONFIG_A", "CONFIG_C"]


def test_cache_name_follows_version_and_options_only():
    text = smallkernel.FRAGMENT.read_text()
    name = smallkernel.cache_name("6.1.192-2", text)
    assert name.startswith("small-linux-source-6.1_6.1.192-2_")
    assert smallkernel.cache_name("6.1.192-2", "# another comment\n" + text) == name
    assert smallkernel.cache_name("6.1.192-2", text.replace("HZ_100=y", "HZ_250=y")) != name
    assert smallkernel.cache_name("1:6.1.1", text).split("_")[1] == "1%3a6.1.1"


def test_initrd_holds_what_the_workloads_need(tmp_path):
    program = tmp_path / "bench"
    program.write_bytes(b"the bench program")
    first, second = initrd.build(program), initrd.build(program)
    assert first == second
    archive = zlib.decompressobj(wbits=31).decompress(first)  # padding may follow
    assert b"the bench program" in archive
    for path in (b"init", b"bin/busybox", b"bin/sh", b"bin/true", b"dev/console", b"tmp"):
        assert b"\0" + path + b"\0" in archive or b"0" + path + b"\0" in archive
