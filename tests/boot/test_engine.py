# SPDX-License-Identifier: MIT
"""The engines: which one is taken, and what it is told."""

import argparse
import subprocess

import pytest

from tallyvisor import bochs, cli, machine, paging, qemu
from tallyvisor.errors import UsageError

EPT, BARE = paging.find("ept"), paging.find("bare")


@pytest.fixture
def host(tmp_path):
    """A machine that offers nested VMX; arguments take something away. None: there is no file."""
    def call(flags="fpu vmx sse", kvm=True, **parameters):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: x\n")
        if kvm:
            (tmp_path / "kvm").touch()
        (tmp_path / "parameters").mkdir()
        for name, value in {"nested": "Y", "ept": "Y", **parameters}.items():
            if value is not None:
                (tmp_path / "parameters" / name).write_text(value + "\n")
        return qemu.Host(tmp_path / "kvm", tmp_path / "cpuinfo", tmp_path / "parameters")
    return call


@pytest.mark.parametrize("on", ["Y", "1"])
def test_auto_takes_kvm_where_nested_vmx_is_offered(host, on):
    assert cli.choose_engine("auto", EPT, host(nested=on, ept=on)) == ("qemu", True)


@pytest.mark.parametrize("lack,why", [
    (dict(flags="fpu svm"), "no VMX"), (dict(flags="fpu avmx vmx2"), "no VMX"),
    (dict(flags=""), "no VMX"),
    (dict(kvm=False), "modprobe kvm_intel;"),
    (dict(nested="N"), "kvm_intel nested=1"), (dict(nested="0"), "kvm_intel nested=1"),
    (dict(nested=None), "kvm_intel nested=1"),
    # KVM with ept=0 gives its guests VMX without EPT.
    (dict(ept="N"), "kvm_intel ept=1"), (dict(ept=None), "kvm_intel ept=1")])
def test_auto_takes_bochs_otherwise(host, lack, why):
    here = host(**lack)
    assert why in qemu.missing_for_nested_vmx(EPT.kvm, here)
    assert cli.choose_engine("auto", EPT, here) == ("bochs", False)


def test_auto_takes_bochs_where_kvm_may_not_be_used(host, monkeypatch):
    # Root may open a file that nobody may: ask for one who is not.
    monkeypatch.setattr(qemu.os, "access", lambda path, mode: False)
    here = host()
    assert "group kvm" in qemu.missing_for_nested_vmx(EPT.kvm, here)
    assert cli.choose_engine("auto", EPT, here) == ("bochs", False)


def test_a_bare_guest_needs_no_ept_of_kvm(host):
    assert cli.choose_engine("auto", BARE, host(ept="N")) == ("qemu", True)


def test_a_named_engine_is_taken(host, capsys):
    here = host()
    assert cli.choose_engine("bochs", EPT, here) == ("bochs", False)
    assert cli.choose_engine("qemu", EPT, here) == ("qemu", True)
    assert capsys.readouterr().err == ""
    (here.parameters / "nested").write_text("N\n")
    assert cli.choose_engine("qemu", BARE, here) == ("qemu", False)
    assert capsys.readouterr().err == ""
    assert cli.choose_engine("qemu", EPT, here) == ("qemu", False)
    assert "will refuse" in capsys.readouterr().err


def spec(tmp_path, **changes):
    fields = dict(disk=tmp_path / "disk.img", work=tmp_path, log=tmp_path / "log", mem_mib=1024,
                  cpu="some_cpu", realtime=False)
    return machine.Spec(**{**fields, **changes})


def test_qemu_with_kvm(tmp_path):
    argv = qemu.command(spec(tmp_path, cpu=qemu.default_cpu(True)), True, tmp_path / "code",
                        tmp_path / "vars")
    line = " ".join(argv)
    assert "-enable-kvm" in argv and "-cpu host,+vmx" in line and "tcg" not in line
    assert f"if=pflash,unit=0,format=raw,readonly=on,file={tmp_path}/code" in argv
    assert f"if=pflash,unit=1,format=raw,file={tmp_path}/vars" in argv
    assert "-m 1024" in line and "-no-reboot" in argv and "-smp 1" in line


