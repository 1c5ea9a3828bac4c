# SPDX-License-Identifier: MIT
"""The command line of tallyvisor-run: options, the steps of a run in order, and the verdict."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import (bochs, comparison, grub, i386, image, initramfs, kernel, outcome, paging, program,
               qemu, session, stats)
from .errors import UsageError, need_file
from .machine import Machine, Spec

ROOT = Path(__file__).resolve().parents[2]

EXIT_CODES = {outcome.POWEROFF: 0, session.TIMEOUT: 3, outcome.REFUSED: 4,
              outcome.HYPERVISOR_PANIC: 5, outcome.FIRMWARE_FAULT: 6, session.LOST: 6,
              session.STOPPED: program.EXIT_STOPPED}
EXIT_OTHER = 1

SENTENCES = {
    outcome.POWEROFF: "guest powered off",
    outcome.RESET: "guest asked for a reset",
    outcome.PANIC: "guest kernel panicked",
    outcome.REFUSED: "Tallyvisor refused to start",
    outcome.HYPERVISOR_PANIC: "the hypervisor panicked",
    outcome.FIRMWARE_FAULT: "a processor exception under the firmware",
    session.TIMEOUT: "timed out",
    session.LOST: "the machine ended without a word",
    session.STOPPED: "stopped",
}

# What Linux is told in every run: a console, few words, no waiting after a panic, and no self-tests
# of its cryptography, which take a quarter of the boot.
BASE_CMDLINE = "console=ttyS0,115200 quiet panic=-1 cryptomgr.notests"
BATCH_TIMEOUT = 600
# Memory of the machine beyond the guest's: firmware and hypervisor live there too, and GRUB keeps a
# quarter of all memory as its heap until the machine is taken over.
SPARE_MIB, LEAST_MIB = 256, 1024


def say(text: str) -> None:
    print(f"tallyvisor-run: {text}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    codes = ("exit status: 0 the guest powered off, or wrote 0 to the debug-exit port; 1 it ended "
             "otherwise; 2 bad usage or "
             "environment; 3 time-out; 4 Tallyvisor refused to start; 5 the hypervisor panicked; "
             "6 the machine failed; 130 stopped by the user. "
             "Ctrl-] q ends the machine.")
    new = argparse.ArgumentParser(
        prog="tallyvisor-run", epilog=codes, description="Boot a Linux guest under Tallyvisor, "
        "with its serial console on this terminal.")
    add = new.add_argument
    add("--paging", default="ept", metavar="WORD", help="one of: " + ", ".join(paging.words()))
    add("--engine", default="auto", choices=("auto", "bochs", "qemu"),
        help="auto: QEMU with KVM where nested VMX is offered, else Bochs")
    add("--cpu", help=f"the engine's name for the CPU (Bochs: {bochs.DEFAULT_CPU})")
    add("--mem", type=int, default=512, metavar="MIB", help="the guest's memory (512)")
    add("--kernel", metavar="FILE",
        help="a bzImage (the distribution's cloud kernel), a Multiboot kernel, or one of Debian's "
        "32-bit kernels: " + ", ".join(i386.KERNELS))
    add("--initrd", metavar="FILE",
        help="an initramfs (one of ours, with busybox), or a Multiboot kernel's module (none)")
    add("--cmdline", default="", metavar="WORDS",
        help=f"for the kernel; Linux gets it after {BASE_CMDLINE!r}")
    add("--guest-run", metavar="COMMAND",
        help="run this in the guest instead of a shell, then power off")
    add("--options", default="", metavar="WORDS", help="more options for the hypervisor")
    add("--disk", metavar="FILE", help="boot a copy of this disk image, as it is")
    add("--out", default="out", metavar="DIR", help="gets serial.log, stats.json, the engine's log")
    add("--timeout", type=float, metavar="S",
        help=f"end the machine after so many seconds (batch: {BATCH_TIMEOUT}; else none)")
    add("--build", default="build", metavar="DIR", help="where make puts what it builds")
    add("--keep", action="store_true", help="keep the disk image and the engine's files in OUT")
    return new


def ensure(*groups: str) -> None:
    """Have tallyvisor-deps find, and install, what these steps need."""
    done = subprocess.run([ROOT / "tools" / "tallyvisor-deps", *groups])
    if done.returncode != 0:
        raise UsageError("something this needs is missing: see above")


def choose_engine(word: str, mode: paging.Paging,
                  host: qemu.Host = qemu.Host()) -> tuple[str, bool]:
    """The engine's name, and whether KVM drives it."""
    hindrance = qemu.missing_for_nested_vmx(mode.kvm, host)
    if word == "auto":
        return (qemu.NAME, True) if hindrance is None else (bochs.NAME, False)
    if word == qemu.NAME and hindrance is not None and mode.hypervisor:
        say(f"QEMU without nested VMX ({hindrance}): Tallyvisor will refuse to start")
    return word, word == qemu.NAME and hindrance is None


