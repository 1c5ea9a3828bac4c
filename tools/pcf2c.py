#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns a fixed-width X11 bitmap font (PCF, gzipped or not) into the C table of lib/font.c. Run once:

    tools/pcf2c.py /usr/share/fonts/X11/misc/8x13-ISO8859-1.pcf.gz > lib/font.c

The format: "The X11 Portable Compiled Format", as libXfont reads it.
"""
import gzip
import struct
import sys

PROPERTIES, METRICS, BITMAPS, ENCODINGS = 1 << 0, 1 << 2, 1 << 3, 1 << 5
COMPRESSED_METRICS = 0x100
FIRST, LAST = 0x20, 0x7e
WIDTH, HEIGHT = 8, 13


class Table:
    """One table of the file; every table says its own byte and bit order."""

    def __init__(self, data, offset):
        self.format, = struct.unpack_from("<I", data, offset)
        self.order = ">" if self.format & 4 else "<"
        self.data, self.at = data, offset + 4

    def take(self, letters):
        values = struct.unpack_from(self.order + letters, self.data, self.at)
        self.at += struct.calcsize(self.order + letters)
        return values


def tables(data):
    magic, count = struct.unpack_from("<4sI", data)
    if magic != b"\x01fcp":
        sys.exit("not a PCF font")
    entries = [struct.unpack_from("<IIII", data, 8 + 16 * i) for i in range(count)]
    return {kind: Table(data, offset) for kind, _, _, offset in entries}


def properties(table):
    count, = table.take("I")
    raw = [table.take("IBI") for _ in range(count)]
    table.at += -count % 4  # entries are 9 bytes each
    size, = table.take("I")
    strings = table.data[table.at:table.at + size]

    def text(offset):
        return strings[offset:strings.index(b"\0", offset)].decode("latin-1")
    return {text(name): text(value) for name, is_string, value in raw if is_string}


def metrics(table):
    """(left, right, width, ascent, descent) of every glyph."""
    if table.format & COMPRESSED_METRICS:
        count, = table.take("H")
        return [tuple(b - 0x80 for b in table.take("5B")) for _ in range(count)]
    count, = table.take("I")
    return [table.take("6h")[:5] for _ in range(count)]


def bitmaps(table, sizes):
    """The rows of every glyph; the leftmost pixel is the highest bit of `width` bits."""
    count, = table.take("I")
    offsets = table.take(f"{count}I")
    table.take("4I")
    pad = 1 << (table.format & 3)
    if table.format >> 4 & 3 or not table.format & 8:
        sys.exit("only fonts of byte scan units, most significant bit first")
    glyphs = []
    for (left, right, _, ascent, descent), offset in zip(sizes, offsets):
        stride = -(-(right - left) // (8 * pad)) * pad
        start = table.at + offset
        rows = [table.data[start + y * stride:start + (y + 1) * stride]
                for y in range(ascent + descent)]
        glyphs.append([int.from_bytes(row, "big") >> (8 * len(row) - (right - left))
                       if row else 0 for row in rows])
    return glyphs


def encoding(table):
    low, high, first_row, last_row, _ = table.take("5h")
    columns = high - low + 1
    indices = table.take(f"{columns * (last_row - first_row + 1)}H")
    return {(first_row + i // columns) << 8 | (low + i % columns): index
            for i, index in enumerate(indices) if index != 0xffff}


def cell(glyph, size, ascent):
    """A glyph, which may be smaller, in the cell of the font."""
    left, right, _, above, _ = size
    rows = [0] * HEIGHT
    for y, bits in enumerate(glyph):
        at = ascent - above + y
        shift = WIDTH - right
        if 0 <= at < HEIGHT:
            rows[at] = (bits << shift if shift >= 0 else bits >> -shift) & 0xff
    return rows


def main(path):
    data = open(path, "rb").read()
    found = tables(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    info = properties(found[PROPERTIES])
    sizes = metrics(found[METRICS])
    glyphs = bitmaps(found[BITMAPS], sizes)
    index = encoding(found[ENCODINGS])
    ascent = 11  # FONT_ASCENT of 8x13; the rest is below the base line
    print("/* SPDX-License-Identifier: MIT */")
    print("/*\n * Written by tools/pcf2c.py. The glyphs are those of the X11 font")
    print(f" *\n *   {info['FONT']}\n *")
    print(" * of the X.Org release font-misc-misc (Debian package xfonts-base), whose copyright notice")
    print(f" * reads in full: \"{info['COPYRIGHT']}\"\n */")
    print("#include \"font.h\"\n\n/* clang-format off */")
    print("const u8 font_glyphs[FONT_GLYPHS][FONT_HEIGHT] = {")
    for code in range(FIRST, LAST + 1):
        rows = cell(glyphs[index[code]], sizes[index[code]], ascent)
        name = "backslash" if chr(code) == "\\" else chr(code)
        print("\t{" + ", ".join(f"0x{row:02x}" for row in rows) + "}, " + f"/* {name} */")
    print("\t/* What the font does not have: */")
    print("\t{" + ", ".join(["0x00"] + ["0x7e"] + ["0x42"] * 8 + ["0x7e"] + ["0x00"] * 2) + "},")
    print("};\n/* clang-format on */")


if __name__ == "__main__":
    main(sys.argv[1])
