# SPDX-License-Identifier: MIT
"""Which kernel is taken: tools/tallyvisor/kernel.py."""

import pytest

from tallyvisor import kernel
from tallyvisor.errors import UsageError

DEPENDS = """linux-image-cloud-amd64
  Depends: linux-image-6.1.0-56-cloud-amd64
"""
UBUNTU = """linux-image-virtual
  Depends: linux-image-5.15.0-119-generic
  Depends: something-else
"""
POLICY = """linux-image-6.1.0-56-cloud-amd64:
  Installed: (none)
  Candidate: 1:6.1.192-2
  Version table:
"""


@pytest.fixture
def apt(monkeypatch):
    """What apt knows, and what a download brings."""
    def call(known, brings=None):
        said, downloads = [], []
        monkeypatch.setattr(kernel, "_apt_cache", lambda *words, env=None: known.get(words, ""))

        def download(package, version, wanted, target, say):
            downloads.append(package)
            if brings is not None:
                target.mkdir(parents=True, exist_ok=True)
                for name in wanted:
                    (target / name).write_bytes(brings)
            return brings is not None
        monkeypatch.setattr(kernel, "download", download)
        return said, downloads
    return call


KNOWN = {("depends", "linux-image-cloud-amd64"): DEPENDS,
         ("policy", "linux-image-6.1.0-56-cloud-amd64"): POLICY}


def test_parsing():
    assert kernel.parse_depends(DEPENDS) == "linux-image-6.1.0-56-cloud-amd64"
    assert kernel.parse_depends(UBUNTU) == "linux-image-5.15.0-119-generic"
    assert kernel.parse_depends("") is None
    assert kernel.parse_candidate(POLICY) == "1:6.1.192-2"
    assert kernel.parse_candidate("  Candidate: (none)\n") is None


def test_downloads_once(apt, tmp_path):
    said, downloads = apt(KNOWN, b"image")
    first = kernel.stock(tmp_path, said.append)
    assert first.read_bytes() == b"image" and "6.1.192-2" in str(first)
    assert kernel.stock(tmp_path, said.append) == first
    assert downloads == ["linux-image-6.1.0-56-cloud-amd64"]


def test_modules_come_with_their_kernel(apt, tmp_path):
    """A kernel that was cached without them is fetched again, and once."""
    said, downloads = apt(KNOWN, b"new")
    stock = tmp_path / "linux-image-6.1.0-56-cloud-amd64_1%3a6.1.192-2" / "vmlinuz"
    stock.parent.mkdir()
    stock.write_bytes(b"old")
    for _ in range(2):
        image, modules = kernel.stock_modules(tmp_path, ("a/b/x.ko", "c/y.ko"), said.append)
        assert image == stock and image.read_bytes() == b"new"
        assert modules == [stock.parent / "x.ko", stock.parent / "y.ko"]
    assert len(downloads) == 1


@pytest.mark.parametrize("known", [KNOWN, {}])
def test_no_modules_without_their_package(apt, tmp_path, known):
    said, _ = apt(known)
    with pytest.raises(UsageError, match="modules"):
        kernel.stock_modules(tmp_path, ("a/x.ko",), said.append)


def test_what_is_kept_of_a_package(tmp_path, monkeypatch):
    """A real package, made here; `apt-get download` is the only thing that is not real."""
    tree = tmp_path / "tree"
    for name in ("boot/vmlinuz-1", "lib/modules/1/kernel/a/x.ko", "DEBIAN/control"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "DEBIAN/control").write_text("Package: p\nVersion: 1\nArchitecture: all\n"
                                         "Maintainer: n <n@n>\nDescription: d\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "apt-get"
    script.write_text(f"#!/bin/sh\nexec dpkg-deb -b {tree} p.deb\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    said, target = [], tmp_path / "kept"
    wanted = kernel.VMLINUZ | {"x.ko": "lib/modules/*/kernel/a/x.ko"}
    assert kernel.download("p", "1", wanted, target, said.append)
    assert (target / "vmlinuz").read_text() == "boot/vmlinuz-1"
    assert (target / "x.ko").read_text() == "lib/modules/1/kernel/a/x.ko"
    assert sorted(path.name for path in target.iterdir()) == ["vmlinuz", "x.ko"]
    assert not kernel.download("p", "1", {"y": "boot/nothing-*"}, target, said.append)
    assert "holds no /boot/nothing-*" in said[-1]


def test_ubuntu(apt, tmp_path):
    said, downloads = apt({("depends", "linux-image-virtual"): UBUNTU,
                           ("policy", "linux-image-5.15.0-119-generic"): POLICY}, b"image")
    kernel.stock(tmp_path, said.append)
    assert downloads == ["linux-image-5.15.0-119-generic"]


def test_without_a_network_the_newest_kept_one_will_do(apt, tmp_path):
    said, _ = apt(KNOWN)
    for version in ("6.1.0-9", "6.1.0-10"):
        path = tmp_path / f"linux-image-{version}-cloud-amd64_1" / "vmlinuz"
        path.parent.mkdir()
        path.touch()
    assert "6.1.0-10" in str(kernel.stock(tmp_path, said.append))
    assert any("using" in line for line in said)


def test_the_machines_own_kernel_is_the_last_resort(apt, tmp_path, monkeypatch):
    said, _ = apt({})
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "vmlinuz-6.1.0-9").touch()
    monkeypatch.setattr(kernel, "BOOT", boot)
    assert kernel.stock(tmp_path / "cache", said.append) == boot / "vmlinuz-6.1.0-9"
    assert "this machine's own" in said[-1]


def test_none_at_all(apt, tmp_path, monkeypatch):
    said, _ = apt({})
    monkeypatch.setattr(kernel, "BOOT", tmp_path / "none")
    with pytest.raises(UsageError, match="KERNEL="):
        kernel.stock(tmp_path, said.append)


def test_a_kernel_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        kernel.check(str(tmp_path / "x"))