def batch(args: argparse.Namespace) -> bool:
    return args.guest_run is not None or not sys.stdin.isatty()


def is_multiboot(args: argparse.Namespace) -> bool:
    return (bool(args.kernel) and args.kernel not in i386.KERNELS
            and kernel.is_multiboot(Path(args.kernel)))


def guest_command(args: argparse.Namespace, mode: paging.Paging) -> str | None:
    """What the session is to run; None: a shell, or what a given initramfs does by itself."""
    if args.guest_run is not None or args.initrd or not batch(args):
        return args.guest_run
    return mode.guest_run


def check_disk(args: argparse.Namespace) -> None:
    """A ready-made image brings everything that these would say."""
    for name in ("kernel", "initrd", "cmdline", "guest_run", "options"):
        if getattr(args, name):
            option = name.replace("_", "-")
            raise UsageError(f"--{option} cannot be changed in a finished image: leave it out, "
                             "or leave out --disk")
    need_file(f"--disk {args.disk}", args.disk)


def check(args: argparse.Namespace) -> None:
    for name in ("cmdline", "options"):
        grub.check_text(name.upper(), getattr(args, name))
    if args.disk:
        check_disk(args)
    if not 64 <= args.mem <= 65536:
        raise UsageError(f"MEM={args.mem}: give 64 (a stock kernel needs 68) to 65536 MiB")
    if args.timeout is not None and not args.timeout > 0:
        raise UsageError(f"TIMEOUT={args.timeout:g}: give seconds, more than 0")
    if "--" in args.options.split():
        raise UsageError("OPTIONS: `--` begins the kernel's command line: use CMDLINE= for that")
    paging.check_options(args.options, f"the mode is for PAGING= to say (here {args.paging})")
    if args.paging == "bare":
        grub.check_bare(args.cmdline)
    if args.kernel and args.kernel not in i386.KERNELS:
        kernel.check(args.kernel)
        if is_multiboot(args) and args.guest_run is not None:
            raise UsageError("GUEST_RUN is for Linux, and KERNEL is a Multiboot kernel: use "
                             "CMDLINE")
        if is_multiboot(args) and args.paging == "bare":
            raise UsageError("PAGING=bare boots Linux only, and KERNEL is a Multiboot kernel")
        # Tallyvisor would refuse it, but GRUB goes back to its menu and waits.
        if args.paging == "bare" and not kernel.is_bzimage(Path(args.kernel)):
            raise UsageError(f"KERNEL={args.kernel} is no bzImage, which PAGING=bare needs")
    if args.initrd:
        need_file(f"INITRD={args.initrd}", args.initrd)


def make_initrd(args: argparse.Namespace, mode: paging.Paging, work: Path) -> Path:
    """Linux's initramfs, with the command for it."""
    if args.initrd:
        base = Path(args.initrd).read_bytes()
        base += bytes(-len(base) % 4)
    else:
        narrow = args.kernel in i386.KERNELS
        programs = sorted(path for path in
                          (Path(args.build) / (i386.PROGRAMS if narrow else "guest")).glob("*")
                          if path.is_file() and os.access(path, os.X_OK))
        busybox = (i386.Packages(Path(args.build) / "cache", say).busybox() if narrow
                   else initramfs.BUSYBOX)
        base = initramfs.base(programs, busybox)
    command = guest_command(args, mode)
    target = work / "initrd.img"
    target.write_bytes(base + (initramfs.command(command) if command is not None else b""))
    return target


