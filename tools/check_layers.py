#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that #include lines point only where docs/architecture.md lets them.

Each room may include itself, include/, and the rooms named here. A quoted header is looked up the
way the compiler does: beside the file, in include/, from the root.
"""
import pathlib
import re
import sys

ROOMS = {
    "include": set(),
    "lib": set(),
    "vmx": {"lib"},
    "guest": {"lib"},
    "ept": {"lib"},
    "shadow": {"lib", "guest"},
    "boot": {"lib", "vmx", "guest"},
    "vmm": {"lib", "vmx", "guest", "ept", "shadow"},
}
# boot/ may ask guest/ about a kernel image, and shadow/ about its page walker, and nothing else.
ONLY = {
    ("boot", "guest"): {"guest/linux.h", "guest/multiboot.h"},
    ("shadow", "guest"): {"guest/walk.h"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def resolve(root, source, name):
    for directory in (source.parent, root / "include", root):
        candidate = directory / name
        if candidate.is_file():
            return candidate.resolve().relative_to(root)
    return None


def check(root):
    problems = []
    for room, allowed in ROOMS.items():
        for source in sorted((root / room).glob("*.[ch]")):
            for name in INCLUDE.findall(source.read_text()):
                target = resolve(root, source, name)
                where = f"{source.relative_to(root)}: #include \"{name}\""
                if target is None:
                    problems.append(f"{where}: no such file")
                    continue
                to = target.parts[0]
                if to not in {room, "include"} | allowed:
                    problems.append(f"{where}: {room}/ may not include {to}/")
                elif str(target) not in ONLY.get((room, to), {str(target)}):
                    problems.append(f"{where}: {room}/ may not include this file of {to}/")
    return problems


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    problems = check(root)
    print("\n".join(problems) or "layers: every #include points the allowed way")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