def test_qemu_without_kvm(tmp_path):
    argv = qemu.command(spec(tmp_path, cpu=qemu.default_cpu(False)), False, tmp_path / "code",
                        tmp_path / "vars")
    assert "-enable-kvm" not in argv and "-accel tcg -cpu max" in " ".join(argv)


def test_a_comma_in_a_path_is_doubled_for_qemu(tmp_path):
    argv = qemu.command(spec(tmp_path, disk=tmp_path / "a,b"), False, tmp_path, tmp_path)
    assert any(word.endswith("/a,,b") for word in argv)


def test_qemu_knows_every_option(tmp_path):
    """QEMU parses the line and stops at the first file that is missing, not at an option."""
    argv = qemu.command(spec(tmp_path, cpu="max"), False, tmp_path / "code", tmp_path / "vars")
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=30)
    assert done.returncode == 1
    assert f"Could not open '{tmp_path}/code'" in done.stderr


def test_bochs_configuration(tmp_path):
    text = bochs.config(spec(tmp_path), 4711, 9)
    for line in ("cpu: model=some_cpu, count=1, ips=100000000, reset_on_triple_fault=0, "
                 "ignore_bad_msrs=1",
                 "memory: guest=1024, host=1024", "port_e9_hack: enabled=1", "log: /dev/fd/9",
                 "com1: enabled=1, mode=socket-client, dev=127.0.0.1:4711",
                 f"clock: sync=none, time0={bochs.BATCH_TIME0}", "debug: action=ignore"):
        assert line in text.splitlines()
    assert f'path="{tmp_path}/disk.img"' in text


def test_bochs_keeps_real_time_for_a_user(tmp_path):
    text = bochs.config(spec(tmp_path, realtime=True), 1, 2)
    assert "clock: sync=slowdown, time0=utc" in text.splitlines()


def test_bochs_swaps_what_it_cannot_hold(tmp_path):
    text = bochs.config(spec(tmp_path, mem_mib=3584), 1, 2)
    assert "memory: guest=3584, host=2048" in text.splitlines()


def test_bochs_knows_its_default_model():
    assert bochs.DEFAULT_CPU in bochs.models()


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="CPU=z80.*corei7_haswell_4770"):
        bochs.check_cpu("z80")


def test_bochs_last_words(tmp_path):
    log = tmp_path / "log"
    assert bochs.last_words(log) is None
    log.write_text("0001i[CPU0 ] fine\n0002p[CPU0 ] >>PANIC<< 3rd (14) exception\n0003i[SIM ] x\n")
    assert bochs.last_words(log) == "3rd (14) exception"
    log.write_text("0002p[UNMAP ] >>PANIC<< Shutdown port: shutdown requested\n")
    assert bochs.last_words(log) is None


def test_bounded_log_keeps_both_ends(tmp_path):
    log = machine.BoundedLog(tmp_path / "log", head=10, tail=5)
    for at in range(100):
        log.write(b"%02d" % at)
    log.close()
    assert (tmp_path / "log").read_bytes() == b"0001020304\n[... 185 bytes left out ...]\n79899"


@pytest.mark.parametrize("size", [0, 5, 10, 12, 15])
def test_bounded_log_leaves_a_short_log_alone(tmp_path, size):
    log = machine.BoundedLog(tmp_path / "log", head=10, tail=5)
    log.write(b"x" * size)
    log.close()
    assert (tmp_path / "log").read_bytes() == b"x" * size


def arguments(**changes):
    return argparse.Namespace(**{**vars(cli.parser().parse_args([])), **changes})


def test_default_command_in_the_guest(monkeypatch):
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: False, raising=False)
    assert cli.guest_command(arguments(), EPT) == "exitstat"
    assert cli.guest_command(arguments(), BARE) == "true"
    assert cli.guest_command(arguments(guest_run="ls"), EPT) == "ls"
    assert cli.guest_command(arguments(initrd="x"), EPT) is None
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    assert cli.guest_command(arguments(), EPT) is None
    assert cli.guest_command(arguments(guest_run="ls"), EPT) == "ls"
