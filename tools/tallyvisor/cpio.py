# SPDX-License-Identifier: MIT
"""Archives in the "newc" cpio format that Linux unpacks as its initramfs
(Documentation/driver-api/early-userspace/buffer-format.rst). Reproducible: the same entries give
the same bytes, whoever makes them and when."""

from __future__ import annotations

import gzip
import stat
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    path: str  # without a leading slash
    mode: int  # st_mode: type and permissions
    data: bytes = b""  # contents of a file, target of a symbolic link
    device: tuple[int, int] = (0, 0)  # major and minor of a device node


def directory(path: str, permissions: int = 0o755) -> Entry:
    return Entry(path, stat.S_IFDIR | permissions)


def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    return Entry(path, stat.S_IFREG | permissions, data)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int, permissions: int) -> Entry:
    return Entry(path, stat.S_IFCHR | permissions, device=(major, minor))


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _member(entry: Entry, inode: int) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _pad(header + name) + _pad(entry.data)


def archive(entries: list[Entry]) -> bytes:
    """The entries, sorted by path so that a directory precedes what is in it."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    members = [_member(entry, inode) for inode, entry in enumerate(ordered, start=1)]
    trailer = _member(Entry("TRAILER!!!", 0), 0)
    return b"".join(members) + trailer


def compress(data: bytes) -> bytes:
    """gzip without a name or a date, padded so that another archive may follow it."""
    return _pad(gzip.compress(data, compresslevel=9, mtime=0))
