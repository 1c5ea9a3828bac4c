# SPDX-License-Identifier: MIT
"""A bootable disk image, made without root: GPT, one FAT32 EFI system partition, GRUB."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import grub
from .errors import UsageError

MIB = 1 << 20
PARTITION_START = MIB
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
# FAT32 has at least 65,525 clusters, which is 33 MiB with the smallest.
ESP_MIN = 40 * MIB
# Bochs wants whole cylinders of 16 heads and 63 sectors.
CYLINDER = 16 * 63 * 512
# The date of everything on the CD, so that images are alike: 2026-01-01 00:00:00 UTC.
ISO_DATE = 1767225600


def program(name: str) -> str:
    """Full path of a system program; the sbin directories are not on every user's PATH."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        raise UsageError(f"{name} is missing: run tools/tallyvisor-deps run")
    return found


def _run(argv: list[str], stdin: str = "", env: dict[str, str] | None = None) -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise UsageError(f"{' '.join(argv)} failed: {(done.stderr or done.stdout).strip()}")


def build_grub(cache: Path) -> Path:
    """GRUB as one EFI file; made once for a set of modules and an early configuration."""
    target = cache / "grubx64.efi"
    recipe = cache / "recipe"
    want = " ".join(grub.MODULES) + "\n" + grub.EARLY_CONFIG
    if target.exists() and recipe.exists() and recipe.read_text() == want:
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        early, draft = Path(name) / "early.cfg", Path(name) / "grubx64.efi"
        early.write_text(grub.EARLY_CONFIG)
        _run([program("grub-mkimage"), "-O", "x86_64-efi", "-o", str(draft), "-c", str(early),
              "-p", "/boot/grub", *grub.MODULES])
        draft.replace(target)
    recipe.write_text(want)
    return target


def esp_size(files: dict[str, Path]) -> int:
    """Bytes of a file system with room for `files`, and some to spare."""
    content = sum(path.stat().st_size for path in files.values())
    return -(-max(ESP_MIN, content + content // 8 + 4 * MIB) // MIB) * MIB


def fill_esp(at: str, size: int, files: dict[str, Path]) -> None:
    """Make a FAT32 file system and copy `files` into it.

    at     where, as mtools spells it: FILE, or FILE@@OFFSET
    files  name on the EFI system partition ("/EFI/BOOT/BOOTX64.EFI") -> file to copy there
    """
    # mtools: no question about odd geometries, no dates of today.
    env = {"MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null", "SOURCE_DATE_EPOCH": "315532800"}
    _run([program("mformat"), "-i", at, "-F", "-T", str(size // 512), "-h", "16", "-s", "63",
          "-c", "1" if size < 256 * MIB else "8", "-N", "54414C59", "-v", "TALLYVISOR", "::"],
         env=env)
    made: set[str] = set()
    for name in sorted(files):
        parts = name.strip("/").split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in made:
                _run([program("mmd"), "-i", at, f"::/{parent}"], env=env)
                made.add(parent)
        _run([program("mcopy"), "-i", at, str(files[name]), f"::{name}"], env=env)


def build_disk(disk: Path, files: dict[str, Path]) -> None:
    """Write the image; `files` as in fill_esp()."""
    esp = esp_size(files)
    size = -(-(PARTITION_START + esp + MIB) // CYLINDER) * CYLINDER
    disk.unlink(missing_ok=True)
    with disk.open("wb") as handle:
        handle.truncate(size)
    table = (f"label: gpt\nlabel-id: 54616C6C-7976-4973-8F72-000000000001\n"
             f"start={PARTITION_START // 512}, size={esp // 512}, type={ESP_TYPE}, "
             f"uuid=54616C6C-7976-4973-8F72-000000000002, name=Tallyvisor\n")
    _run([program("sfdisk"), "--quiet", "--no-reread", "--no-tell-kernel", str(disk)], stdin=table)
    fill_esp(f"{disk}@@{PARTITION_START}", esp, files)


def build_iso(iso: Path, files: dict[str, Path], readme: Path) -> None:
    """Write a hybrid image: a CD with an El Torito boot image for UEFI, and a GPT disk whose EFI
    system partition is the same bytes. `files` as in fill_esp(); `readme` can be read on either."""
    with tempfile.TemporaryDirectory(dir=iso.parent) as name:
        esp, tree, draft = Path(name) / "esp.img", Path(name) / "tree", Path(name) / "draft.iso"
        tree.mkdir()
        shutil.copyfile(readme, tree / "README.TXT")
        for path in (tree / "README.TXT", tree):
            os.utime(path, (ISO_DATE, ISO_DATE))
        size = esp_size(files)
        with esp.open("wb") as handle:
            handle.truncate(size)
        fill_esp(str(esp), size, files)
        # xorriso takes all other dates, and the identifiers, from SOURCE_DATE_EPOCH.
        _run([program("xorriso"), "-no_rc", "-as", "mkisofs", "-quiet", "-o", str(draft),
              "-V", "TALLYVISOR", "-r", "-J", "-append_partition", "2", ESP_TYPE, str(esp),
              "-appended_part_as_gpt", "-e", "--interval:appended_partition_2:all::",
              "-no-emul-boot", "-partition_offset", "16", str(tree)],
             env={"SOURCE_DATE_EPOCH": str(ISO_DATE), "TZ": "UTC0"})
        draft.replace(iso)
