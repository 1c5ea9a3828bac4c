# SPDX-License-Identifier: MIT
"""The bench's own initramfs: the bench program as the first process, and busybox for it to run.
Smaller than the one of tallyvisor-run, and nothing runs in it but the workloads."""

from __future__ import annotations

from pathlib import Path

from tallyvisor import cpio, initramfs

# Names of busybox that the workloads execute.
APPLETS = ("sh", "true", "ls", "dd")


def build(bench: Path) -> bytes:
    """
    bench  the static program tools/bench/guest/bench.c
    """
    entries = [cpio.directory(path) for path in ("bin", "dev", "proc", "sys", "tmp")]
    entries.append(cpio.character_device("dev/console", 5, 1, 0o600))
    entries.append(cpio.file("init", bench.read_bytes(), 0o755))
    entries.append(cpio.file("bin/busybox", initramfs.BUSYBOX.read_bytes(), 0o755))
    entries += [cpio.symlink(f"bin/{name}", "busybox") for name in APPLETS]
    return cpio.compress(cpio.archive(entries))