def find_kernel(args: argparse.Namespace, cache: Path) -> Path:
    if args.kernel in i386.KERNELS:
        return i386.Packages(cache, say).kernel(args.kernel)
    return Path(args.kernel) if args.kernel else kernel.stock(cache, say)


def make_disk(args: argparse.Namespace, mode: paging.Paging, work: Path) -> Path:
    cache = Path(args.build) / "cache"
    core = Path(args.build) / "tallyvisor.efi"
    if mode.hypervisor and not core.exists():
        raise UsageError(f"{core} is missing: run make first")
    multiboot = is_multiboot(args)
    cmdline = args.cmdline if multiboot else f"{BASE_CMDLINE} {args.cmdline}"
    initrd = Path(args.initrd) if args.initrd else None
    if not multiboot:
        initrd = make_initrd(args, mode, work)
    # Who sits at the menu has the exit zoo in it, where that was built.
    zoo = Path(args.build) / "payload" / "zoo.elf"
    offer_zoo = not batch(args) and core.exists() and zoo.exists()
    menu = grub.Menu(mode, args.mem, args.options, cmdline.strip(),
                     timeout=0 if batch(args) else 3, initrd=initrd is not None,
                     extras=tuple(map(grub.zoo, paging.single())) if offer_zoo else ())
    (work / "grub.cfg").write_text(grub.config(menu))
    (work / "marker").write_text("Tallyvisor's disk image\n")
    files = {
        "/EFI/BOOT/BOOTX64.EFI": image.build_grub(cache / "grub"),
        grub.MARKER: work / "marker",
        "/grub.cfg": work / "grub.cfg",
        "/vmlinuz": find_kernel(args, cache),
    }
    if initrd:
        files["/initrd.img"] = initrd
    if core.exists():
        files["/tallyvisor.efi"] = core
    if offer_zoo:
        files[grub.ZOO] = zoo
    image.build_disk(work / "disk.img", files)
    return work / "disk.img"


