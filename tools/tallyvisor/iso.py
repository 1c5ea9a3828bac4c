# SPDX-License-Identifier: MIT
"""The image for a USB stick: everything that a boot needs, on a machine of the user's."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from . import grub, image, initramfs, kernel, paging
from .cli import BASE_CMDLINE, ensure
from .errors import UsageError

TIMEOUT = 10  # seconds that the menu waits
MEM_MIB = 512

# For a machine whose keyboard reaches nobody (docs/console.md): something to look at.
SHOW = """\
while :; do
	exitstat -- sh -c 'ls -lR /proc /sys > /dev/null 2>&1'
	echo 'again in 10 seconds, until you switch the machine off'
	sleep 10
done
"""

# What both modes do, where nobody types: processes, files, memory.
WORK = """\
exitstat -- sh -c 'for i in $(seq 200); do /bin/true; done; ls -lR /proc /sys >/dev/null 2>&1
	dd if=/dev/zero of=/tmp/x bs=64k count=256 2>/dev/null'
"""

README = """\
Tallyvisor counts and times every VM exit of a Linux guest.

Boot this stick (or CD) by UEFI, with Secure Boot off. The menu:

  Tallyvisor: Linux under EPT          a shell on the serial port COM1 (115200 8N1)
  Tallyvisor: Linux in both modes, compared
                                       twice: `poweroff` ends a run; then what was different
  Linux on the bare machine            the same Linux without Tallyvisor, on COM1
  Tallyvisor: exit statistics, again and again
                                       for a machine without a serial port
  Tallyvisor: both modes compared, by itself
                                       the same; the table stays on the screen
  Tallyvisor: exit zoo, paging=ept     raises every VM exit that the processor has, and
  Tallyvisor: exit zoo, paging=shadow  checks what comes of it: a line each

What Tallyvisor and its guest print is on COM1 and on the screen. What the machine
lacks, if anything, it says in one line, and the menu comes back.

Nothing on the machine's disks is read or written. The guest has 512 MiB of memory
and no disk. To stop it, switch the machine off.

The processor must be Intel's, with VMX, EPT and "unrestricted guest" (Westmere and
later); a Linux on shadow page tables needs VMX only. The firmware must not have
locked VMX off ("Intel Virtualization Technology", "VT-x"). It has not been tried on
real hardware yet: docs/hardware.md.
"""


def say(text: str) -> None:
    print(f"tallyvisor-iso: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    new = argparse.ArgumentParser(
        prog="tallyvisor-iso", description="Write an image for a USB stick or a CD that boots a "
        "Linux guest under Tallyvisor (docs/hardware.md).")
    add = new.add_argument
    add("--build", default="build", metavar="DIR", help="where make puts what it builds")
    add("--kernel", metavar="FILE", help="a bzImage (the distribution's cloud kernel)")
    add("--cmdline", default="", metavar="WORDS", help=f"for the kernel, after {BASE_CMDLINE!r}")
    add("--options", default="", metavar="WORDS", help="more options for the hypervisor")
    add("--timeout", type=int, default=TIMEOUT, metavar="S", help=f"of the menu ({TIMEOUT})")
    add("--output", metavar="FILE", help="the image (tallyvisor.iso in the build directory)")
    return new


def menu(args: argparse.Namespace) -> grub.Menu:
    ept = paging.find("ept")
    show = grub.Extra("show", "Tallyvisor: exit statistics, again and again", ept, "/show.img")
    work = grub.Extra("work", "Tallyvisor: both modes compared, by itself",
                      paging.find("compare"), "/work.img", "at_end=stay")
    zoos = (grub.zoo(mode) for mode in paging.single())
    return grub.Menu(ept, MEM_MIB, args.options, f"{BASE_CMDLINE} {args.cmdline}".strip(),
                     args.timeout, serial=True, pause=True, extras=(show, work, *zoos))


def build(args: argparse.Namespace, target: Path) -> None:
    directory = Path(args.build)
    core = directory / "tallyvisor.efi"
    programs = sorted(path for path in (directory / "guest").glob("*")
                      if path.is_file() and os.access(path, os.X_OK))
    zoo = directory / "payload" / "zoo.elf"
    if not core.exists() or not programs or not zoo.exists():
        raise UsageError(f"{core}, {zoo} or the guest's programs are missing: run make iso")
    base = initramfs.base(programs)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        work = Path(name)
        texts = {"grub.cfg": grub.config(menu(args)), "marker": "Tallyvisor's stick\n",
                 "readme": README.replace("\n", "\r\n")}
        for file, text in texts.items():
            (work / file).write_bytes(text.encode())
        (work / "initrd.img").write_bytes(base)
        (work / "show.img").write_bytes(base + initramfs.command(SHOW))
        (work / "work.img").write_bytes(base + initramfs.command(WORK))
        image.build_iso(target, {
            "/EFI/BOOT/BOOTX64.EFI": image.build_grub(directory / "cache" / "grub"),
            grub.MARKER: work / "marker",
            "/grub.cfg": work / "grub.cfg",
            "/vmlinuz": Path(args.kernel) if args.kernel
            else kernel.stock(directory / "cache", say),
            "/initrd.img": work / "initrd.img",
            "/show.img": work / "show.img",
            "/work.img": work / "work.img",
            "/tallyvisor.efi": core,
            grub.ZOO: zoo,
            "/README.TXT": work / "readme",
        }, work / "readme")


def run(args: argparse.Namespace) -> int:
    for name in ("cmdline", "options"):
        grub.check_text(name.upper(), getattr(args, name))
    paging.check_options(args.options, "the menu has an entry for each mode")
    grub.check_bare(args.cmdline)
    if args.kernel:
        kernel.check(args.kernel)
    ensure("image", "iso")
    target = Path(args.output or Path(args.build) / "tallyvisor.iso")
    build(args, target)
    say(f"{target}: {target.stat().st_size >> 20} MiB; docs/hardware.md says how to write it to a "
        "stick")
    return 0


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return run(args)
    except UsageError as error:
        say(str(error))
        return 2
