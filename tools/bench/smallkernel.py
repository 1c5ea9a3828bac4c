# SPDX-License-Identifier: MIT
"""The small kernel: `make tinyconfig` plus small.config, from the distribution's source package,
which is downloaded and unpacked, built, and thrown away. Only the kernel and its configuration are
kept, under a name made of the version and of what was asked for."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable

from tallyvisor import cli, kernel
from tallyvisor.errors import UsageError

PACKAGE = "linux-source-6.1"
FRAGMENT = Path(__file__).with_name("small.config")
# The kernel says when, where and by whom it was built; this one always says the same.
ENVIRONMENT = {"KBUILD_BUILD_TIMESTAMP": "2026-01-01", "KBUILD_BUILD_USER": "bench",
               "KBUILD_BUILD_HOST": "tallyvisor", "KBUILD_BUILD_VERSION": "1", "LC_ALL": "C"}
PROGRESS_SECONDS = 15

Say = Callable[[str], None]


def parse_fragment(text: str) -> dict[str, str]:
    """The options of a configuration: {"CONFIG_X": "y"}; "n" for one that is not set."""
    options = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(CONFIG_\w+)=(.*)", line):
            options[match[1]] = match[2]
        elif match := re.fullmatch(r"# (CONFIG_\w+) is not set", line):
            options[match[1]] = "n"
    return options


def refused(wanted: dict[str, str], config: dict[str, str]) -> list[str]:
    """The options that kconfig did not take as they were asked for."""
    return [name for name, value in wanted.items() if config.get(name, "n") != value]


def cache_name(version: str, fragment: str) -> str:
    """Of the directory that keeps a kernel."""
    wanted = sorted(parse_fragment(fragment).items())
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]
    return f"small-{PACKAGE}_{version.replace(':', '%3a')}_{digest}"


def _version() -> str | None:
    if not shutil.which("apt-cache"):
        return None
    done = subprocess.run(["apt-cache", "policy", PACKAGE], capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"})
    return kernel.parse_candidate(done.stdout)


def _run(argv: list[str | Path], where: Path) -> None:
    done = subprocess.run(argv, cwd=where, capture_output=True, text=True,
                          env={**os.environ, **ENVIRONMENT})
    if done.returncode != 0:
        words = (done.stderr + done.stdout).strip().splitlines()[-15:]
        raise UsageError(f"{argv[0]} failed:\n" + "\n".join(words))


def _unpack(version: str, work: Path, say: Say) -> Path:
    """Download the package; returns the directory of the source."""
    say(f"downloading {PACKAGE} {version} (140 MB)")
    _run(["apt-get", "-q", "download", f"{PACKAGE}={version}"], work)
    say("unpacking it")
    _run(["dpkg-deb", "-x", next(work.glob("*.deb")), work / "package"], work)
    _run(["tar", "xJf", work / "package" / "usr" / "src" / f"{PACKAGE}.tar.xz"], work)
    return work / PACKAGE


def _configure(source: Path) -> None:
    _run(["make", "-s", "tinyconfig"], source)
    _run(["scripts/kconfig/merge_config.sh", "-m", "-O", ".", ".config", FRAGMENT], source)
    _run(["make", "-s", "olddefconfig"], source)
    wrong = refused(parse_fragment(FRAGMENT.read_text()),
                    parse_fragment((source / ".config").read_text()))
    if wrong:
        raise UsageError(f"{FRAGMENT.name}: this kernel does not take {', '.join(wrong)}")


def _compile(source: Path, log: Path, say: Say) -> None:
    """make bzImage; says now and then how far it is. What make says goes to `log`."""
    jobs = len(os.sched_getaffinity(0))
    started = said = time.monotonic()
    files = 0
    with log.open("w") as out:
        make = subprocess.Popen(["make", f"-j{jobs}", "bzImage"], cwd=source, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env={**os.environ, **ENVIRONMENT})
        for line in make.stdout:
            out.write(line)
            files += line.lstrip().startswith(("CC ", "AS ", "HOSTCC "))
            now = time.monotonic()
            if now - said >= PROGRESS_SECONDS:
                said = now
                say(f"building the small kernel: {files} files after {now - started:.0f} s")
    if make.wait() != 0:
        raise UsageError(f"the kernel does not build: see {log}")
    say(f"built the small kernel: {files} files in {time.monotonic() - started:.0f} s")


def build(cache: Path, say: Say) -> Path:
    """The small kernel's bzImage: from the cache, else built there.

    cache  directory that keeps small-<package>_<version>_<configuration>/bzImage
    """
    version = _version()
    fragment = FRAGMENT.read_text()
    if version is None:
        kept = sorted(cache.glob(cache_name("*", fragment) + "/bzImage"))
        if not kept:
            raise UsageError(f"apt knows no {PACKAGE}: run apt-get update, or give KERNEL=")
        return kept[-1]
    cache = cache.resolve()  # the steps run in directories of their own
    target = cache / cache_name(version, fragment) / "bzImage"
    if target.exists():
        return target
    cli.ensure("kernel")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="small-build-") as name:
        source = _unpack(version, Path(name), say)
        _configure(source)
        _compile(source, target.parent / "build.log", say)
        shutil.copyfile(source / ".config", target.parent / "config")
        draft = target.with_name("bzImage.new")
        shutil.copyfile(source / "arch" / "x86" / "boot" / "bzImage", draft)
        draft.replace(target)
    return target
