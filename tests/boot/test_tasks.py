# SPDX-License-Identifier: MIT
"""Task switches: tests/payload/tasks.asm makes them in every way, with paging off, 32-bit and PAE
paging. What it expects is what the emulated processor does by itself, without a hypervisor: it has to
pass there, too."""

import re
import subprocess
from collections import Counter

import pytest
from conftest import BUILD, ROOT

from tallyvisor import grub, image

pytestmark = pytest.mark.bochs

ELF = BUILD / "payload" / "tasks.elf"
EVERYWHERE, WITH_PAGING = (ROOT / "tests/payload/tasks.asm").read_text().split("\nrun_paged:\n")
TASK_SWITCH = 9
SWITCHES = 418  # that the payload makes: on every processor, and in either mode of paging


def checks(source):
    """The lines that a part of the payload prints where all is well."""
    return ([f"ok: {text}" for text in re.findall(r'^\tcheck \d+, \w+, "(.*)"$', source, re.M)] +
            re.findall(r'^\tbad_segment .*"(.*)"$', source, re.M))


def judge(serial):
    """Every check passed: in three modes, and two of them with paging."""
    want = Counter(checks(EVERYWHERE) * 3 + checks(WITH_PAGING) * 2)
    got = Counter(line for line in serial.splitlines() if line in want)
    assert "FAIL" not in serial
    assert got == want and want.total() > 400


@pytest.fixture
def disk(tmp_path):
    """A disk from which GRUB boots the payload without Tallyvisor."""
    early, config, marker = tmp_path / "early.cfg", tmp_path / "grub.cfg", tmp_path / "marker"
    early.write_text(grub.EARLY_CONFIG)
    config.write_text("set timeout=0\nmenuentry tasks {\n\tmultiboot /tasks.elf\n}\n")
    marker.write_text("the disk that GRUB looks for\n")
    subprocess.run(["grub-mkimage", "-O", "x86_64-efi", "-o", tmp_path / "grub.efi", "-c", early,
                    "-p", "/boot/grub", *grub.MODULES, "multiboot"], check=True)
    image.build_disk(tmp_path / "disk.img", {"/EFI/BOOT/BOOTX64.EFI": tmp_path / "grub.efi",
                                             grub.MARKER: marker, "/grub.cfg": config,
                                             "/tasks.elf": ELF})
    return tmp_path / "disk.img"


def test_on_the_bare_processor(run, disk):
    judge(run(paging="bare", engine="bochs", timeout=200, disk=disk).serial)


@pytest.mark.parametrize("paging,cpu", [
    ("ept", "corei7_haswell_4770"),
    ("ept", "corei5_lynnfield_750"),  # no "unrestricted guest"
    ("shadow", "corei7_haswell_4770"),
    ("shadow", "core2_penryn_t9600"),  # no EPT
])
def test_under_tallyvisor(run, paging, cpu):
    got = run(paging=paging, engine="bochs", cpu=cpu, timeout=200, mem=64, kernel=ELF)
    judge(got.serial)
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)
    switches, = (row["count"] for row in got.last_run["reasons"] if row["nr"] == TASK_SWITCH)
    assert switches == SWITCHES
