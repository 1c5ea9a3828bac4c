#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turn `nm --defined-only` of the core (standard input) into the C table of its functions.

The panic screen names addresses with it. Empty input gives an empty table, for the first link.
"""
import sys


def main():
    symbols = []
    for line in sys.stdin:
        address, kind, name = line.split()
        if kind in "tT" and not name.startswith((".", "trap_stub_")):
            symbols.append((int(address, 16), name))
    symbols.sort()
    print('#include "types.h"')
    print("struct symbol { u64 addr; const char *name; };")
    print('#define IN_TABLE __attribute__((section(".symtab_core")))')
    for index, (_, name) in enumerate(symbols):
        print(f'static const char name{index}[] IN_TABLE = "{name}";')
    print("extern const struct symbol core_symbols[];")
    print("extern const u64 nr_core_symbols;")
    print(f"IN_TABLE const struct symbol core_symbols[{max(len(symbols), 1)}] = {{")
    for index, (address, _) in enumerate(symbols):
        print(f"\t{{{address:#x}ull, name{index}}},")
    print("};")
    print(f"IN_TABLE const u64 nr_core_symbols = {len(symbols)};")


if __name__ == "__main__":
    main()
