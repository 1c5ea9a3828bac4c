# SPDX-License-Identifier: MIT
"""What make test-nested puts together and how it judges; the run itself is not part of the suite."""

import gzip
import re
import shlex
import subprocess

import pytest

from nested import __main__ as main
from nested import log, outer
from tallyvisor import cpio, outcome, qemu
from tallyvisor.errors import UsageError

OUTER_BEGIN = """Welcome to GRUB!
nested: linux 6.1.0 up at 6.64
flags\t\t: fpu vmx sse
nested: parameter ept Y
nested: parameter nested Y
nested: device /dev/kvm
nested: qemu starts at 13.50
"""
INNER = """BdsDxe: starting Boot0001 "x"
Welcome to GRUB!
Tallyvisor 0.1.0 has the machine
tallyvisor: run 1: paging ept, vcpus 1, memory 128 MiB
guest: the command starts
guest: command exited with status 0
tallyvisor: exits end: seq 3 ticks 5000 idle 40 total 7 cycles 900
tallyvisor:  nr reason                        count           cycles        avg  share
tallyvisor:  10 CPUID                             5              500        100  55.6%
tallyvisor:  12 HLT                               2              400        200  44.4%
tallyvisor: exits end: done
tallyvisor: run 1 ended: poweroff, exit code 0
tallyvisor: machine off
"""
OUTER_END = """nested: qemu ended at 113.75 with 0
nested: kvm_exit 10 9
nested: kvm_exit 12 2
nested: kvm_exit 23 70
nested: kvm_nested_vmexit 10 5
nested: kvm_nested_vmexit 12 2
nested: kvm_nested_vmexit_inject 10 5
nested: kvm_nested_vmexit_inject 12 2
guest: command exited with status 0
"""
WHOLE = (OUTER_BEGIN + re.sub("^", "| ", INNER.strip(), flags=re.M) + "\n"
         + OUTER_END).replace("\n", "\r\n")


def judged(text, **options):
    args = main.parser().parse_args([f"--{name}={value}" for name, value in options.items()])
    progress = log.Progress()
    for line in text.splitlines():
        progress.feed(line)
    return main.faults(args, log.parse(text), progress)


def test_a_good_log():
    chain = log.parse(WHOLE)
    assert chain.seconds == pytest.approx(100.25) and chain.status == 0
    assert chain.counts["kvm_exit"] == {10: 9, 12: 2, 23: 70}
    assert chain.parameters == {"ept": "Y", "nested": "Y"}
    assert chain.inner.version == "0.1.0" and chain.inner.runs[1].block.exits_total == 7
    assert judged(WHOLE) == []


@pytest.mark.parametrize("old,new,complaint", [
    ("kvm_nested_vmexit_inject 10 5", "kvm_nested_vmexit_inject 10 4", "reason 10, of which KVM "
     "delivered 4"),
    ("kvm_nested_vmexit_inject 12 2", "", "reason 12"),
    ("total 7", "total 8", "add up"),
    ("exited with status 0", "exited with status 1", "come to: its end"),
    ("ended: poweroff", "ended: reset", "ended by reset"),
    ("paging ept", "paging shadow", "paging shadow"),
    ("ended at 113.75 with 0", "ended at 113.75 with 1", "QEMU's end"),
    ("parameter nested Y", "parameter nested N", "nested=1"),
    ("fpu vmx", "fpu", "no VMX"),
])
def test_what_is_wrong_is_said(old, new, complaint):
    assert old in WHOLE
    assert any(complaint in fault for fault in judged(WHOLE.replace(old, new)))


def test_the_inner_machine_speaks_for_itself_only():
    """What would be an end of the outer machine is none with the mark, and a line of the outer one
    that looks like Tallyvisor's is not the inner one's."""
    forged = WHOLE.replace("| tallyvisor: exits end: done", "tallyvisor: exits end: done")
    assert any("come to: Tallyvisor's stat" in fault for fault in judged(forged))
    watch = outcome.Watch(hypervisor=False)
    watch.feed(b"| [    6.6] reboot: Power down\r\n| Kernel panic - not syncing: x\r\n")
    assert watch.ending is None


@pytest.mark.parametrize("lines,missing", [
    (0, "firmware"), (1, "Linux on"), (5, "KVM with"), (6, "QEMU"), (7, "OVMF"), (8, "GRUB in"),
    (10, "Tallyvisor in"), (11, "Linux under"), (13, "Tallyvisor's stat"), (20, "QEMU's end")])
