# SPDX-License-Identifier: MIT
"""The stock kernel: the distribution's package, downloaded and unpacked, never installed."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Callable

from .errors import UsageError, need_file

# Meta packages in order of preference: Debian's kernel for virtual machines, then Ubuntu's.
META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-generic")

BOOT = Path("/boot")

VMLINUZ = {"vmlinuz": "boot/vmlinuz-*"}

_MULTIBOOT_MAGIC = struct.pack("<I", 0x1BADB002)

Say = Callable[[str], None]


def _apt_cache(*words: str, env: dict[str, str] | None = None) -> str:
    if not shutil.which("apt-cache"):
        return ""
    done = subprocess.run(["apt-cache", *words], capture_output=True, text=True,
                          env={**(env or os.environ), "LC_ALL": "C"})
    return done.stdout if done.returncode == 0 else ""


def parse_depends(text: str) -> str | None:
    """The kernel image that a meta package depends on, from `apt-cache depends`."""
    found = re.findall(r"^\s*\|?Depends: (linux-image-\d\S*)$", text, re.MULTILINE)
    return found[0] if found else None


def parse_candidate(text: str) -> str | None:
    """The version apt would take, from `apt-cache policy`."""
    found = re.search(r"^\s*Candidate: (\S+)$", text, re.MULTILINE)
    return found[1] if found and found[1] != "(none)" else None


def candidate(package: str, env: dict[str, str] | None = None) -> str | None:
    """The version of a package that apt would take; `env` may lead apt to another configuration."""
    return parse_candidate(_apt_cache("policy", package, env=env))


def resolve(metas: tuple[str, ...] = META_PACKAGES,
            env: dict[str, str] | None = None) -> tuple[str, str] | None:
    """Name and version of the package to use, by what apt knows; None where it knows none."""
    for meta in metas:
        image = parse_depends(_apt_cache("depends", meta, env=env))
        version = candidate(image, env) if image else None
        if image and version:
            return image, version
    return None


def newest(paths: list[Path]) -> Path | None:
    def version(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part)
                for part in re.split(r"(\d+)", path.as_posix())]
    return max(paths, key=version, default=None)


def directory(cache: Path, package: str, version: str) -> Path:
    return cache / f"{package}_{version.replace(':', '%3a')}"


def download(package: str, version: str, wanted: dict[str, str], target: Path, say: Say,
             env: dict[str, str] | None = None) -> bool:
    """Fetch and unpack `package`, and keep some of it.

    wanted  name in the directory `target` -> pattern that finds the file in the package, or a
            directory, which is kept with all that is in it
    env     may lead apt to another configuration
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix="fetch-") as name:
        work = Path(name)
        say(f"downloading the package {package} {version}")
        done = subprocess.run(["apt-get", "-q", "download", f"{package}={version}"], cwd=work,
                              capture_output=True, text=True, env=env)
        packages = list(work.glob("*.deb"))
        if done.returncode != 0 or not packages:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            say(f"apt-get download failed: {reason}")
            return False
        subprocess.run(["dpkg-deb", "-x", packages[0], work / "unpacked"], check=True)
        for name, pattern in wanted.items():
            found = sorted((work / "unpacked").glob(pattern))
            if not found:
                say(f"{packages[0].name} holds no /{pattern}")
                return False
            draft = work / name
            if found[0].is_dir():
                found[0].rename(draft)
            else:
                shutil.copyfile(found[0], draft)
            draft.replace(target / name)
    return True


def stock(cache: Path, say: Say) -> Path:
    """A stock kernel: from the cache, else from apt, else this machine's own.

    cache  directory that keeps <package>_<version>/vmlinuz
    """
    known = resolve()
    if known:
        place = directory(cache, *known)
        target = place / "vmlinuz"
        if target.exists() or download(*known, VMLINUZ, place, say):
            return target
    kept = newest(list(cache.glob("linux-image-*/vmlinuz")))
    if kept:
        say(f"no newer kernel at hand: using {kept}")
        return kept
    own = newest([path for path in BOOT.glob("vmlinuz-*") if os.access(path, os.R_OK)])
    if own:
        say(f"apt has no kernel package: using this machine's own {own}")
        return own
    raise UsageError("no kernel found: run apt-get update, or give KERNEL=<a bzImage>")


def stock_modules(cache: Path, modules: tuple[str, ...], say: Say) -> tuple[Path, list[Path]]:
    """The stock kernel, and modules that were built with it.

    modules  their paths below the kernel's directory of modules ("arch/x86/kvm/kvm.ko")
    """
    known = resolve()
    if not known:
        raise UsageError("apt knows no kernel package, and modules come from nowhere else: run "
                         "apt-get update")
    place = directory(cache, *known)
    wanted = VMLINUZ | {Path(path).name: f"lib/modules/*/kernel/{path}" for path in modules}
    if (not all((place / name).exists() for name in wanted)
            and not download(*known, wanted, place, say)):
        raise UsageError(f"{known[0]} could not be had with its modules: see above")
    return place / "vmlinuz", [place / Path(path).name for path in modules]


def is_bzimage(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(0x206)[0x202:] == b"HdrS"


def is_multiboot(path: Path) -> bool:
    """Whether this is a Multiboot kernel and no bzImage: as guest/multiboot_plan.c sees it."""
    if is_bzimage(path):
        return False
    with path.open("rb") as file:
        head = file.read(8192)
    at = head.find(_MULTIBOOT_MAGIC)
    while at >= 0:
        if at % 4 == 0 and at + 12 <= len(head):
            if sum(struct.unpack_from("<3I", head, at)) % (1 << 32) == 0:
                return True
        at = head.find(_MULTIBOOT_MAGIC, at + 1)
    return False


def check(name: str) -> None:
    """A kernel that the user named must be a file; what is in it is for the loader to judge."""
    need_file(f"KERNEL={name}", name)
