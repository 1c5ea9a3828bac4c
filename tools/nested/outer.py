# SPDX-License-Identifier: MIT
"""The initramfs of the outer Linux: what tallyvisor-run's has, and QEMU with its libraries, KVM's
modules, the firmware and the disk of the machine inside."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from tallyvisor import cpio, initramfs, qemu
from tallyvisor.errors import UsageError
from tallyvisor.machine import Spec

SCRIPT = Path(__file__).with_name("outer.sh")
HOME = Path("/nested")  # everything but QEMU lives here in the outer Linux
MODULES = ("virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-intel.ko")
# What QEMU reads for the devices of the command line besides its own program: name in the outer
# Linux, where it looks -> places to take it from.
DATA = {"/usr/share/seabios/vgabios-stdvga.bin": ("/usr/share/seabios/vgabios-stdvga.bin",
                                                  "/usr/share/qemu/vgabios-stdvga.bin"),
        "/usr/share/qemu/kvmvapic.bin": ("/usr/share/qemu/kvmvapic.bin",)}


def libraries(ldd: str) -> list[Path]:
    """The shared libraries in what ldd says of a program, its loader included."""
    lost = re.findall(r"^\s*(\S+) => not found", ldd, re.MULTILINE)
    if lost:
        raise UsageError(f"{qemu.PROGRAM} does not find {', '.join(lost)}: install it anew")
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", ldd)]


def _take(name: str, places: tuple[str, ...]) -> Path:
    for place in places:
        if Path(place).exists():
            return Path(place)
    raise UsageError(f"{name} is missing: install qemu-system-x86 with what it depends on")


def _qemu_files() -> dict[str, Path]:
    """QEMU, complete: name in the outer Linux -> file of this machine."""
    program = shutil.which(qemu.PROGRAM)
    if not program:
        raise UsageError(f"{qemu.PROGRAM} is missing: run tools/tallyvisor-deps qemu")
    ldd = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    files = {str(path): path for path in libraries(ldd)}
    files[f"/usr/bin/{qemu.PROGRAM}"] = Path(program)
    return files | {name: _take(name, places) for name, places in DATA.items()}


def command(mem_mib: int, cpu: str) -> list[str]:
    """QEMU's command line: the one that a user of `make run` gets where there is nested VMX."""
    spec = Spec(HOME / "disk.img", HOME, HOME / "qemu.log", mem_mib, cpu, realtime=False)
    return qemu.command(spec, True, HOME / "code.fd", HOME / "vars.fd")


def entries(files: dict[str, Path], texts: dict[str, str]) -> list[cpio.Entry]:
    """The files with the directories they are in. Programs and libraries must be executable, and
    nobody minds the others."""
    contents = {name: path.read_bytes() for name, path in files.items()}
    contents |= {name: text.encode() for name, text in texts.items()}
    parents = {str(parent) for name in contents for parent in Path(name).parents} - {"/"}
    return ([cpio.directory(name.lstrip("/")) for name in parents]
            + [cpio.file(name.lstrip("/"), data, 0o755) for name, data in contents.items()])


def build(disk: Path, argv: list[str], modules: list[Path], kvm_options: str) -> bytes:
    """
    disk         of the machine inside
    argv         that machine's QEMU
    modules      files of MODULES
    kvm_options  for kvm_intel
    """
    code, variables = qemu.firmware()
    files = _qemu_files() | {str(HOME / path.name): path for path in modules}
    files |= {str(HOME / "code.fd"): code, str(HOME / "vars.fd"): variables,
              str(HOME / "disk.img"): disk, str(HOME / "outer.sh"): SCRIPT}
    texts = {str(HOME / "qemu"): f"exec {shlex.join(argv)}\n",
             str(HOME / "kvm-intel.options"): kvm_options + "\n"}
    # A hundred MiB, half of them zeros: packed hastily, they are read in a fifth of the time.
    packed = gzip.compress(cpio.archive(entries(files, texts)), compresslevel=6, mtime=0)
    return initramfs.base([]) + packed
