#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turn `nm --defined-only` of the core (standard input) into the table of its functions (standard
output), with which the panic screen names addresses. vmm/panic.c reads it: the number of entries;
for each, its address less CORE_BASE and where its name begins in the table; the names. All numbers
are 32 bits, little-endian.
"""
import struct
import sys

CORE_BASE = 0xffffffff80000000
ROOM = 32 << 10  # linker.ld


def table(lines):
    symbols = []
    for line in lines:
        address, kind, name = line.split()
        if kind in "tT" and not name.startswith((".", "trap_stub_")):
            symbols.append((int(address, 16) - CORE_BASE, name.encode() + b"\0"))
    symbols.sort()
    entries, names, at = [], b"", 4 + 8 * len(symbols)
    for address, name in symbols:
        entries.append(struct.pack("<II", address, at + len(names)))
        names += name
    return struct.pack("<I", len(symbols)) + b"".join(entries) + names


def main():
    data = table(sys.stdin)
    if len(data) > ROOM:
        sys.exit(f"mksyms: the symbols need {len(data)} bytes, linker.ld has room for {ROOM}")
    sys.stdout.buffer.write(data.ljust(ROOM, b"\0"))


if __name__ == "__main__":
    main()
