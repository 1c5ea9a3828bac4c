# SPDX-License-Identifier: MIT
"""QEMU: with KVM where the machine offers nested VMX, else by translation (TCG, which has no
VMX: good for PAGING=bare, the menu and the refusal)."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .errors import UsageError
from .machine import BoundedLog, Machine, Spec, die_with_parent

NAME = "qemu"
PROGRAM = "qemu-system-x86_64"
PACKAGES = "qemu"
# Code and its matching template of variables; distributions moved from the second to the first.
FIRMWARE = (("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"))


@dataclass(frozen=True)
class Host:
    """Where to look for what the machine offers; tests point it elsewhere."""

    kvm: Path = Path("/dev/kvm")
    cpuinfo: Path = Path("/proc/cpuinfo")
    parameters: Path = Path("/sys/module/kvm_intel/parameters")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def missing_for_nested_vmx(parameters: tuple[str, ...] = ("nested",),
                           host: Host = Host()) -> str | None:
    """None where a guest of KVM can use VMX here; else what stands in the way, and the remedy.

    parameters  of kvm_intel that must be on
    """
    flags = [line for line in _read(host.cpuinfo).splitlines() if line.startswith("flags")]
    if not flags or "vmx" not in flags[0].split():
        return "this CPU has no VMX"
    if not host.kvm.exists():
        return (f"there is no {host.kvm}: modprobe kvm_intel; its complaint in dmesg may be that "
                "VT-x is off in the firmware setup")
    if not os.access(host.kvm, os.R_OK | os.W_OK):
        return f"{host.kvm} cannot be opened: become a member of the group kvm"
    for name in parameters:
        # A parameter is shown as Y or as 1, as its type is; that has changed for some.
        if _read(host.parameters / name).strip() not in ("Y", "1"):
            return f"KVM has it switched off: modprobe -r kvm_intel; modprobe kvm_intel {name}=1"
    return None


def default_cpu(kvm: bool) -> str:
    return "host,+vmx" if kvm else "max"


def firmware() -> tuple[Path, Path]:
    for code, variables in FIRMWARE:
        if Path(code).exists() and Path(variables).exists():
            return Path(code), Path(variables)
    raise UsageError("OVMF is missing: install ovmf")


def command(spec: Spec, kvm: bool, code: Path, variables: Path) -> list[str]:
    """The whole command line.

    variables  this run's own copy of the firmware's variables
    """
    def drive(path: Path) -> str:
        return f"file={str(path).replace(',', ',,')}"
    return [
        PROGRAM, "-nodefaults", "-no-user-config", "-no-reboot", "-machine", "q35",
        *(["-enable-kvm"] if kvm else ["-accel", "tcg"]),
        "-cpu", spec.cpu, "-smp", "1", "-m", str(spec.mem_mib),
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,{drive(code)}",
        "-drive", f"if=pflash,unit=1,format=raw,{drive(variables)}",
        "-drive", f"if=ide,format=raw,{drive(spec.disk)}",
        "-vga", "std", "-display", "none", "-monitor", "none",
        "-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1",
    ]


def start(spec: Spec, kvm: bool, say: Callable[[str], None]) -> Machine:
    code, template = firmware()
    variables = spec.work / "OVMF_VARS.fd"
    shutil.copyfile(template, variables)
    argv = command(spec, kvm, code, variables)
    say(f"starting QEMU: {shlex.join(argv)}")
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True,
                               preexec_fn=die_with_parent)
    log = BoundedLog(spec.log)
    machine = Machine(process, serial_in=process.stdout.fileno(),
                      serial_out=process.stdin.fileno())
    machine.feeds[process.stderr.fileno()] = log.write

    def clean() -> None:
        if process.stderr.fileno() in machine.feeds:
            log.write(process.stderr.read())
        log.close()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    machine.on_kill = clean
    return machine


def last_words(log: Path) -> str | None:
    """QEMU's own complaint, where it made one."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else None
