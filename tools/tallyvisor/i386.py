# SPDX-License-Identifier: MIT
"""Debian's 32-bit kernels and what goes with them, from the i386 part of this machine's own package
sources. As a program: make the directory that 32-bit programs for the guest are built against.

apt does the work as if for another machine: it reads the user's sources and keys, and checks indexes and
packages as ever; but its lists, its architecture and what it believes to be installed are in a
configuration of our own. Nothing is installed, and no foreign architecture is added.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import kernel
from .errors import UsageError

# Word for KERNEL= -> meta package. The first has 32-bit paging, the second PAE paging.
KERNELS = {"686": "linux-image-686", "686-pae": "linux-image-686-pae"}

# Where the guest programs of 32 bits are built, in the build directory.
PROGRAMS = "guest-i386"

# APT_CONFIG is read last, so that its #clear removes what the machine's own configuration hooks in.
CONFIG = """\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "i386";
APT::Architectures {{ "i386"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "{0}";
Dir::State::lists "{0}/lists";
Dir::State::status "{0}/status";
Dir::Cache "{0}";
Dir::Cache::archives "{0}/archives";
"""


class Packages:
    """Packages of the i386 architecture, unpacked under `cache`/i386."""

    def __init__(self, cache: Path, say: kernel.Say):
        self._root, self._say = cache / "i386", say
        apt = (self._root / "apt").absolute()
        for name in ("lists/partial", "archives/partial"):
            (apt / name).mkdir(parents=True, exist_ok=True)
        (apt / "status").touch()
        (apt / "apt.conf").write_text(CONFIG.format(apt))
        self._env = {**os.environ, "APT_CONFIG": str(apt / "apt.conf")}
        self._updated = False
        if not any(path.is_file() and path.name != "lock" for path in (apt / "lists").iterdir()):
            self._update()

    def _update(self) -> None:
        self._updated = True
        if not shutil.which("apt-get"):
            self._say("this machine has no apt")
            return
        self._say("reading the package index of the i386 architecture")
        done = subprocess.run(["apt-get", "-q", "update"], capture_output=True, text=True,
                              env=self._env)
        if done.returncode != 0:  # of one source: the others will do, unless the package is not there
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            self._say(f"apt-get update: {said}")

    def _known(self, package: str) -> tuple[str, str] | None:
        """Name and version; of the kernel image where `package` is a meta package for one."""
        if package in KERNELS.values():
            return kernel.resolve((package,), self._env)
        version = kernel.candidate(package, self._env)
        return (package, version) if version else None

    def get(self, package: str, wanted: dict[str, str]) -> Path:
        """The directory with the `wanted` files (name -> pattern) of a package: from the cache, else
        from apt; in the end, an older one from the cache."""
        while True:
            known = self._known(package)
            if known:
                target = kernel.directory(self._root, *known)
                if (all((target / name).exists() for name in wanted)
                        or kernel.download(*known, wanted, target, self._say, self._env)):
                    return target
            if self._updated:
                break
            self._update()  # what the index names may be gone from the mirror
        pattern = package.replace("linux-image-", "linux-image-[0-9]*-") + "_*"
        kept = kernel.newest([path for path in self._root.glob(pattern)
                              if all((path / name).exists() for name in wanted)])
        if kept:
            self._say(f"no newer one at hand: using {kept}")
            return kept
        raise UsageError(f"no i386 package {package} could be had: KERNEL=686 and 686-pae need apt with "
                         "Debian's sources, and the network once")

    def kernel(self, word: str) -> Path:
        """The kernel of a word of KERNELS."""
        return self.get(KERNELS[word], kernel.VMLINUZ) / "vmlinuz"

    def busybox(self) -> Path:
        return self.get("busybox-static", {"busybox": "bin/busybox"}) / "busybox"

    def sysroot(self) -> Path:
        """A directory with the C library, its headers and the compiler's own library, all i386.
        `gcc` in it leads to the latter."""
        version = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True,
                                 check=True).stdout
        packages = ("libc6-dev", "linux-libc-dev", f"libgcc-{version.split('.')[0].strip()}-dev")
        target = self._root / "sysroot"
        with tempfile.TemporaryDirectory(dir=self._root, prefix="merge-") as name:
            draft = Path(name) / "sysroot"
            for package in packages:
                shutil.copytree(self.get(package, {"usr": "usr"}) / "usr", draft / "usr",
                                symlinks=True, copy_function=os.link, dirs_exist_ok=True)
            (draft / "gcc").symlink_to(next(draft.glob("usr/lib/gcc/*/*")).relative_to(draft))
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        return target


def main() -> int:
    new = argparse.ArgumentParser(description="Make the directory that programs for a 32-bit guest "
                                  "are built against: CACHE/i386/sysroot.")
    new.add_argument("cache", type=Path, metavar="CACHE", help="a directory for what is downloaded")

    def say(text: str) -> None:
        print(f"i386: {text}", file=sys.stderr, flush=True)
    try:
        Packages(new.parse_args().cache, say).sysroot()
    except UsageError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
