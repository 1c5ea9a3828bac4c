# SPDX-License-Identifier: MIT
"""Multiboot kernels: tests/payload/multiboot.asm checks what it finds and says so. QEMU's own loader
is the oracle: what passes there is what kernels are used to."""

import re
import struct
import subprocess

import pytest
from conftest import BUILD, ROOT

from tallyvisor import kernel

ELF, FLAT = BUILD / "payload" / "multiboot.elf", BUILD / "payload" / "multiboot.bin"
# Checks that QEMU's devices pass, and how many there are where the program finds Tallyvisor.
QEMU_CHECKS, ALL_CHECKS = 16, 18
EPT = dict(paging="ept", engine="bochs", timeout=300)


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "environment"
    path.write_text("NAME=value\nVERDICT=42\nLAST=1\n")
    return path


def checks(serial):
    """The lines of the payload's checks."""
    return [line for line in serial.splitlines() if line.startswith(("ok: ", "FAIL: "))]


@pytest.mark.qemu
@pytest.mark.parametrize("payload", [ELF, FLAT], ids=["elf", "flat"])
def test_the_payload_passes_under_qemus_loader(payload, module):
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-no-reboot", "-m", "64",
         "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
         "-kernel", payload, "-append", "one two=3", "-initrd", f"{module} a b,{module} c"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 42 << 1 | 1, done.stdout
    assert f"{payload} one two=3\n" in done.stdout
    assert f"{module} a b\n{module} c\nNAME=value\n" in done.stdout
    assert len(checks(done.stdout)) == QEMU_CHECKS and "FAIL" not in done.stdout


@pytest.mark.bochs
def test_command_line_modules_and_verdict(run, module):
    got = run(**EPT, kernel=ELF, mem=64, initrd=module, cmdline="one  two=3",
              options=r'module="/initrd.img a \b" verbose=0')
    assert got.exit_code == 1  # whatever the kernel meant by it, it was not 0
    assert "guest wrote 42 to the debug-exit port" in got.verdict
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 42)
    assert len(checks(got.serial)) == ALL_CHECKS and "FAIL" not in got.serial
    assert "\nTallyvisor\n/vmlinuz one  two=3\n" in got.serial
    assert "\n/initrd.img\n/initrd.img a \\b\nNAME=value\nVERDICT=42\nLAST=1\nok: " in got.serial


@pytest.mark.bochs
def test_a_flat_binary_alone(run):
    got = run(**EPT, kernel=FLAT, mem=64)
    assert got.exit_code == 0
    assert "guest wrote 0 to the debug-exit port" in got.verdict
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)
    assert len(checks(got.serial)) == ALL_CHECKS and "FAIL" not in got.serial
    assert "\n/vmlinuz\nok: " in got.serial


@pytest.mark.qemu
def test_refusals(run, tmp_path, module):
    wide = bytearray(ELF.read_bytes())
    wide[4] = 2  # ELFCLASS64
    (tmp_path / "wide").write_bytes(wide)
    qemu = dict(paging="ept", engine="qemu", timeout=120, mem=64)
    got = run(**qemu, kernel=tmp_path / "wide")
    assert got.exit_code == 4 and "objcopy -O elf32-i386" in got.verdict
    got = run(**qemu, initrd=module, options="module=/initrd.img")  # the stock kernel
    assert got.exit_code == 4 and "is for a Multiboot kernel" in got.verdict


def test_what_the_runner_refuses(run):
    got = run(kernel=ELF, guest_run="true")
    assert got.exit_code == 2 and "GUEST_RUN is for Linux" in got.verdict
    got = run(kernel=ELF, paging="bare")
    assert got.exit_code == 2 and "PAGING=bare boots Linux only" in got.verdict


def test_telling_kernels_apart(tmp_path):
    def is_multiboot(contents):
        path = tmp_path / "kernel"
        path.write_bytes(contents)
        return kernel.is_multiboot(path)
    header = struct.pack("<3I", 0x1BADB002, 3, -(0x1BADB002 + 3) & 0xFFFFFFFF)
    assert kernel.is_multiboot(ELF) and kernel.is_multiboot(FLAT)
    assert is_multiboot(header) and is_multiboot(bytes(8180) + header)
    assert not is_multiboot(bytes(8184) + header)
    assert not is_multiboot(bytes(2) + header)
    assert not is_multiboot(header[:11])
    assert not is_multiboot(header[:8] + b"none")
    assert is_multiboot(header[:8] + b"none" + header)  # a magic that is none, and one that is
    assert not is_multiboot(header + bytes(0x202 - 12) + b"HdrS")
    assert not is_multiboot(b"")


def test_the_bios_code_is_its_source_assembled(tmp_path):
    subprocess.run(["nasm", "-f", "bin", "-o", tmp_path / "bios.bin", ROOT / "guest" / "bios.asm"],
                   check=True)
    header = (ROOT / "guest" / "bios_code.h").read_text()
    code = bytes(int(byte, 16) for byte in re.findall(r"\b0x[0-9a-f]{2}\b", header))
    assert code == (tmp_path / "bios.bin").read_bytes()
