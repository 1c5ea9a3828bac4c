# SPDX-License-Identifier: MIT
"""Bochs 2.7 as the distribution builds it: with VMX, the debugger and the `term` display."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import termios
from pathlib import Path
from typing import Callable

from .errors import UsageError
from .machine import BoundedLog, Machine, Spec, die_with_parent

NAME = "bochs"
PROGRAM = "bochs"
DEFAULT_CPU = "corei7_haswell_4770"
OVMF = Path("/usr/share/ovmf/OVMF.fd")
VGABIOS = Path("/usr/share/vgabios/vgabios.bin")
PACKAGES = "bochs"  # group of tools/tallyvisor-deps
FIRMWARE_SECONDS = 20

# Emulated instructions a second of emulated time; the tick counts in docs/ are at this rate.
IPS = 100_000_000
# Bochs keeps so many MiB of the guest's memory in its own, and swaps the rest to a file.
HOST_MEM_MAX = 2048
# The batch machine's clock starts here in every run, so that runs are alike.
BATCH_TIME0 = 1767225600  # 2026-01-01 00:00:00 UTC

RC_TEMPLATE = """\
display_library: term
config_interface: textconfig
romimage: file={ovmf}, address=0x0, options=none
vgaromimage: file={vgabios}
vga: extension={extension}, update_freq=1, realtime=0
pci: enabled=1, chipset=i440fx, slot1={card}
cpu: model={cpu}, count=1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={mem}, host={host_mem}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk
clock: {clock}
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
port_e9_hack: enabled=1
mouse: enabled=0
log: /dev/fd/{log}
logprefix: %t%e%d
panic: action=fatal, term={panic}
error: action=report
info: action=report
debug: action=ignore
"""


def models(program: str = PROGRAM) -> list[str]:
    """The CPU models this Bochs knows."""
    done = subprocess.run([program, "-help", "cpu"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    return re.findall(r"^[a-z][a-z0-9_]+$", done.stdout + done.stderr, re.MULTILINE)


def check_cpu(cpu: str) -> None:
    known = models()
    if known and cpu not in known:
        raise UsageError(f"CPU={cpu}: Bochs knows {', '.join(known)}")


def config(spec: Spec, port: int, log: int) -> str:
    """The text of the configuration file.

    port  TCP port on this machine where the serial line is to be connected
    log   descriptor, inherited by Bochs, that its log goes to
    """
    # `slowdown` keeps emulated time from running ahead of the wall; it never hurries it.
    clock = ("sync=slowdown, time0=utc" if spec.realtime
             else f"sync=none, time0={BATCH_TIME0}")
    # OVMF has no driver that finds Bochs's own card; it has one for the Cirrus. The `term` display
    # panics at more than 8 bits a pixel, but paints nothing anyway.
    extension, card, panic = (("cirrus", "cirrus", "warn") if spec.screen
                              else ("vbe", "pcivga", "fatal"))
    return RC_TEMPLATE.format(ovmf=OVMF, vgabios=VGABIOS, extension=extension, card=card,
                              panic=panic, cpu=spec.cpu, ips=IPS, mem=spec.mem_mib,
                              host_mem=min(spec.mem_mib, HOST_MEM_MAX), disk=spec.disk,
                              clock=clock, port=port, log=log)


class _Screen:
    """Finds the pty on which Bochs paints the VGA screen, and keeps it empty: nobody looks at it,
    but Bochs stops for good once it is full."""

    NOTICE = re.compile(rb'connected to screen "([^"]+)"')

    def __init__(self, machine: Machine, log: BoundedLog):
        self._machine = machine
        self._log = log
        self._text = b""
        self._fd = -1

    def read_terminal(self, data: bytes) -> None:
        """What Bochs says on its own terminal: the screen's name is among it, and complaints of
        the time before it has a log."""
        self._log.write(data)
        if self._fd >= 0:
            return
        self._text = (self._text + data)[-4096:]
        found = self.NOTICE.search(self._text)
        if found:
            self._fd = os.open(found[1].decode(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            mode = termios.tcgetattr(self._fd)
            mode[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
            self._machine.feeds[self._fd] = lambda data: None


def command(spec: Spec) -> list[str]:
    return [PROGRAM, "-q", "-f", str(spec.work / "bochsrc"), "-rc", str(spec.work / "debugger")]


def start(spec: Spec, say: Callable[[str], None]) -> Machine:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    log_read, log_write = os.pipe()
    master, slave = pty.openpty()
    (spec.work / "bochsrc").write_text(config(spec, listener.getsockname()[1], log_write))
    # The debugger's first command: continue.
    (spec.work / "debugger").write_text("c\n")
    # A killed Bochs leaves its lock behind, and the next one would refuse the disk.
    Path(f"{spec.disk}.lock").unlink(missing_ok=True)
    say(f"starting Bochs ({spec.cpu}, {spec.mem_mib} MiB); its firmware takes about "
        f"{FIRMWARE_SECONDS} s")
    process = subprocess.Popen(command(spec), stdin=slave, stdout=slave, stderr=slave,
                               pass_fds=(log_write,), start_new_session=True,
                               preexec_fn=die_with_parent,
                               env={**os.environ, "TERM": "vt100", "TZ": "UTC0"})
    os.close(slave)
    os.close(log_write)
    machine = Machine(process, listener=listener)
    log = BoundedLog(spec.log)
    screen = _Screen(machine, log)
    machine.feeds[master] = screen.read_terminal
    machine.feeds[log_read] = log.write

    def clean() -> None:
        # The last words are still in the pipe.
        os.set_blocking(log_read, False)
        while log_read in machine.feeds:
            try:
                data = os.read(log_read, 65536)
            except BlockingIOError:
                break
            if not data:
                break
            log.write(data)
        for descriptor in {log_read, master, *machine.feeds}:
            os.close(descriptor)
        listener.close()
        log.close()
        Path(f"{spec.disk}.lock").unlink(missing_ok=True)

    machine.on_kill = clean
    return machine


PANIC = re.compile(rb">>PANIC<< (.*)")


def last_words(log: Path) -> str | None:
    """Bochs's own panic message, where there is one other than the shutdown we asked for."""
    found = PANIC.findall(log.read_bytes()) if log.exists() else []
    words = [text for text in found if b"Shutdown port" not in text]
    return words[-1].decode(errors="replace").strip() if words else None