def copy_disk(args: argparse.Namespace, work: Path) -> Path:
    """What the guest or the firmware writes is not written to the user's file."""
    disk = work / "disk.img"
    shutil.copyfile(args.disk, disk)
    with disk.open("r+b") as handle:
        handle.truncate(-(-disk.stat().st_size // image.CYLINDER) * image.CYLINDER)
    return disk


def machine_mib(args: argparse.Namespace) -> int:
    """Memory of the whole machine."""
    return max(args.mem * 4 // 3 + SPARE_MIB, LEAST_MIB)


def start_engine(args: argparse.Namespace, name: str, kvm: bool, disk: Path, out: Path,
                 work: Path) -> tuple[Machine, str]:
    """The running machine, and the name of its CPU."""
    default = bochs.DEFAULT_CPU if name == bochs.NAME else qemu.default_cpu(kvm)
    spec = Spec(disk.resolve(), work.resolve(), out / f"{name}.log",
                machine_mib(args), args.cpu or default, not batch(args))
    if name == bochs.NAME:
        return bochs.start(spec, say), spec.cpu
    return qemu.start(spec, kvm, say), spec.cpu


def verdict(result: session.Result, watch: outcome.Watch, log: Path, engine: str) -> str:
    """The one line that says how it ended."""
    text = SENTENCES.get(result.outcome, f"guest ended by {result.outcome}")
    if result.outcome == outcome.DEBUG_EXIT:
        text = f"guest wrote {watch.last_exit_code} to the debug-exit port"
    elif result.outcome == session.LOST:
        words = (bochs if engine == bochs.NAME else qemu).last_words(log)
        text += f": {words}" if words else ""
    elif result.outcome == session.TIMEOUT and watch.last_line:
        text += f"; the last line was: {watch.last_line}"
    elif watch.reason and result.outcome not in (outcome.POWEROFF, outcome.PANIC, outcome.RESET):
        text += f": {watch.reason}"
    elif result.text and result.outcome != outcome.POWEROFF:
        text += f": {result.text}" if result.outcome != session.STOPPED else f" {result.text}"
    if watch.guest_status is not None:
        text += f"; its command exited with status {watch.guest_status}"
    return f"{text} (after {result.seconds:.1f} s)"


def runs_of(watch: outcome.Watch, result: session.Result, mode: paging.Paging,
            mem: int) -> list[outcome.Run]:
    """The runs for stats.json; the one that was cut short gets the machine's outcome."""
    runs = [watch.runs[number] for number in sorted(watch.runs)]
    if not runs:
        runs = [outcome.Run(mode.word, 1, mem)]
    if runs[-1].outcome is None or result.outcome in (session.TIMEOUT, session.STOPPED):
        runs[-1].outcome = result.outcome
        runs[-1].exit_code = 0 if result.outcome == outcome.POWEROFF else None
    return runs


def spoilt(mode: paging.Paging, runs: list[outcome.Run]) -> outcome.Run | None:
    """Of a comparison, the first mode's last run that did not end well."""
    if not mode.compared:
        return None
    # The last run before another mode begins, and the last one of all.
    finals = [one for one, after in zip(runs, runs[1:] + [None])
              if after is None or after.paging != one.paging]
    for one in finals:
        if one.paging == mode.word:  # none of them began
            continue
        if (one.outcome, one.exit_code) not in ((outcome.POWEROFF, 0), (outcome.DEBUG_EXIT, 0)):
            return one
    return None


def uncompared(mode: paging.Paging, log: Path) -> str:
    """Why a comparison that came to its end has nothing to show, or ""."""
    try:
        if mode.compared:
            comparison.shown(log.read_bytes().decode(errors="replace"))
    except comparison.Missing as error:
        return str(error)
    return ""


def exit_status(result: session.Result, watch: outcome.Watch, spoilt_run: outcome.Run | None) -> int:
    if result.outcome == outcome.DEBUG_EXIT:
        status = 0 if watch.last_exit_code == 0 else EXIT_OTHER
    else:
        status = EXIT_CODES.get(result.outcome, EXIT_OTHER)
    return EXIT_OTHER if status == 0 and spoilt_run else status


def run(args: argparse.Namespace) -> int:
    mode = paging.find(args.paging)
    check(args)
    engine, kvm = choose_engine(args.engine, mode)
    ensure("image", (bochs if engine == bochs.NAME else qemu).PACKAGES)
    if engine == bochs.NAME and args.cpu:
        bochs.check_cpu(args.cpu)
    out = Path(args.out)
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    with (out / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another run is writing to OUT={out}: "
                             "give this one its own") from None
        for stale in ("stats.json", "serial.log", "trace.log"):
            (out / stale).unlink(missing_ok=True)
        try:
            disk = copy_disk(args, work) if args.disk else make_disk(args, mode, work)
            machine, cpu = start_engine(args, engine, kvm, disk, out, work)
            watch = outcome.Watch(mode.hypervisor)
            timeout = args.timeout or (BATCH_TIMEOUT if batch(args) else None)
            result = session.Session(machine, watch, out / "serial.log", out / "trace.log",
                                     timeout, typing=not batch(args)).run()
        finally:
            if not args.keep:
                shutil.rmtree(work, ignore_errors=True)
        runs = runs_of(watch, result, mode, args.mem)
        contents = stats.document(watch.version, engine, cpu, runs)
        stats.write(out / "stats.json", contents)
    if watch.unfinished:
        watch.finish()
        print(flush=True)  # the verdict has a line of its own
    if (out / "trace.log").exists():
        say(f"VM exits were written to {out}/trace.log: tools/tallyvisor-trace {out} shows them")
    failed = spoilt(mode, runs)
    if failed:
        say(f"under {failed.paging} the guest ended by {failed.outcome}, exit code "
            f"{failed.exit_code}")
    status = exit_status(result, watch, failed)
    missing = uncompared(mode, out / "serial.log") if status == 0 else ""
    say(verdict(result, watch, out / f"{engine}.log", engine)
        + (f", but {missing}: see {out}/serial.log" if missing else ""))
    return EXIT_OTHER if missing else status


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return program.finish(lambda: run(args), say, args.out)