def test_a_log_that_stops(lines, missing):
    text = "\n".join(WHOLE.splitlines()[:lines])
    assert f"come to: {missing}" in judged(text)[0]


def test_the_table_has_every_column():
    text = "\n".join(main.table(log.parse(WHOLE)))
    assert "10 CPUID                         9          5          5          5" in text
    assert "23 VMREAD                       70          0          0          0" in text
    assert text.splitlines()[-1].split() == ["all", "81", "7", "7", "7"]


def test_the_libraries_of_a_program():
    ldd = ("\tlinux-vdso.so.1 (0x00007ffd)\n\tliba.so.1 => /lib/liba.so.1 (0x00007f)\n"
           "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n")
    assert [str(path) for path in outer.libraries(ldd)] == ["/lib/liba.so.1",
                                                            "/lib64/ld-linux-x86-64.so.2"]
    with pytest.raises(UsageError, match="libz.so.1"):
        outer.libraries(ldd + "\tlibz.so.1 => not found\n")


def test_the_command_line_is_the_users():
    argv = outer.command(1024, qemu.default_cpu(True))
    assert argv == qemu.command(
        qemu.Spec(outer.HOME / "disk.img", outer.HOME, outer.HOME, 1024, "host,+vmx", False), True,
        outer.HOME / "code.fd", outer.HOME / "vars.fd")


def test_the_archive_holds_what_the_command_line_names(tmp_path):
    given = {name: tmp_path / name for name in ("disk", "irqbypass.ko", "kvm.ko", "kvm-intel.ko")}
    for name, path in given.items():
        path.write_text(f"this is {name}")
    argv = outer.command(1024, "host")
    disk = given.pop("disk")
    # Two archives, of which gzip makes one.
    data = gzip.decompress(outer.build(disk, argv, list(given.values()), "nested=1"))
    members = re.findall(rb"070701[0-9A-F]{104}([^\0]+)\0", data)
    named = re.findall(r"file=/(\S+)", " ".join(argv))
    assert len(named) == 3
    for name in named + ["nested/kvm-intel.ko", "usr/bin/qemu-system-x86_64", "bin/busybox",
                         "nested/outer.sh", "lib64/ld-linux-x86-64.so.2"]:
        assert members.count(name.encode()) == 1, name
    assert b"this is disk" in data and f"exec {shlex.join(argv)}\n".encode() in data


def test_directories_precede_what_is_in_them():
    made = cpio.archive(outer.entries({}, {"/a/b/c": "text"}))
    assert made.index(b"a\0") < made.index(b"a/b\0") < made.index(b"a/b/c\0")


def test_the_script_is_for_every_shell():
    assert subprocess.run(["sh", "-n", outer.SCRIPT]).returncode == 0
    assert subprocess.run(["busybox", "sh", "-n", outer.SCRIPT]).returncode == 0


def test_there_must_be_something_to_test(monkeypatch, capsys):
    monkeypatch.setattr(main.sys, "argv", ["nested", "--paging=bare"])
    assert main.main() == 2
    assert "PAGING=bare has no hypervisor" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["| tallyvisor: refused: this CPU", "| tallyvisor: PANIC: page"])
def test_a_hopeless_machine_is_not_waited_for(tmp_path, monkeypatch, capsys, line):
    """The runner is told to end, and what it still says is heard."""
    runner = tmp_path / "tools" / "tallyvisor-run"
    runner.parent.mkdir()
    runner.write_text("#!/bin/sh\ntrap 'echo tallyvisor-run: stopped; kill $!; exit 130' TERM\n"
                      f"echo 'Welcome to GRUB!'; echo '{line}'; echo '{line}'\n"
                      "sleep 600 >/dev/null 2>&1 & wait\n")
    runner.chmod(0o755)
    monkeypatch.setattr(main, "ROOT", tmp_path)
    monkeypatch.setattr(main, "LAST_WORDS_SECONDS", 0.5)
    progress = main.boot(main.parser().parse_args([]), tmp_path, tmp_path, tmp_path)
    said = capsys.readouterr().err
    assert progress.reached == 1 and said.count(line) == 2 and "tallyvisor-run: stopped" in said


@pytest.mark.parametrize("words, why", [
    (["--mem", "65536"], "there is room for"),
    (["--timeout", "0"], "is no time"),
    (["--paging", "bare"], "has no hypervisor"),
    (["--paging", "compare"], "one mode at a time"),
])
def test_what_cannot_run_is_refused_at_once(words, why):
    with pytest.raises(UsageError, match=why):
        main.check(main.parser().parse_args(words))
    main.check(main.parser().parse_args([]))
